"""Linear attention, decayed by a number a token and head or not, token by token in float64."""

from __future__ import annotations

import torch
from torch import Tensor


def linear_attention_reference(
    q: Tensor, k: Tensor, v: Tensor, *, scale: float | None = None, initial_state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """`S_t = S_{t-1} + k_t v_tᵀ`, `o_t = scale S_tᵀ q_t`; in float64.

    q, k `[B, T, H, K]`, v `[B, T, H, V]`, S `[B, H, K, V]`.
    """
    return simple_gla_reference(q, k, v, torch.zeros_like(q[..., 0]), scale=scale, initial_state=initial_state)


def simple_gla_reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    *,
    scale: float | None = None,
    initial_state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`S_t = α_t S_{t-1} + k_t v_tᵀ`, `o_t = scale S_tᵀ q_t`, with ln α `[B, T, H]`; in float64."""
    return decayed_reference(q, k, v, log_decay[..., None], scale, initial_state)


def decayed_reference(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, scale: float | None, initial_state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The same with ln α `[B, T, H, 1]`, or `[B, T, H, K]` for `diag(α_t)`."""
    q, k, v = q.double() * (q.shape[-1] ** -0.5 if scale is None else scale), k.double(), v.double()
    decay = log_decay.double().exp()
    state = q.new_zeros(q.shape[0], q.shape[2], q.shape[3], v.shape[3])
    state = state if initial_state is None else initial_state.double()
    outputs = []
    for t in range(q.shape[1]):
        state = decay[:, t, :, :, None] * state + k[:, t, :, :, None] * v[:, t, :, None, :]
        outputs.append(torch.einsum("bhkv,bhk->bhv", state, q[:, t]))
    return torch.stack(outputs, 1), state
