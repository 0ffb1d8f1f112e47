"""Kimi delta attention, token by token in float64."""

from __future__ import annotations

import torch
from torch import Tensor


def kda_reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    beta: Tensor,
    log_decay: Tensor,
    *,
    scale: float | None = None,
    initial_state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`S_t = (I - β_t k_t k_tᵀ) diag(α_t) S_{t-1} + β_t k_t v_tᵀ`, `o_t = scale S_tᵀ q_t`; in float64.

    Shapes as in `kda`; the transition is formed as a matrix.
    """
    q, k, v = q.double() * (q.shape[-1] ** -0.5 if scale is None else scale), k.double(), v.double()
    beta, decay = beta.double(), log_decay.double().exp()
    state = q.new_zeros(q.shape[0], q.shape[2], q.shape[3], v.shape[3])
    state = state if initial_state is None else initial_state.double()
    identity, outputs = torch.eye(q.shape[-1], dtype=q.dtype, device=q.device), []
    for t in range(q.shape[1]):
        key, rate = k[:, t, :, :, None], beta[:, t, :, None, None]
        transition = (identity - rate * key * key.mT) * decay[:, t, :, None, :]
        state = transition @ state + rate * key * v[:, t, :, None, :]
        outputs.append(torch.einsum("bhkv,bhk->bhv", state, q[:, t]))
    return torch.stack(outputs, 1), state
