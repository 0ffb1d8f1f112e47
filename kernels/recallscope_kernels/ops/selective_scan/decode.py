"""One step of decoding the selective scan."""

from __future__ import annotations

import torch
from torch import Tensor

from recallscope_kernels.ops import _checks
from recallscope_kernels.ops.selective_scan.op import check_rates


def selective_scan_decode(
    q: Tensor, k: Tensor, v: Tensor, step: Tensor, rate: Tensor, state: Tensor, *, scale: float = 1.0
) -> Tensor:
    """Outputs `[B, 1, H, V]` of one further token; **`state` `[B, H, K, V]` is updated in place**. Not differentiable.

    q, k `[B, 1, H, K]`, v and Δ `[B, 1, H, V]`, λ `[H, K, V]`; 4 K V FLOPs a head, the decay not among them.
    """
    scale = _checks.check_decode(q, k, v, state, (q.shape[-1], v.shape[-1]), scale)
    check_rates(q, v, step, rate)
    query, key, value, step, rate = (u.to(state.dtype) for u in (q, k, v, step, rate))
    state *= (step[:, 0, :, None, :] * -rate).exp_()
    matrix = state.view(-1, *state.shape[2:])
    written = (step * value).flatten(0, 2)[:, None, :]
    torch.baddbmm(matrix, key.flatten(0, 2)[:, :, None], written, out=matrix)  # counted, unlike `baddbmm_`
    return torch.bmm(query.flatten(0, 2)[:, None, :] * scale, matrix).view(v.shape).to(v.dtype)
