"""Checks of arguments, and logarithms of large whole numbers without rounding."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

_DIGITS = 40


def at_least(name: str, value: ArrayLike, least: float, finite: bool = True) -> np.ndarray:
    """The value as float64, all of it at least `least` and, if `finite`, finite."""
    array = np.asarray(value, dtype=np.float64)
    if not (array >= least).all():
        raise ValueError(f"{name}: at least {least:g}, got {array[~(array >= least)].flat[0]:g}")
    if finite and np.isinf(array).any():
        raise ValueError(f"{name}: finite, got inf")
    return array


def whole(name: str, value: Any, least: int, most: int | None = None) -> int:
    """The value as an int between the two."""
    accepted = f"a whole number, at least {least}" if most is None else f"a whole number from {least} to {most}"
    try:
        found = value.__index__()
    except (AttributeError, TypeError):
        raise ValueError(f"{name}: {accepted}, got {value!r}") from None
    if found < least or (most is not None and found > most):
        raise ValueError(f"{name}: {accepted}, got {value}")
    return found


def probability(name: str, value: ArrayLike, below_one: bool = False) -> np.ndarray:
    """The value as float64 in [0, 1], or in [0, 1)."""
    array = np.asarray(value, dtype=np.float64)
    right = (array >= 0) & ((array < 1) if below_one else (array <= 1))
    if not right.all():
        raise ValueError(f"{name}: from 0 to {'below 1' if below_one else '1'}, got {array[~right].flat[0]:g}")
    return array


def log2_power(base: float, exponent: float) -> Decimal:
    """log2 of base^exponent to 40 digits."""
    with localcontext(prec=_DIGITS):
        return Decimal(float(exponent)) * Decimal(float(base)).ln() / Decimal(2).ln()


def log2_integer(count: int) -> Decimal:
    """log2 of a whole number of any size, to 40 digits: the bits behind the first 160 do not reach them."""
    shift = max(count.bit_length() - 160, 0)
    with localcontext(prec=_DIGITS):
        return Decimal(shift) + Decimal(count >> shift).ln() / Decimal(2).ln()


def lacking(state_bits: np.ndarray, wanted: Decimal) -> np.ndarray:
    """State less wanted bits where that is negative, else 0; one rounding, although both may be large."""
    high = float(wanted)
    with localcontext(prec=_DIGITS):
        low = float(wanted - Decimal(high))
    return np.minimum((state_bits - high) - low, 0)
