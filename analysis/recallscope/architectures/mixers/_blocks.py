"""What the mixers that work block by block share: attention to unprojected rows, and counts of blocks and pairs."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from recallscope.architectures.mixers._counts import ceil_div, maximum
from recallscope.architectures.mixers._rotary import wide


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """Softmax attention of q `[B, N, H, K]` to `[B, M, H, K]`, scores plus a bias `[H or 1, N, M]`: `[B, N, H K]`."""
    q, k, v = (u.transpose(1, 2) for u in (q, k, v))
    scores = wide(q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5
    weight = (scores if bias is None else scores + bias).softmax(-1).to(v.dtype)
    return (weight @ v).transpose(1, 2).flatten(2)


def attend_unprojected(q: Tensor, rows: Tensor, maps: Tensor, heads: int) -> Tensor:
    """One query's attention to rows whose keys and values are never formed: `q·W_k r = (W_kᵀ q)·r`.

    q `[B, H K]`, rows `[B, N, D]`, both maps `[2 H K, D]`; returns `[B, H K]` for 4 H D (K + N) FLOPs a sequence.
    """
    key_map, value_map = maps.unflatten(0, (2, heads, -1))  # each [H, K, D]
    q = (q.unflatten(-1, (heads, -1)).transpose(0, 1) @ key_map).transpose(0, 1)  # [B, H, D]
    scores = wide(q @ rows.transpose(1, 2)) * key_map.shape[1] ** -0.5
    mean = scores.softmax(-1).to(rows.dtype) @ rows
    return (mean.transpose(0, 1) @ value_map.transpose(1, 2)).transpose(0, 1).flatten(1)


def whole_blocks(t: Any, size: Any) -> Any:
    """Blocks of `size` tokens that are full after `t` tokens: ⌊t / size⌋."""
    return ceil_div(t + 1, size) - 1


def block_pairs(t: Any, size: Any) -> Any:
    """Pairs of a query and a key of its own block, the last block being as long as it is."""
    full = whole_blocks(t, size)
    return full * size**2 + (t - full * size) ** 2


def two_block_pairs(t: Any, size: Any) -> Any:
    """Pairs of a query and a key of its own block or of the one before."""
    return block_pairs(t, size) + size * maximum(t - size, 0)
