"""One step of decoding the delta rule, gated or not: read what is kept, correct it, read the answer."""

from __future__ import annotations

import torch
from torch import Tensor

from recallscope_kernels.ops import _checks


def delta_rule_decode(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    beta: Tensor,
    log_decay: Tensor | None,
    state: Tensor,
    *,
    scale: float | None = None,
) -> Tensor:
    """Outputs `[B, 1, H, V]` of one further token; **`state` `[B, H, K, V]` is updated in place**. Not differentiable.

    β and `ln α` `[B, 1, H]` (None: no decay); 6 K V FLOPs a head.
    """
    scale = _checks.check_decode(q, k, v, state, (q.shape[-1], v.shape[-1]), scale)
    matrix = state.view(-1, *state.shape[2:])
    qs, ks, vs = (u.flatten(0, 2).to(state.dtype)[:, None, :] for u in (q, k, v))
    if log_decay is not None:
        matrix *= log_decay.to(state.dtype).exp().reshape(-1, 1, 1)
    written = (vs - torch.bmm(ks, matrix)) * beta.to(state.dtype).reshape(-1, 1, 1)
    torch.baddbmm(matrix, ks.transpose(1, 2), written, out=matrix)  # torch counts this one, but not `baddbmm_`
    return torch.bmm(qs * scale, matrix).view(v.shape).to(v.dtype)
