"""Linear attention in chunks, in torch: scores inside a chunk, the state between chunks; decayed or not."""

from __future__ import annotations

import torch
from torch import Tensor

from recallscope_kernels.ops._checks import sum_dtype
from recallscope_kernels.ops._chunks import decay_ratios, from_chunks, into_chunks


def chunked_linear_attention(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor | None, state: Tensor | None, chunk: int
) -> tuple[Tensor, Tensor]:
    """Outputs `[B, T, H, V]` and last state, of already scaled q.

    With the decays Γ from a chunk's start, `O = Γ Q S + tril(Q Kᵀ ⊙ Γ_i / Γ_j) V` and `S ← Γ_C (S + (K / Γ)ᵀ V)`. Only
    quotients of a later by an earlier Γ are formed, so strong decay underflows and cannot overflow.
    """
    time, sums = q.shape[1], sum_dtype(q)
    q, k, v = (into_chunks(u.to(sums), chunk) for u in (q, k, v))
    scores, lefts = q @ k.transpose(-1, -2), None
    if log_decay is not None:
        total = into_chunks(log_decay[..., None].to(sums), chunk).cumsum(-2)
        scores, q, k = scores * decay_ratios(total), q * total.exp(), k * (total[..., -1:, :] - total).exp()
        lefts = total[..., -1, :, None].exp().unbind(1)
    within, before = scores.tril() @ v, []
    state = q.new_zeros(q.shape[0], q.shape[2], q.shape[-1], v.shape[-1]) if state is None else state
    for n, update in enumerate((k.transpose(-1, -2) @ v).unbind(1)):
        before.append(state)
        state = update + (state if lefts is None else state * lefts[n])
    return from_chunks(within + q @ torch.stack(before, 1), time), state
