"""Decode attention as tiles on a GPU, the merge of partial softmaxes in it, and the roof of a sparse product."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from recallscope.architectures.operators._choice import need_whole
from recallscope.architectures.specification import Weights

Partial = tuple[Tensor, Tensor, Tensor]
"""Largest score m `[...]`, sum l `[...]` of e^{score − m}, and output o `[..., V]`, the mean of values so weighted."""


def partial_softmax(scores: Tensor, values: Tensor) -> Partial:
    """Of scores `[..., S]` and values `[..., S, V]`; of no scores, or none but −∞: m = −∞, l = 0, o = 0."""
    m = scores.amax(-1) if scores.shape[-1] else scores.new_full(scores.shape[:-1], -torch.inf)
    weights = torch.exp(scores - m.masked_fill(m == -torch.inf, 0)[..., None])
    total = weights.sum(-1)
    o = (weights[..., None, :] @ values)[..., 0, :] / total.masked_fill(total == 0, 1)[..., None]
    return m, total, o


def merge(first: Partial, second: Partial) -> Partial:
    """One of two: `m = max m_i`, `l = Σ l_i e^{m_i − m}`, `o = Σ o_i l_i e^{m_i − m} / l`; associative, commutative.

    Milakov & Gimelshein 2018; what FlashDecoding and LeanAttention reduce with.
    """
    m = torch.maximum(first[0], second[0])
    safe = m.masked_fill(m == -torch.inf, 0)
    a, b = (part[1] * torch.exp(part[0] - safe) for part in (first, second))
    total = a + b
    return m, total, (first[2] * a[..., None] + second[2] * b[..., None]) / total.masked_fill(total == 0, 1)[..., None]


@dataclass(frozen=True)
class TileSchedule:
    """How long the tiles of one step of one attention layer take.

    Attributes
    ----------
    tiles : int
        B H_kv ⌈t / T_n⌉.
    rounds : int
        Tiles that the busiest worker computes, one after the other.
    time : float
        Seconds: rounds x seconds per tile, and the time to merge parts.
    efficiency : float
        Tiles / (workers x rounds): the share of workers' tile time that is used.
    """

    tiles: int
    rounds: int
    time: float
    efficiency: float


def _tiles(batch: int, kv_heads: int, t: int, tile: int, workers: int) -> int:
    given = {"batch": batch, "kv_heads": kv_heads, "t": t, "tile": tile, "workers": workers}
    for name, value in given.items():
        need_whole(name, value)
    return -(-t // tile)


def stream_k(
    batch: int, kv_heads: int, t: int, tile: int, workers: int, tile_time: float, merge_time: float = 0.0
) -> TileSchedule:
    """Tiles of all heads in one row, cut into equal pieces: ⌈tiles / G⌉ τ + t_merge.

    Stream-K (Osama et al. 2023) for attention: Sanovar et al. 2024, LeanAttention.

    Parameters
    ----------
    batch, kv_heads, t : int
        Sequences B, key heads H_kv (the queries of a group share a tile) and tokens in the cache.
    tile : int
        Tokens of a tile, T_n.
    workers : int
        G: multiprocessors x blocks on each.
    tile_time, merge_time : float
        Seconds for a tile, τ, and for the merge of a head's parts; the latter only if some head is cut.
    """
    each = _tiles(batch, kv_heads, t, tile, workers)
    tiles = batch * kv_heads * each
    rounds = -(-tiles // workers)
    return TileSchedule(
        tiles, rounds, rounds * tile_time + (merge_time if rounds % each else 0), tiles / (workers * rounds)
    )


def fixed_split(
    batch: int,
    kv_heads: int,
    t: int,
    tile: int,
    workers: int,
    splits: int,
    tile_time: float,
    merge_time: float = 0.0,
) -> TileSchedule:
    """Each head in s parts (FlashDecoding): ⌈B H_kv s / G⌉ waves of ⌈⌈t / T_n⌉ / s⌉ tiles, and t_merge if s > 1.

    Every wave is taken to last as long as the longest part; parts that would be empty are not made. Parameters as in
    `stream_k`, and `splits`, s.
    """
    need_whole("splits", splits)
    each = _tiles(batch, kv_heads, t, tile, workers)
    longest = -(-each // min(splits, each))
    parts = -(-each // longest)  # of that many tiles, the last may be shorter
    rounds = -(-batch * kv_heads * parts // workers) * longest
    tiles = batch * kv_heads * each
    return TileSchedule(
        tiles, rounds, rounds * tile_time + (merge_time if parts > 1 else 0), tiles / (workers * rounds)
    )


def product_time(
    w: Weights, tokens: int, peak: float, bandwidth: float, efficiency: float = 1.0, bits: float = 16
) -> float:
    """Seconds of one matrix times n vectors at its roof: max(FLOPs n / (peak η), bytes / bandwidth).

    For a sparse matrix FLOPs are 2 ρ M N n and bytes those of its values and indices, of N n inputs and of M n outputs;
    η is the share of the peak that a kernel for its pattern reaches, to be measured (Shen et al. 2023 for blocks on
    CPUs).

    Parameters
    ----------
    w : Weights
        The matrix, as operators made it; the count is not used.
    tokens : int
        n.
    peak, bandwidth : float
        FLOP/s and bytes/s.
    efficiency : float
        η.
    bits : float
        Of an input and of an output.
    """
    if tokens < 1 or peak <= 0 or bandwidth <= 0 or not 0 < efficiency <= 1:
        raise ValueError(
            f"tokens, peak, bandwidth, efficiency: above 0, got {tokens}, {peak}, {bandwidth}, {efficiency}"
        )
    moved = w.bytes() + (w.rows + w.columns) * tokens * bits / 8
    return max(w.flops * tokens / (peak * efficiency), moved / bandwidth)


def best_splits(batch: int, kv_heads: int, t: int, tile: int, workers: int, tile_time: float, merge_time: float) -> int:
    """The number of parts with the least time, the smallest of equals."""
    most = math.ceil(t / tile)
    arguments = (batch, kv_heads, t, tile, workers)
    return min(range(1, most + 1), key=lambda s: fixed_split(*arguments, s, tile_time, merge_time).time)
