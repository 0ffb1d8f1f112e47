"""Measured operators: sequence mixers as functions on `[B, T, H, K]`, their costs in closed form, and their time.

Operators are loaded on first use; `recallscope_kernels.profiling` times them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recallscope_kernels.ops.attention import attention as attention
    from recallscope_kernels.ops.attention import attention_decode as attention_decode
    from recallscope_kernels.ops.based import based as based
    from recallscope_kernels.ops.based import based_decode as based_decode
    from recallscope_kernels.ops.delta_rule import delta_rule as delta_rule
    from recallscope_kernels.ops.delta_rule import delta_rule_decode as delta_rule_decode
    from recallscope_kernels.ops.delta_rule import gated_delta_rule as gated_delta_rule
    from recallscope_kernels.ops.jrt_prefix import jrt_prefix as jrt_prefix
    from recallscope_kernels.ops.linear_attention import linear_attention as linear_attention
    from recallscope_kernels.ops.linear_attention import linear_attention_decode as linear_attention_decode
    from recallscope_kernels.ops.linear_attention import simple_gla as simple_gla
    from recallscope_kernels.ops.linear_attention import simple_gla_decode as simple_gla_decode

_WHERE = {
    "attention": "attention",
    "attention_decode": "attention",
    "based": "based",
    "based_decode": "based",
    "delta_rule": "delta_rule",
    "delta_rule_decode": "delta_rule",
    "gated_delta_rule": "delta_rule",
    "jrt_prefix": "jrt_prefix",
    "linear_attention": "linear_attention",
    "linear_attention_decode": "linear_attention",
    "simple_gla": "linear_attention",
    "simple_gla_decode": "linear_attention",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        known = ", ".join(__dir__())
        raise AttributeError(f"module 'recallscope_kernels' has no attribute {name!r}; it has {known}")
    return getattr(import_module(f"recallscope_kernels.ops.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_WHERE)
