"""Linear attention in chunks: scores inside a chunk, the state between chunks; without decay, or with a scalar one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from recallscope.architectures.mixers._counts import minimum, padded


def linear_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    state: Tensor,
    chunk: int,
    log_decay: Tensor | None = None,
    features: Callable[[Tensor], Tensor] | None = None,
    kernel: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """`o_t = S_tᵀ φ(q_t)`, `S_t = α_t S_{t-1} + φ(k_t) v_tᵀ`; O(T (C + F)).

    Parameters
    ----------
    q, k, v : Tensor
        `[B, T, H, K]`, `[B, T, H, K]`, `[B, T, H, V]`, in the precision of the sums.
    state : Tensor
        `[B, H, F, V]`, before the first token.
    chunk : int
        Tokens C per chunk; changes speed, not results.
    log_decay : Tensor or None
        `ln α`, at most 0, `[B, T, H, 1]` (one a channel: `_channel_decay`). Every exponent taken is a sum of it over
        tokens later than the key's, so never positive: strong decay underflows, it cannot overflow.
    features, kernel : functions or None
        φ, `[..., K] -> [..., F]`, and the product `φ(q)·φ(k)` as a function of `q·k`, which spares forming φ inside a
        chunk. None: the identity.

    Returns the outputs `[B, T, H, V]` and the state after the last token.
    """
    time = q.shape[1]
    chunk = min(chunk, time)
    q, k, v = (into_chunks(u, chunk) for u in (q, k, v))
    scores, total = q @ k.transpose(-1, -2), None
    if log_decay is not None:
        total = into_chunks(log_decay, chunk).cumsum(-2)  # [B, N, H, C, 1]
        scores = scores * decay_ratios(total)
    scores = (scores if kernel is None else kernel(scores)).tril()
    if features is not None:
        q, k = features(q), features(k)
    if total is not None:
        q, k = q * total.exp(), k * (total[..., -1:, :] - total).exp()
    before, state = carry(k.transpose(-1, -2) @ v, state, None if total is None else total[..., -1, :, None].exp())
    return from_chunks(scores @ v + q @ before, time), state


def into_chunks(u: Tensor, chunk: int) -> Tensor:
    """`[B, T, H, X] -> [B, N, H, C, X]`, zeros after the last token (which add nothing, and decay nothing)."""
    return F.pad(u, (0, 0, 0, 0, 0, -u.shape[1] % chunk)).unflatten(1, (-1, chunk)).transpose(2, 3)


def from_chunks(u: Tensor, time: int) -> Tensor:
    """`[B, N, H, C, X] -> [B, T, H, X]`."""
    return u.transpose(2, 3).flatten(1, 2)[:, :time]


def decay_ratios(total: Tensor) -> Tensor:
    """`e^{G_i - G_j}` for j ≤ i, 0 elsewhere, `[..., C, C]`, from the running sums G of log decays `[..., C, 1]`."""
    later = torch.ones(total.shape[-2], total.shape[-2], dtype=torch.bool, device=total.device).triu(1)
    return (total - total.transpose(-1, -2)).masked_fill(later, -torch.inf).exp()


def carry(updates: Tensor, state: Tensor, decay: Tensor | None) -> tuple[Tensor, Tensor]:
    """States before each chunk `[B, N, H, F, V]`, and the last one, from the updates and decays `[B, N, H, F, 1]`.

    Unbound, not indexed: the gradient of an index has the size of what is indexed, and chunks may be many.
    """
    before = []
    decays = [None] * updates.shape[1] if decay is None else decay.unbind(1)
    for update, kept in zip(updates.unbind(1), decays, strict=True):
        before.append(state)
        state = update + (state if kept is None else state * kept)
    return torch.stack(before, 1), state


def linear_attention_flops(t: Any, chunk: Any, key: Any, value: Any, features: Any = None) -> Any:
    """Products of one head and sequence: `T [4 F V + 2 C (K + V)]`, T rounded up to whole chunks; counted, as run."""
    features = key if features is None else features
    return padded(t, chunk) * (4 * features * value + 2 * minimum(chunk, t) * (key + value))
