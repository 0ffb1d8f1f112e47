"""The generalised delta rule of RWKV-7, token by token in float64."""

from __future__ import annotations

import torch
from torch import Tensor


def rwkv7_reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    a: Tensor,
    b: Tensor,
    *,
    scale: float = 1.0,
    initial_state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`S_t = diag(w_t) S_{t-1} + b_t (a_tᵀ S_{t-1}) + k_t v_tᵀ`, `o_t = scale S_tᵀ q_t`; in float64.

    q, k, ln w, a, b `[B, T, H, K]`, v `[B, T, H, V]`, S `[B, H, K, V]`; the transition is formed as a matrix.
    """
    q, k, v, a, b = q.double() * scale, k.double(), v.double(), a.double(), b.double()
    transition = torch.diag_embed(log_decay.double().exp()) + b[..., :, None] * a[..., None, :]  # [B, T, H, K, K]
    state = q.new_zeros(q.shape[0], q.shape[2], q.shape[3], v.shape[3])
    state = state if initial_state is None else initial_state.double()
    outputs = []
    for t in range(q.shape[1]):
        state = transition[:, t] @ state + k[:, t, :, :, None] * v[:, t, :, None, :]
        outputs.append(torch.einsum("bhkv,bhk->bhv", state, q[:, t]))
    return torch.stack(outputs, 1), state
