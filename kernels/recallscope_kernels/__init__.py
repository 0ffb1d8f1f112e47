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
    from recallscope_kernels.ops.fft_convolution import fft_convolution as fft_convolution
    from recallscope_kernels.ops.fft_convolution import fft_convolution_decode as fft_convolution_decode
    from recallscope_kernels.ops.gla import gla as gla
    from recallscope_kernels.ops.gla import gla_decode as gla_decode
    from recallscope_kernels.ops.jrt_prefix import jrt_prefix as jrt_prefix
    from recallscope_kernels.ops.kda import kda as kda
    from recallscope_kernels.ops.kda import kda_decode as kda_decode
    from recallscope_kernels.ops.lightning import lightning as lightning
    from recallscope_kernels.ops.lightning import lightning_decode as lightning_decode
    from recallscope_kernels.ops.linear_attention import linear_attention as linear_attention
    from recallscope_kernels.ops.linear_attention import linear_attention_decode as linear_attention_decode
    from recallscope_kernels.ops.linear_attention import simple_gla as simple_gla
    from recallscope_kernels.ops.linear_attention import simple_gla_decode as simple_gla_decode
    from recallscope_kernels.ops.rwkv7 import rwkv7 as rwkv7
    from recallscope_kernels.ops.rwkv7 import rwkv7_decode as rwkv7_decode
    from recallscope_kernels.ops.selective_scan import selective_scan as selective_scan
    from recallscope_kernels.ops.selective_scan import selective_scan_decode as selective_scan_decode
    from recallscope_kernels.ops.short_convolution import short_convolution as short_convolution
    from recallscope_kernels.ops.short_convolution import short_convolution_decode as short_convolution_decode
    from recallscope_kernels.ops.window_attention import window_attention as window_attention
    from recallscope_kernels.ops.window_attention import window_attention_decode as window_attention_decode

_WHERE = {
    "attention": "attention",
    "attention_decode": "attention",
    "based": "based",
    "based_decode": "based",
    "delta_rule": "delta_rule",
    "delta_rule_decode": "delta_rule",
    "fft_convolution": "fft_convolution",
    "fft_convolution_decode": "fft_convolution",
    "gated_delta_rule": "delta_rule",
    "gla": "gla",
    "gla_decode": "gla",
    "jrt_prefix": "jrt_prefix",
    "kda": "kda",
    "kda_decode": "kda",
    "lightning": "lightning",
    "lightning_decode": "lightning",
    "linear_attention": "linear_attention",
    "linear_attention_decode": "linear_attention",
    "rwkv7": "rwkv7",
    "rwkv7_decode": "rwkv7",
    "selective_scan": "selective_scan",
    "selective_scan_decode": "selective_scan",
    "short_convolution": "short_convolution",
    "short_convolution_decode": "short_convolution",
    "simple_gla": "linear_attention",
    "simple_gla_decode": "linear_attention",
    "window_attention": "window_attention",
    "window_attention_decode": "window_attention",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        known = ", ".join(__dir__())
        raise AttributeError(f"module 'recallscope_kernels' has no attribute {name!r}; it has {known}")
    return getattr(import_module(f"recallscope_kernels.ops.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_WHERE)
