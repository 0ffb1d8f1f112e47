"""The delta rule in chunks, in torch: a triangular solve inside each chunk, the state between them; any decay."""

from __future__ import annotations

import torch
from torch import Tensor

from recallscope_kernels.ops._chunks import decay_ratios, from_chunks, into_chunks
from recallscope_kernels.ops.gla.chunked import FORGOTTEN
from recallscope_kernels.ops.gla.scores import channel_decay_scores


def chunked_delta_rule(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor, log_decay: Tensor | None, state: Tensor | None, chunk: int
) -> tuple[Tensor, Tensor]:
    """Outputs `[B, T, H, V]` and last state, of already scaled q, all in the precision of the sums; O(T (C + K)).

    β `[B, T, H, 1]`; ln α, at most 0, `[B, T, H, 1]`, or one a channel, `[B, T, H, K]`, and then `chunk` is a power of
    two. The WY form of Yang et al. 2024 (arXiv 2406.06484, Section 3), with decays as in arXiv 2412.06464.

    With the decays Γ from a chunk's start, K̄ = Γ ⊙ K and K̃ = K ⊘ Γ, the corrected values U of its tokens solve
    `(I + tril(diag(β) K̄ K̃ᵀ, -1)) U = diag(β) (V - K̄ S)`; then `O = (Γ ⊙ Q) S + tril((Γ ⊙ Q) K̃ᵀ) U` and
    `S ← diag(Γ_C) (S + K̃ᵀ U)`. K̃ is never formed: every exponent taken is a sum of logarithms of decays, so strong
    decay underflows and cannot overflow.
    """
    time = q.shape[1]
    q, k, v, beta = (into_chunks(u, chunk) for u in (q, k, v, beta))
    erase, past, write, left = beta * k, 1.0, k, None
    if log_decay is None:
        read, solve = _products(q, erase, k)
    else:
        channels = log_decay.shape[-1] > 1
        total = into_chunks(log_decay, chunk)
        total = (total.clamp(min=FORGOTTEN) if channels else total).cumsum(-2)
        past, left, write = total.exp(), total[..., -1, :, None].exp(), k * (total[..., -1:, :] - total).exp()
        if channels:
            read, solve = channel_decay_scores(q, k, total), channel_decay_scores(erase, k, total)
        else:
            read, solve = (u * decay_ratios(total) for u in _products(q, erase, k))
    solved = torch.linalg.solve_triangular(
        solve.tril(-1), torch.cat([beta * v, erase * past], -1), upper=False, unitriangular=True
    )
    values, corrections = solved.split([v.shape[-1], k.shape[-1]], -1)
    matrix = q.new_zeros(q.shape[0], q.shape[2], q.shape[-1], v.shape[-1]) if state is None else state
    before, corrected = [], []
    lefts = [None] * k.shape[1] if left is None else left.unbind(1)
    parts = (u.unbind(1) for u in (values, corrections, write.transpose(-1, -2)))
    for value, correction, add, kept in zip(*parts, lefts, strict=True):
        before.append(matrix)
        corrected.append(value - correction @ matrix)
        matrix = add @ corrected[-1] + (matrix if kept is None else matrix * kept)
    o = read.tril() @ torch.stack(corrected, 1) + (q * past) @ torch.stack(before, 1)
    return from_chunks(o, time), matrix


def _products(q: Tensor, erase: Tensor, k: Tensor) -> tuple[Tensor, ...]:
    """`q kᵀ` and `erase kᵀ` `[..., C, C]`, as one product."""
    return (torch.cat([q, erase], -2) @ k.transpose(-1, -2)).chunk(2, -2)
