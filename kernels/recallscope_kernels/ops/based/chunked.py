"""Based's linear attention in chunks, forward and backward, in torch on any device."""

from __future__ import annotations

import torch
from torch import Tensor

from recallscope_kernels.ops._checks import sum_dtype
from recallscope_kernels.ops.based.reference import feature_count
from recallscope_kernels.ops.based.rolled import rolled_features, rolled_features_backward, rolled_order


def heads_first(u: Tensor) -> Tensor:
    """`[B, T, H, X] -> [B H, T, X]`, in the precision of the sums."""
    return u.transpose(1, 2).flatten(0, 1).to(sum_dtype(u))


def tokens_first(u: Tensor, batch: int) -> Tensor:
    """`[B H, T, X] -> [B, T, H, X]`."""
    return u.unflatten(0, (batch, -1)).transpose(1, 2)


def with_ones(v: Tensor) -> Tensor:
    """`[..., V] -> [..., V + 1]`: the column that sums to the normaliser."""
    return torch.cat([v, torch.ones_like(v[..., :1])], -1)


def first_state(state: Tensor | None, q: Tensor, v: Tensor) -> Tensor:
    """`[B H, F, V + 1]` in rolled order, not the caller's memory."""
    if state is not None:
        return state.flatten(0, 1)[:, rolled_order(q.shape[-1], q.device)]
    return q.new_zeros(q.shape[0], feature_count(q.shape[-1]), v.shape[-1] + 1)


def last_state(matrix: Tensor, batch: int, width: int) -> Tensor:
    """`[B, H, F, V + 1]` in the order of `taylor_features`."""
    state = torch.empty_like(matrix)
    state[:, rolled_order(width, matrix.device)] = matrix
    return state.unflatten(0, (batch, -1))


def chunked_forward(
    q: Tensor, k: Tensor, v: Tensor, scale: float, state: Tensor | None, chunk: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs `[B, T, H, V]` in v's dtype, normaliser `[B, T, H]` and last state `[B, H, F, V + 1]` in that of sums."""
    batch, time = q.shape[:2]
    q, k, values = heads_first(q) * scale**0.5, heads_first(k) * scale**0.5, with_ones(heads_first(v))
    sums, matrix = torch.empty_like(values), first_state(state, q, values[..., :-1])
    for start in range(0, time, chunk):
        here = slice(start, start + chunk)
        qc, kc, vc = q[:, here], k[:, here], values[:, here]
        scores = _taylor(qc @ kc.transpose(1, 2))
        sums[:, here] = torch.baddbmm(scores @ vc, rolled_features(qc), matrix)
        matrix = torch.baddbmm(matrix, rolled_features(kc).transpose(1, 2), vc)
    o = tokens_first(sums[..., :-1] / sums[..., -1:], batch)
    return (
        o.to(v.dtype).contiguous(),
        tokens_first(sums[..., -1:], batch)[..., 0].contiguous(),
        last_state(matrix, batch, q.shape[-1]),
    )


def chunked_backward(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    o: Tensor,
    normaliser: Tensor,
    scale: float,
    state: Tensor | None,
    grad_state: Tensor | None,
    chunk: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of q, k, v and of the initial state, from those of the outputs and of the last state.

    With sums `n = [numerator, z]` and `o = numerator / z`: `dn = [do / z, -do·o / z]`. What follows is the backward
    pass of linear attention on [v, 1]: once forward in time with the states, once backward with their gradients. States
    are computed again and not stored, so memory does not grow with T beyond the operands.
    """
    batch, time, dtype = q.shape[0], q.shape[1], q.dtype
    root = scale**0.5
    q, k, values = heads_first(q) * root, heads_first(k) * root, with_ones(heads_first(v))
    do, z = heads_first(grad) / heads_first(normaliser[..., None]), heads_first(o)
    dn = torch.cat([do, -(do * z).sum(-1, keepdim=True)], -1)
    dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(values)
    matrix = first_state(state, q, values[..., :-1])
    starts = range(0, time, chunk)
    for start in starts:
        here = slice(start, start + chunk)
        qc, kc, vc, dc = q[:, here], k[:, here], values[:, here], dn[:, here]
        s = qc @ kc.transpose(1, 2)
        ds = ((dc @ vc.transpose(1, 2)) * (1 + s)).tril()
        dv[:, here] = _taylor(s).transpose(1, 2) @ dc
        dk[:, here] = ds.transpose(1, 2) @ qc
        dq[:, here] = ds @ kc + rolled_features_backward(qc, dc @ matrix.transpose(1, 2))
        matrix = torch.baddbmm(matrix, rolled_features(kc).transpose(1, 2), vc)
    back = torch.zeros_like(matrix) if grad_state is None else first_state(grad_state, q, values)
    for start in reversed(starts):
        here = slice(start, start + chunk)
        qc, kc, vc, dc = q[:, here], k[:, here], values[:, here], dn[:, here]
        dv[:, here] = torch.baddbmm(dv[:, here], rolled_features(kc), back)
        dk[:, here] += rolled_features_backward(kc, vc @ back.transpose(1, 2))
        back = torch.baddbmm(back, rolled_features(qc).transpose(1, 2), dc)
    dq, dk, dv = (tokens_first(u, batch).to(dtype).contiguous() for u in (dq * root, dk * root, dv[..., :-1]))
    return dq, dk, dv, last_state(back, batch, q.shape[-1])


def _taylor(s: Tensor) -> Tensor:
    """1 + s + s²/2 = (s + 1)²/2 + 1/2 for j ≤ i, 0 elsewhere; in fewer passes over memory than it reads."""
    return (s + 1).square_().mul_(0.5).add_(0.5).tril_()
