"""The selective scan, token by token in float64."""

from __future__ import annotations

import torch
from torch import Tensor


def selective_scan_reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    step: Tensor,
    rate: Tensor,
    *,
    scale: float = 1.0,
    initial_state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`S_t = e^{-Δ_t ⊙ λ} ⊙ S_{t-1} + k_t (Δ_t ⊙ v_t)ᵀ`, `o_t = scale S_tᵀ q_t`; in float64.

    Shapes as in `selective_scan`.
    """
    q, k, v, step, rate = q.double() * scale, k.double(), v.double(), step.double(), rate.double()
    state = q.new_zeros(q.shape[0], q.shape[2], q.shape[3], v.shape[3])
    state = state if initial_state is None else initial_state.double()
    outputs = []
    for t in range(q.shape[1]):
        now = step[:, t, :, None, :]
        state = (-now * rate).exp() * state + k[:, t, :, :, None] * now * v[:, t, :, None, :]
        outputs.append(torch.einsum("bhkv,bhk->bhv", state, q[:, t]))
    return torch.stack(outputs, 1), state
