"""Attention of a chunk of queries to chosen blocks and to a window, and the choice of blocks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from recallscope.architectures.mixers._attend import attend
from recallscope.architectures.mixers._counts import ceil_div
from recallscope.architectures.mixers._rotary import wide


def rank_blocks(weights: Tensor, current: Tensor, cover: int, cells: int) -> Tensor:
    """Blocks by falling score, `[B, H, C, blocks]`; the first, the current and the one before it come before others.

    Ties, which underflow makes, go to the older block: the same one whatever the number of blocks.

    Parameters
    ----------
    weights : Tensor
        `[B, H, C, entries]` of queries on entries; entry i covers the cells `i, ..., i + cover - 1`.
    current : Tensor
        Block of each query, `[C, 1]`.
    cover, cells : int
        Cells that an entry covers, and cells that make a block, whose score is the sum over its cells of the weights
        of all entries that cover them.
    """
    blocks = int(current.max()) + 1
    by_cell = F.pad(weights, (cover - 1, blocks * cells - weights.shape[-1])).unfold(-1, cover, 1).sum(-1)
    score = by_cell.unflatten(-1, (blocks, cells)).sum(-1)
    block = torch.arange(blocks, device=weights.device)
    always = (block == 0) | (block == current) | (block == current - 1)
    return falling(score.masked_fill(always, torch.inf).masked_fill(block > current, -torch.inf))


def falling(score: Tensor) -> Tensor:
    """Indices that sort the last axis, largest first, ties in their order."""
    return score.sort(dim=-1, descending=True, stable=True).indices


def block_attention(q: Tensor, k: Tensor, v: Tensor, blocks: Tensor, size: int) -> Tensor:
    """Causal attention of the last C queries `[B, H, C, K]` to the keys `[B, H, S, K]` in `blocks` `[B, H, C, n]`."""
    end = k.shape[2]
    chosen = torch.zeros(*blocks.shape[:-1], ceil_div(end, size), dtype=torch.bool, device=q.device)
    chosen = chosen.scatter(-1, blocks, True).repeat_interleave(size, -1)[..., :end]
    past = torch.ones(q.shape[2], end, dtype=torch.bool, device=q.device).tril(end - q.shape[2])
    return attend(q, k, v, chosen & past)


def window_attention(q: Tensor, k: Tensor, v: Tensor, start: int) -> Tensor:
    """Attention of the queries `start, start + 1, ...` `[B, H, C, K]` to the last W keys of each.

    Keys and values `[B, H, W - 1 + C, K]` begin W - 1 positions before the first query, with anything in the places of
    negative positions.
    """
    size = k.shape[2]
    query, key = torch.arange(q.shape[2], device=q.device)[:, None], torch.arange(size, device=q.device)
    before = size - q.shape[2]
    seen = (key >= query) & (key <= query + before) & (key >= before - start)
    return attend(q, k, v, seen)


def landmark_attention(
    q: Tensor, k: Tensor, v: Tensor, marks: Tensor, start: int, near: int, keep: int | None, kv_heads: int
) -> Tensor:
    """Grouped softmax of the queries `start, start + 1, ...` `[B, H, C, K]` over the blocks up to the last query's.

    Keys and values are `[B, H, N, ℓ, K]`, landmarks' keys `[B, H, N, K]`. One softmax of scores, to which those of
    earlier blocks add their landmark's score less the logarithm of their own sum. With `keep`, a query sees its `near`
    last blocks and as many others of largest landmark scores, summed over query heads that share one of `kv_heads`.
    """
    size, end = k.shape[3], start + q.shape[2]
    count = ceil_div(end, size)
    own = torch.arange(start, end, device=q.device)[:, None] // size
    block = torch.arange(count, device=q.device)
    older = block[:-1] < own
    z = scaled_scores(q, k[:, :, :count].flatten(2, 3)).unflatten(-1, (count, size))
    mark = scaled_scores(q, marks[:, :, : count - 1])
    bias = torch.where(older, mark - z[..., :-1, :].logsumexp(-1), 0.0)
    seen = (
        torch.ones(q.shape[2], count * size, dtype=torch.bool, device=q.device).tril(start).unflatten(-1, (count, size))
    )
    if keep is not None:
        far, shared = block[:-1] <= own - near, shared_scores(mark, kv_heads)
        best = falling(shared.masked_fill(~far, -torch.inf))[..., :keep]
        kept = torch.zeros_like(shared, dtype=torch.bool).scatter(-1, best, True).logical_and(far)
        kept = kept.repeat_interleave(q.shape[1] // kv_heads, 1)
        seen = seen & (F.pad(kept, (0, 1)) | (block > own - near))[..., None]
    weights = (z + F.pad(bias, (0, 1))[..., None]).masked_fill(~seen, -torch.inf).flatten(-2).softmax(-1)
    return weights.to(v.dtype) @ v[:, :, :count].flatten(2, 3)


def scaled_scores(q: Tensor, k: Tensor) -> Tensor:
    """`q·k / √K`, float32 at least."""
    return wide(q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5


def shared_scores(scores: Tensor, kv_heads: int) -> Tensor:
    """Sums over the query heads that share a key head, `[B, H, ...] -> [B, H_kv, ...]`, without gradient."""
    return scores.detach().unflatten(1, (kv_heads, -1)).sum(2)


def causal_pairs(t: Any, chunk: Any) -> Any:
    """Pairs of t queries in chunks with all keys up to the end of their chunk: `C² n (n + 1) / 2 + r t`."""
    whole = t // chunk
    return chunk**2 * (whole * (whole + 1) // 2) + (t - whole * chunk) * t


def window_pairs(t: Any, chunk: Any, window: Any) -> Any:
    """Pairs of t queries in chunks with the keys of their chunk and the W - 1 before it."""
    whole = t // chunk
    rest = t - whole * chunk
    return whole * chunk * (chunk + window - 1) + rest * (rest + window - 1)
