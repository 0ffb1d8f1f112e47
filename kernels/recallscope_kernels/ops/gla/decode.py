"""One step of decoding states whose rows decay apart: of gated linear attention, or corrected as in KDA."""

from __future__ import annotations

import torch
from torch import Tensor

from recallscope_kernels.ops import _checks


def gla_decode(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, state: Tensor, *, scale: float | None = None
) -> Tensor:
    """Outputs `[B, 1, H, V]` of one further token; **`state` `[B, H, K, V]` is updated in place**. Not differentiable.

    q, k and ln α `[B, 1, H, K]`, v `[B, 1, H, V]`; 4 K V FLOPs a head, the decay not among them.
    """
    return channel_decode(q, k, v, None, log_decay, state, scale)


def channel_decode(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor | None, log_decay: Tensor, state: Tensor, scale: float | None
) -> Tensor:
    """`S ← diag(α) S`, `v ← β (v - Sᵀk)` (where there is β `[B, 1, H]`), `S ← S + k vᵀ`, `o = scale Sᵀq`."""
    scale = _checks.check_decode(q, k, v, state, (q.shape[-1], v.shape[-1]), scale)
    _checks.check_gates(q, {} if beta is None else {"beta": beta})
    _checks.check_gates(q, {"log_decay": log_decay}, channels=True)
    matrix = state.view(-1, *state.shape[2:])
    qs, ks, vs = (u.flatten(0, 2).to(state.dtype)[:, None, :] for u in (q, k, v))
    matrix *= log_decay.to(state.dtype).exp().view(-1, q.shape[-1], 1)
    if beta is not None:
        vs = (vs - torch.bmm(ks, matrix)) * beta.to(state.dtype).reshape(-1, 1, 1)
    torch.baddbmm(matrix, ks.transpose(1, 2), vs, out=matrix)  # torch counts this one, but not `baddbmm_`
    return torch.bmm(qs * scale, matrix).view(v.shape).to(v.dtype)
