"""Causal softmax attention of heads whose keys and values may differ in width: the kernel, and its plain products."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from recallscope.architectures.mixers._attend import attend


def causal_attention(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """Torch's kernel on q `[B, H, T, K]`, k `[B, H, S, K]`, v `[B, H, S, V]`: `[B, H, T, V]`.

    The T queries are at the last T of the S positions. The narrower of K and V is filled up with zeros, because the
    kernels that do not write the scores to memory want one width.
    """
    time, length, value = q.shape[2], k.shape[2], v.shape[3]
    wide = max(q.shape[3], value)
    q, k, v = (u if u.shape[3] == wide else F.pad(u, (0, wide - u.shape[3])) for u in (q, k, v))
    if time == 1 or time == length:
        o = attend(q, k, v, causal=time > 1, scale=scale)
    else:
        o = attend(q, k, v, seen(time, length, q.device), scale=scale)
    return o if value == wide else o[..., :value]


def causal_attention_flops(queries: Any, keys: Any, heads: int, key_width: int, value_width: int) -> Any:
    """4 H max(K, V) for each pair of the full rectangle; backward it takes 5/2 of this, the scores computed anew."""
    return 4 * heads * max(key_width, value_width) * queries * keys


def causal_weights(q: Tensor, k: Tensor, scale: float) -> Tensor:
    """The softmax weights `[B, H, T, S]` themselves, 0 on later keys, for mixers that change them."""
    scores = (q * scale) @ k.transpose(-1, -2)
    return scores.masked_fill(~seen(q.shape[2], k.shape[2], q.device), -torch.inf).softmax(-1)


def keep_largest(weights: Tensor, groups: int, count: int) -> Tensor:
    """Weights `[B, H, T, S]`, zero but for the `count` keys with the largest sums over a group of heads."""
    grouped = weights.unflatten(1, (groups, -1))
    best = grouped.sum(2, keepdim=True).topk(min(count, weights.shape[-1]), -1).indices
    kept = torch.zeros_like(grouped[:, :, :1], dtype=torch.bool).scatter(-1, best, True)
    return (grouped * kept).flatten(1, 2)


def token_weights(q: Tensor, k: Tensor, scale: float) -> Tensor:
    """Softmax weights `[B, H, S]` of one token's queries `[B, H, K]` on cached keys `[B, S, H_k, K]`, none repeated."""
    scores = q.unflatten(1, (k.shape[2], -1)) @ k.permute(0, 2, 3, 1)
    return (scores.flatten(1, 2) * scale).softmax(-1)


def token_read(weights: Tensor, v: Tensor) -> Tensor:
    """`[B, H, V]`, the sum of cached values `[B, S, H_v, V]` with the weights `[B, H, S]`."""
    return (weights.unflatten(1, (v.shape[2], -1)) @ v.transpose(1, 2)).flatten(1, 2)


def seen(time: int, length: int, device: torch.device) -> Tensor:
    """`[T, S]`: whether the key is not later than the query, the queries being at the last T of S positions."""
    return torch.ones(time, length, dtype=torch.bool, device=device).tril(length - time)
