"""One step of decoding linear attention: the state is read and written once."""

from __future__ import annotations

import torch
from torch import Tensor

from recallscope_kernels.ops import _checks


def linear_attention_decode(q: Tensor, k: Tensor, v: Tensor, state: Tensor, *, scale: float | None = None) -> Tensor:
    """Outputs `[B, 1, H, V]` of one further token; **`state` `[B, H, K, V]` is updated in place**.

    q, k `[B, 1, H, K]`, v `[B, 1, H, V]`; 4 K V FLOPs a head. Not differentiable.
    """
    scale = _checks.check_decode(q, k, v, state, (q.shape[-1], v.shape[-1]), scale)
    matrix = state.view(-1, *state.shape[2:])
    qs, ks, vs = (u.flatten(0, 2).to(state.dtype) for u in (q, k, v))
    torch.baddbmm(matrix, ks[:, :, None], vs[:, None, :], out=matrix)  # torch counts this one, but not `baddbmm_`
    return torch.bmm(qs[:, None, :] * scale, matrix).view(v.shape).to(v.dtype)
