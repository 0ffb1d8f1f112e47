"""Diagonal recurrences `h_t = a_t ⊙ h_{t-1} + b_t` in place, by halving: log T operations on ever fewer tokens."""

from __future__ import annotations

import torch
from torch import Tensor


def scan_(a: Tensor, b: Tensor, h: Tensor, reverse: bool = False) -> Tensor:
    """The states, written over `b`, while `a` is spoilt; with `reverse`, `h_t = a_t ⊙ h_{t+1} + b_t` from h_{T+1}.

    a, b `[B, T, ...]`, h `[B, ...]`. A pair of tokens is one step of decay `a_{t+1} a_t`: scan the pairs, then fill in
    the tokens between them (Blelloch 1990). Both are done in place.
    """
    first = -1 if reverse else 0
    torch.addcmul(b[:, first], a[:, first], h, out=b[:, first])
    _sweep(a, b, reverse)
    return b


def scan_chunk_flops(chunk: int) -> int:
    """FLOPs of one `scan_` of `chunk` tokens, a power of two, for each element: 2 (2 C - 1 - log₂ C)."""
    return 2 * (2 * chunk - chunk.bit_length())


def _sweep(a: Tensor, b: Tensor, reverse: bool) -> None:
    time = a.shape[1]
    if time == 1:
        return
    if reverse:  # positions counted from the end; each depends on the one after it
        odd, even, between = slice(time % 2, None, 2), slice(time % 2 + 1, None, 2), slice((time - 1) % 2, time - 2, 2)
        known = slice((time - 1) % 2 + 1, time - 1, 2)
    else:
        odd, even, between = slice(1, None, 2), slice(0, time - time % 2, 2), slice(2, None, 2)
        known = slice(1, time - 1, 2)
    torch.addcmul(b[:, odd], a[:, odd], b[:, even], out=b[:, odd])
    if time > 3:
        a[:, odd].mul_(a[:, even])
    _sweep(a[:, odd], b[:, odd], reverse)
    if time > 2:
        torch.addcmul(b[:, between], a[:, between], b[:, known], out=b[:, between])
