"""The delta rule in chunks, in torch: a triangular solve inside each chunk, the state between them."""

from __future__ import annotations

import torch
from torch import Tensor

from recallscope_kernels.ops._checks import sum_dtype
from recallscope_kernels.ops._chunks import decay_ratios, from_chunks, into_chunks


def chunked_delta_rule(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor, log_decay: Tensor | None, state: Tensor | None, chunk: int
) -> tuple[Tensor, Tensor]:
    """Outputs `[B, T, H, V]` and last state, of already scaled q.

    The WY form of Yang et al. 2024 (arXiv 2406.06484, Section 3), with decays as in arXiv 2412.06464.

    With the decays Γ from a chunk's start, the corrected values U of its tokens solve
    `(I + tril(diag(β) K Kᵀ ⊙ Γ_i / Γ_j, -1)) U = diag(β) (V - Γ K S)`; then `O = Γ Q S + tril(Q Kᵀ ⊙ Γ_i / Γ_j) U` and
    `S ← Γ_C (S + (K / Γ)ᵀ U)`. Γ is at most 1 and only quotients of a later by an earlier one are formed.
    """
    time, sums = q.shape[1], sum_dtype(q)
    q, k, v, beta = (into_chunks(u.to(sums), chunk) for u in (q, k, v, beta[..., None]))
    erase = beta * k
    read, solve, past, write, lefts = q @ k.transpose(-1, -2), erase @ k.transpose(-1, -2), 1.0, k, None
    if log_decay is not None:
        total = into_chunks(log_decay[..., None].to(sums), chunk).cumsum(-2)
        ratios, past = decay_ratios(total), total.exp()
        read, solve, write = read * ratios, solve * ratios, k * (total[..., -1:, :] - total).exp()
        lefts = total[..., -1, :, None].exp().unbind(1)
    solved = torch.linalg.solve_triangular(
        solve.tril(-1), torch.cat([beta * v, erase * past], -1), upper=False, unitriangular=True
    )
    values, corrections = solved.split([v.shape[-1], k.shape[-1]], -1)
    matrix = q.new_zeros(q.shape[0], q.shape[2], q.shape[-1], v.shape[-1]) if state is None else state
    before, corrected = [], []
    parts = (u.unbind(1) for u in (values, corrections, write.transpose(-1, -2)))
    for n, (value, correction, add) in enumerate(zip(*parts, strict=True)):
        before.append(matrix)
        corrected.append(value - correction @ matrix)
        matrix = add @ corrected[-1] + (matrix if lefts is None else matrix * lefts[n])
    o = read.tril() @ torch.stack(corrected, 1) + (q * past) @ torch.stack(before, 1)
    return from_chunks(o, time), matrix
