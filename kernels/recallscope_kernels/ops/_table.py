"""All operators by name: how each is called, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from recallscope_kernels.ops._shape import Cost
from recallscope_kernels.ops.attention import attention, attention_cost, attention_reference
from recallscope_kernels.ops.attention.op import BACKENDS
from recallscope_kernels.ops.based import based, based_cost, based_reference
from recallscope_kernels.ops.based.op import IMPLEMENTATIONS as BASED
from recallscope_kernels.ops.delta_rule import (
    delta_rule,
    delta_rule_cost,
    delta_rule_reference,
    gated_delta_rule,
    gated_delta_rule_cost,
)
from recallscope_kernels.ops.jrt_prefix import jrt_prefix, jrt_prefix_cost, jrt_prefix_reference
from recallscope_kernels.ops.jrt_prefix.op import IMPLEMENTATIONS as JRT
from recallscope_kernels.ops.linear_attention import (
    linear_attention,
    linear_attention_cost,
    linear_attention_reference,
    simple_gla,
    simple_gla_cost,
    simple_gla_reference,
)


@dataclass(frozen=True)
class Operator:
    """One operator: functions of one signature family, the names of its implementations, and its usual key width K.

    `steps` are the implementations of its decoding step, where `chunked` is that in torch. `extra` are the operands
    after q, k, v: gates `beta` and `log_decay`, a number a token and head, or the keys and values of a `prefix`.
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
        attention, attention_reference, attention_cost, implementations=tuple(BACKENDS), steps=tuple(BACKENDS)
    ),
    "linear_attention": Operator(linear_attention, linear_attention_reference, linear_attention_cost),
    "simple_gla": Operator(simple_gla, simple_gla_reference, simple_gla_cost, extra=("log_decay",)),
    "delta_rule": Operator(delta_rule, delta_rule_reference, delta_rule_cost, extra=("beta",)),
    "gated_delta_rule": Operator(
        gated_delta_rule, delta_rule_reference, gated_delta_rule_cost, extra=("beta", "log_decay")
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
