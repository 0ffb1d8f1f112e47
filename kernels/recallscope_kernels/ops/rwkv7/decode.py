"""One step of decoding the generalised delta rule of RWKV-7."""

from __future__ import annotations

import torch
from torch import Tensor

from recallscope_kernels.ops import _checks


def rwkv7_decode(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    a: Tensor,
    b: Tensor,
    state: Tensor,
    *,
    scale: float = 1.0,
) -> Tensor:
    """Outputs `[B, 1, H, V]` of one further token; **`state` `[B, H, K, V]` is updated in place**. Not differentiable.

    q, k, ln w, a, b `[B, 1, H, K]`, v `[B, 1, H, V]`; 8 K V FLOPs a head, the decay not among them. Any decay.
    """
    scale = _checks.check_decode(q, k, v, state, (q.shape[-1], v.shape[-1]), scale)
    _checks.check_gates(q, {"log_decay": log_decay, "a": a, "b": b}, channels=True)
    matrix = state.view(-1, *state.shape[2:])
    wide = (u.flatten(0, 2).to(state.dtype)[:, None, :] for u in (q, k, v, log_decay, a, b))
    query, key, value, log_decay, a, b = wide
    columns, rows = torch.cat([b, key], 1), torch.cat([torch.bmm(a, matrix), value], 1)
    matrix *= log_decay.exp().transpose(1, 2)
    torch.baddbmm(matrix, columns.transpose(1, 2), rows, out=matrix)  # torch counts this one, but not `baddbmm_`
    return torch.bmm(query * scale, matrix).view(v.shape).to(v.dtype)
