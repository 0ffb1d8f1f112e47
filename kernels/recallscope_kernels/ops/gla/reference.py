"""Gated linear attention, token by token in float64."""

from __future__ import annotations

import torch
from torch import Tensor


def gla_reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    *,
    scale: float | None = None,
    initial_state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`S_t = diag(α_t) S_{t-1} + k_t v_tᵀ`, `o_t = scale S_tᵀ q_t`, with ln α `[B, T, H, K]`; in float64."""
    q, k, v = q.double() * (q.shape[-1] ** -0.5 if scale is None else scale), k.double(), v.double()
    decay = log_decay.double().exp()
    state = q.new_zeros(q.shape[0], q.shape[2], q.shape[3], v.shape[3])
    state = state if initial_state is None else initial_state.double()
    outputs = []
    for t in range(q.shape[1]):
        state = decay[:, t, :, :, None] * state + k[:, t, :, :, None] * v[:, t, :, None, :]
        outputs.append(torch.einsum("bhkv,bhk->bhv", state, q[:, t]))
    return torch.stack(outputs, 1), state
