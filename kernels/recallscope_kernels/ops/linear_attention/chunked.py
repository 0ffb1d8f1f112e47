"""Linear attention in chunks, in torch: scores inside a chunk, the state between chunks; decayed or not."""

from __future__ import annotations

from torch import Tensor

from recallscope_kernels.ops._chunks import carry, decay_ratios, from_chunks, into_chunks


def chunked_linear_attention(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor | None, state: Tensor | None, chunk: int
) -> tuple[Tensor, Tensor]:
    """Outputs `[B, T, H, V]` and last state, of already scaled q, all in the precision of the sums.

    ln α `[B or 1, T, H, 1]`; None: no decay.

    With the decays Γ from a chunk's start, `O = Γ Q S + tril(Q Kᵀ ⊙ Γ_i / Γ_j) V` and `S ← Γ_C (S + (K / Γ)ᵀ V)`. Only
    quotients of a later by an earlier Γ are formed, so strong decay underflows and cannot overflow.
    """
    time = q.shape[1]
    q, k, v = (into_chunks(u, chunk) for u in (q, k, v))
    scores, left = q @ k.transpose(-1, -2), None
    if log_decay is not None:
        total = into_chunks(log_decay, chunk).cumsum(-2)
        scores, q, k = scores * decay_ratios(total), q * total.exp(), k * (total[..., -1:, :] - total).exp()
        left = total[..., -1, :, None].exp()
    state = q.new_zeros(q.shape[0], q.shape[2], q.shape[-1], v.shape[-1]) if state is None else state
    before, state = carry(k.transpose(-1, -2) @ v, state, left)
    return from_chunks(scores.tril() @ v + q @ before, time), state
