"""All operators by name: how each is called, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from recallscope_kernels.ops._shape import Cost
from recallscope_kernels.ops.attention import attention, attention_cost, attention_reference
from recallscope_kernels.ops.attention.op import BACKENDS
from recallscope_kernels.ops.attention.op import IMPLEMENTATIONS as ATTENTION
from recallscope_kernels.ops.based import based, based_cost, based_reference
from recallscope_kernels.ops.based.op import IMPLEMENTATIONS as BASED
from recallscope_kernels.ops.delta_rule import (
    delta_rule,
    delta_rule_cost,
    delta_rule_reference,
    gated_delta_rule,
    gated_delta_rule_cost,
)
from recallscope_kernels.ops.fft_convolution import fft_convolution, fft_convolution_cost, fft_convolution_reference
from recallscope_kernels.ops.gla import gla, gla_cost, gla_reference
from recallscope_kernels.ops.jrt_prefix import jrt_prefix, jrt_prefix_cost, jrt_prefix_reference
from recallscope_kernels.ops.jrt_prefix.op import IMPLEMENTATIONS as JRT
from recallscope_kernels.ops.kda import kda, kda_cost, kda_reference
from recallscope_kernels.ops.lightning import lightning, lightning_reference
from recallscope_kernels.ops.linear_attention import (
    linear_attention,
    linear_attention_cost,
    linear_attention_reference,
    simple_gla,
    simple_gla_cost,
    simple_gla_reference,
)
from recallscope_kernels.ops.linear_attention.op import SIMPLE_GLA
from recallscope_kernels.ops.rwkv7 import rwkv7, rwkv7_cost, rwkv7_reference
from recallscope_kernels.ops.selective_scan import selective_scan, selective_scan_cost, selective_scan_reference
from recallscope_kernels.ops.selective_scan.op import IMPLEMENTATIONS as SCAN
from recallscope_kernels.ops.short_convolution import (
    short_convolution,
    short_convolution_cost,
    short_convolution_reference,
)
from recallscope_kernels.ops.short_convolution.op import IMPLEMENTATIONS as SHORT
from recallscope_kernels.ops.window_attention import (
    window_attention,
    window_attention_cost,
    window_attention_reference,
)
from recallscope_kernels.ops.window_attention.op import IMPLEMENTATIONS as WINDOW


@dataclass(frozen=True)
class Operator:
    """One operator: functions of one signature family, the names of its implementations, and its usual key width K.

    `steps` are the implementations of its decoding step, where `chunked` is that in torch. `extra` are the operands
    after q, k, v: gates `beta` and `log_decay`, a number a token and head; `channel_decay`, `a` and `b`, one a channel
    too; a `step` for each channel of the values, and the `rate` of each element of a state; the keys and values of a
    `prefix`. With `taps` or `short_taps` the operands are an input of V channels a head and its filter.
    """

    run: Callable[..., tuple[Tensor, Any]]
    reference: Callable[..., tuple[Tensor, Any]]
    cost: Callable[..., Cost]
    key_width: int = 64
    extra: tuple[str, ...] = ()
    implementations: tuple[str, ...] = ("chunked", "fla")
    steps: tuple[str, ...] = ("chunked", "triton")


OPERATORS = {
    "based": Operator(based, based_reference, based_cost, 16, implementations=BASED),
    "jrt_prefix": Operator(jrt_prefix, jrt_prefix_reference, jrt_prefix_cost, 16, ("prefix",), JRT),
    "attention": Operator(
        attention, attention_reference, attention_cost, implementations=ATTENTION, steps=tuple(BACKENDS)
    ),
    "window_attention": Operator(
        window_attention,
        window_attention_reference,
        window_attention_cost,
        implementations=WINDOW,
        steps=tuple(BACKENDS),
    ),
    "linear_attention": Operator(linear_attention, linear_attention_reference, linear_attention_cost),
    "lightning": Operator(lightning, lightning_reference, linear_attention_cost),
    "simple_gla": Operator(
        simple_gla, simple_gla_reference, simple_gla_cost, extra=("log_decay",), implementations=SIMPLE_GLA
    ),
    "gla": Operator(gla, gla_reference, gla_cost, extra=("channel_decay",), steps=("chunked",)),
    "delta_rule": Operator(delta_rule, delta_rule_reference, delta_rule_cost, extra=("beta",)),
    "gated_delta_rule": Operator(
        gated_delta_rule, delta_rule_reference, gated_delta_rule_cost, extra=("beta", "log_decay")
    ),
    "kda": Operator(kda, kda_reference, kda_cost, extra=("beta", "channel_decay"), steps=("chunked",)),
    "rwkv7": Operator(rwkv7, rwkv7_reference, rwkv7_cost, extra=("channel_decay", "a", "b"), steps=("chunked",)),
    "selective_scan": Operator(
        selective_scan, selective_scan_reference, selective_scan_cost, 16, ("step", "rate"), SCAN, ("chunked",)
    ),
    "fft_convolution": Operator(
        fft_convolution,
        fft_convolution_reference,
        fft_convolution_cost,
        extra=("taps",),
        implementations=("torch",),
        steps=("torch",),
    ),
    "short_convolution": Operator(
        short_convolution,
        short_convolution_reference,
        short_convolution_cost,
        extra=("short_taps",),
        implementations=SHORT,
        steps=SHORT,
    ),
}


def operator_by_name(name: str) -> tuple[str, str | None]:
    """`based` or `based:triton` to the operator's name and that of an implementation, None if none is named."""
    operator, _, implementation = name.partition(":")
    if operator not in OPERATORS:
        raise ValueError(f"operator: one of {', '.join(OPERATORS)}, got {operator!r}")
    found = OPERATORS[operator]
    known = dict.fromkeys((*found.implementations, *found.steps))
    if implementation and implementation not in known:
        raise ValueError(f"operator: {operator} has {', '.join(known)}, got {implementation!r}")
    return operator, implementation or None
