"""Sliding-window softmax attention in torch: blocks of queries as long as the window, each against two of keys."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from recallscope_kernels.ops._chunks import from_chunks, into_chunks


def blocked_window_attention(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """Outputs `[B, T, H, V]` of already scaled q, all in the precision of the sums; O(T W), no loop over blocks.

    k and v hold the tokens of q after at most W - 1 earlier ones.
    """
    time, past = q.shape[1], k.shape[1] - q.shape[1]
    if time <= window:
        reach, queries, keys, values = past, *(u.transpose(1, 2)[:, None] for u in (q, k, v))
    else:
        reach, queries = window, into_chunks(q, window)
        keys, values = (_two_blocks(into_chunks(pad(u, (0, 0, 0, 0, window - past, 0)), window)) for u in (k, v))
    blocks, block = queries.shape[1], queries.shape[3]
    seen = _seen(blocks, block, reach, past, window, q.device)[:, None].expand(*queries.shape[:2], 1, -1, -1)
    parts = (u.flatten(0, 1) for u in (queries, keys, values))
    o = scaled_dot_product_attention(*parts, attn_mask=seen.flatten(0, 1), scale=1.0)
    return from_chunks(o.unflatten(0, (-1, blocks)), time)


def _two_blocks(u: Tensor) -> Tensor:
    """`[B, N + 1, H, W, X] -> [B, N, H, 2W, X]`: each block after the one before it."""
    return torch.cat([u[:, :-1], u[:, 1:]], 3)


def _seen(blocks: int, block: int, reach: int, past: int, window: int, device: torch.device) -> Tensor:
    """`[N, block, reach + block]`: whether a query of a block sees a key of those from `reach` before its block on."""
    key = torch.arange(reach + block, device=device) - reach
    distance = torch.arange(block, device=device)[:, None] - key
    place = torch.arange(blocks, device=device)[:, None, None] * block + key
    return (distance >= 0) & (distance < window) & (place >= -past)
