"""The delta rule in chunks: a triangular solve inside each chunk, the state between chunks; any kind of decay."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recallscope.architectures.mixers._channel_decay import channel_decay_scores
from recallscope.architectures.mixers._counts import ceil_div, maximum, minimum
from recallscope.architectures.mixers._linear import decay_ratios, from_chunks, into_chunks


def delta_rule(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor, state: Tensor, chunk: int, log_decay: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """`o_t = S_tᵀ q_t`, `S_t = (I - β_t k_t k_tᵀ) diag(α_t) S_{t-1} + β_t k_t v_tᵀ`; O(T (C + K)).

    With the decays Γ from a chunk's start, the corrected values `u_t = β_t (v_t - S_{t-1}ᵀ diag(α_t) k_t)` of its
    tokens solve `(I + tril(diag(β) K̄ K̃ᵀ, -1)) U = diag(β) (V - K̄ S₀)`, K̄ = K ⊙ Γ, K̃ = K ⊘ Γ, and then
    `O = Q̄ S₀ + tril(Q̄ K̃ᵀ) U`, `S_C = diag(Γ_C) (S₀ + K̃ᵀ U)` (Yang et al. 2024, the WY form). K̃ is never formed: every
    exponent taken is a sum of logarithms of decays, so strong decay underflows and cannot overflow.

    Parameters
    ----------
    q, k, v, beta : Tensor
        `[B, T, H, K]`, `[B, T, H, K]`, `[B, T, H, V]`, `[B, T, H, 1]`, in the precision of the sums.
    state : Tensor
        `[B, H, K, V]`, before the first token.
    chunk : int
        Tokens C per chunk; changes speed, not results. A power of two if the decay is per channel.
    log_decay : Tensor or None
        `ln α`, at most 0: `[B, T, H, 1]` or `[B, T, H, K]`.

    Returns the outputs `[B, T, H, V]` and the state after the last token.
    """
    time, value = q.shape[1], v.shape[-1]
    channels = log_decay is not None and log_decay.shape[-1] > 1
    chunk = chunk if channels else min(chunk, time)
    q, k, v, beta = (into_chunks(u, chunk) for u in (q, k, v, beta))
    erase, past, left = beta * k, 1.0, None
    if log_decay is None:
        read, solve = _products(q, erase, k)
    else:
        total = into_chunks(log_decay, chunk).cumsum(-2)  # [B, N, H, C, 1 or K]
        past, left = total.exp(), total[..., -1, :, None].exp()
        if channels:
            read, solve = channel_decay_scores(q, k, total), channel_decay_scores(erase, k, total)
        else:
            read, solve = (u * decay_ratios(total) for u in _products(q, erase, k))
    solved = torch.linalg.solve_triangular(
        solve.tril(-1), torch.cat([beta * v, erase * past], -1), upper=False, unitriangular=True
    )
    write = (k if log_decay is None else k * (total[..., -1:, :] - total).exp()).transpose(-1, -2)
    values, corrections = solved.split([value, k.shape[-1]], -1)
    before, corrected = [], []
    lefts = [None] * k.shape[1] if left is None else left.unbind(1)
    for value_n, correction, add, kept in zip(*(u.unbind(1) for u in (values, corrections, write)), lefts, strict=True):
        before.append(state)
        corrected.append(value_n - correction @ state)
        state = add @ corrected[-1] + (state if kept is None else state * kept)
    o = read.tril() @ torch.stack(corrected, 1) + (q * past) @ torch.stack(before, 1)
    return from_chunks(o, time), state


def _products(q: Tensor, erase: Tensor, k: Tensor) -> tuple[Tensor, ...]:
    """`q kᵀ` and `erase kᵀ` `[..., C, C]`, as one product."""
    return (torch.cat([q, erase], -2) @ k.transpose(-1, -2)).chunk(2, -2)


def delta_rule_flops(t: Any, chunk: Any, key: Any, value: Any, channels: bool = False) -> Any:
    """Products of one head and sequence: `T [6 K V + 2 C (2 K + V) + (C - 1) (K + V)]`, T in whole chunks.

    The last term is the solve. With a decay per channel, halving makes `2 (C - 1) K` of the `4 C K` of the scores.
    """
    chunk = chunk if channels else minimum(chunk, t)
    scores = 2 * (chunk - 1) * key if channels else 4 * chunk * key
    each = 6 * key * value + scores + 2 * chunk * value + (chunk - 1) * (key + value)
    return ceil_div(t, chunk) * chunk * each


def delta_rule_training_flops(t: Any, chunk: Any, key: Any, value: Any, channels: bool = False) -> Any:
    """Forward and backward: three times the products, but a solve takes a solve and a full product backward.

    Without gradient, and so without its product, are the zero state before the first chunk and the last state.
    """
    forward = delta_rule_flops(t, chunk, key, value, channels)
    chunk = chunk if channels else minimum(chunk, t)
    chunks = ceil_div(t, chunk)
    unused = 2 * chunk * key * value * (3 + maximum(0, 2 - chunks))
    return 3 * forward + chunks * chunk * (chunk + 1) * (key + value) - unused
