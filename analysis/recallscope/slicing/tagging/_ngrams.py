"""Numbers for n-grams: packed ids while 64 bits hold them, a hash beyond."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_U = np.uint64


def key_bits(n: int, vocabulary: int) -> int:
    """Bits of a packed key; more than 64 means that keys are 64-bit hashes."""
    return n * max(1, (vocabulary - 1).bit_length())


def whole(size: int, starts: Array, n: int) -> Array:
    """Which positions end an n-gram that lies within its document."""
    whole = np.ones(size, bool)
    for k in range(n - 1):
        heads = starts + k
        whole[heads[heads < size]] = False
    return whole


def keys_of(tokens: Array, n: int, vocabulary: int) -> Array:
    bits = key_bits(n, vocabulary) // n
    keys = np.zeros(tokens.size, _U)
    for back in range(min(n, tokens.size) - 1, -1, -1):
        part = keys[back:]
        earlier = tokens[: tokens.size - back]
        if n * bits <= 64:
            part <<= _U(bits)
            np.bitwise_or(part, earlier, out=part, dtype=_U, casting="unsafe")
        else:
            _mix(part, earlier)
    return keys


def _mix(state: Array, tokens: Array) -> None:
    """One round of splitmix64 on state + golden ratio * (token + 1), in place."""
    state += (tokens.astype(_U) + _U(1)) * _U(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state ^= state >> _U(shift)
        state *= _U(factor)
    state ^= state >> _U(31)
