"""Arithmetic of the cost formulas, the same for integers, arrays of integers and sympy expressions."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np


def _is_symbolic(*values: Any) -> bool:
    return any(hasattr(value, "free_symbols") for value in values)


def minimum(a: Any, b: Any) -> Any:
    """The smaller of two counts."""
    if _is_symbolic(a, b):
        from sympy import Min

        return Min(a, b)
    return np.minimum(a, b) if isinstance(a, np.ndarray) or isinstance(b, np.ndarray) else min(a, b)


def maximum(a: Any, b: Any) -> Any:
    """The larger of two counts."""
    if _is_symbolic(a, b):
        from sympy import Max

        return Max(a, b)
    return np.maximum(a, b) if isinstance(a, np.ndarray) or isinstance(b, np.ndarray) else max(a, b)


def ceil_div(a: Any, b: Any) -> Any:
    """a / b, rounded up."""
    if _is_symbolic(a, b):
        from sympy import ceiling

        return ceiling(a / b)
    return -(-a // b)


def padded(t: Any, chunk: Any, shrink: bool = True) -> Any:
    """Tokens that a chunked form works on: `t` rounded up to whole chunks; with `shrink`, of at most `t` tokens."""
    chunk = minimum(chunk, t) if shrink else chunk
    return ceil_div(t, chunk) * chunk


def fft_size(t: int) -> int:
    """Length of a transform that holds a causal convolution of `t` tokens: the least power of two from 2t on."""
    return 1 << _doublings(t)


def fft_flops(t: Any) -> Any:
    """FLOPs of a real transform of n = `fft_size(t)` points: 5 n log₂ n / 2, half of radix 2 on complex input."""
    doublings = _doublings(t)
    return 5 * 2**doublings * doublings / 2 if _is_symbolic(t) else 5 * (1 << doublings) * doublings // 2


def _doublings(t: Any) -> Any:
    if _is_symbolic(t):
        from sympy import ceiling, log

        return ceiling(log(2 * t, 2))
    return (2 * operator.index(t) - 1).bit_length()
