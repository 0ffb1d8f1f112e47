"""The generalised delta rule of RWKV-7 in chunks, in torch: a triangular solve inside, the state between them."""

from __future__ import annotations

import torch
from torch import Tensor

from recallscope_kernels.ops._chunks import from_chunks, into_chunks


def chunked_rwkv7(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, a: Tensor, b: Tensor, state: Tensor | None, chunk: int
) -> tuple[Tensor, Tensor]:
    """Outputs `[B, T, H, V]` and last state, of already scaled q, all in the precision of the sums; O(T (C + K)).

    q, k, ln w, a, b `[B, T, H, K]`, v `[B, T, H, V]`, state `[B, H, K, V]` before the first token. What the a of a
    chunk find, the R of `S_t = diag(w_t) S_{t-1} + b_t R_tᵀ + k_t v_tᵀ`, solves a triangular system. Scores are
    products of vectors decayed to the middle of their chunk: with ln w from -1 to 0 and chunks of 64 by factors within
    e^±32, so that nothing is lost.
    """
    time = q.shape[1]
    chunk = min(chunk, time)
    q, k, v, log_decay, a, b = (into_chunks(u, chunk) for u in (q, k, v, log_decay, a, b))
    total = log_decay.cumsum(-2)  # [B, N, H, C, K]
    prior, middle, end = total - log_decay, total[..., chunk // 2, None, :], total[..., -1:, :]
    rows = torch.cat([a * (prior - middle).exp(), q * (total - middle).exp()], -2)
    keys = torch.cat([b, k], -2) * (middle - total).exp().repeat(1, 1, 1, 2, 1)
    found, read = (rows @ keys.transpose(-1, -2)).split(chunk, -2)
    (found_b, found_k), (read_b, read_k) = found.chunk(2, -1), read.chunk(2, -1)
    known = torch.cat([found_k.tril(-1) @ v, a * prior.exp()], -1)
    solved = torch.linalg.solve_triangular(-found_b.tril(-1), known, upper=False, unitriangular=True)
    values, corrections = solved.split([v.shape[-1], k.shape[-1]], -1)
    to_end = (end - total).exp()
    erase, writes = (b * to_end).transpose(-1, -2), (k * to_end).transpose(-1, -2) @ v
    left = end.transpose(-1, -2).exp()
    matrix = q.new_zeros(q.shape[0], q.shape[2], q.shape[-1], v.shape[-1]) if state is None else state
    before, finds = [], []
    parts = (u.unbind(1) for u in (values, corrections, left, writes, erase))
    for value, correction, kept, write, remove in zip(*parts, strict=True):
        before.append(matrix)
        finds.append(value + correction @ matrix)
        matrix = matrix * kept + write + remove @ finds[-1]
    o = read_b.tril() @ torch.stack(finds, 1) + read_k.tril() @ v + (q * total.exp()) @ torch.stack(before, 1)
    return from_chunks(o, time), matrix
