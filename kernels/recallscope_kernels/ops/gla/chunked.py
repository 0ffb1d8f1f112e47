"""Gated linear attention in chunks, in torch: scores inside a chunk, the state between chunks."""

from __future__ import annotations

from torch import Tensor

from recallscope_kernels.ops._chunks import carry, from_chunks, into_chunks
from recallscope_kernels.ops.gla.scores import channel_decay_scores

FORGOTTEN = -40.0  # e^-40 forgets all; longer sums would spoil the digits of the other tokens' decays


def chunked_gla(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, state: Tensor | None, chunk: int
) -> tuple[Tensor, Tensor]:
    """Outputs `[B, T, H, V]` and last state of already scaled q, all in the precision of the sums; O(T (C + K)).

    q, k and ln α, at most 0, `[B, T, H, K]`; v `[B, T, H, V]`; state `[B, H, K, V]` before the first token. `chunk` is
    a power of two, to which the tokens are padded. With the decays Γ from a chunk's start,
    `O = (Γ ⊙ Q) S + tril((Γ ⊙ Q) (K ⊘ Γ)ᵀ) V` and `S ← diag(Γ_C) (S + (K ⊘ Γ)ᵀ V)` (Yang et al. 2024, arXiv
    2312.06635); K ⊘ Γ, which overflows, is never formed.
    """
    time = q.shape[1]
    q, k, v, log_decay = (into_chunks(u, chunk) for u in (q, k, v, log_decay))
    total = log_decay.clamp(min=FORGOTTEN).cumsum(-2)
    inside = channel_decay_scores(q, k, total) @ v
    end = total[..., -1:, :]
    updates = (k * (end - total).exp()).transpose(-1, -2) @ v
    state = q.new_zeros(q.shape[0], q.shape[2], q.shape[-1], v.shape[-1]) if state is None else state
    before, state = carry(updates, state, end.exp().transpose(-1, -2))
    return from_chunks(inside + (q * total.exp()) @ before, time), state
