"""The (gated) delta rule, token by token in float64."""

from __future__ import annotations

import torch
from torch import Tensor


def delta_rule_reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    beta: Tensor,
    log_decay: Tensor | None = None,
    *,
    scale: float | None = None,
    initial_state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`S_t = α_t (I - β_t k_t k_tᵀ) S_{t-1} + β_t k_t v_tᵀ`, `o_t = scale S_tᵀ q_t`, in float64.

    Shapes as in `gated_delta_rule`; without `log_decay` α is 1.
    """
    q, k, v, beta = (
        q.double() * (q.shape[-1] ** -0.5 if scale is None else scale),
        k.double(),
        v.double(),
        beta.double(),
    )
    decay = torch.ones_like(beta) if log_decay is None else log_decay.double().exp()
    state = q.new_zeros(q.shape[0], q.shape[2], q.shape[3], v.shape[3])
    state = state if initial_state is None else initial_state.double()
    outputs = []
    for t in range(q.shape[1]):
        state = decay[:, t, :, None, None] * state
        kept = torch.einsum("bhkv,bhk->bhv", state, k[:, t])
        written = beta[:, t, :, None] * (v[:, t] - kept)
        state = state + k[:, t, :, :, None] * written[:, :, None, :]
        outputs.append(torch.einsum("bhkv,bhk->bhv", state, q[:, t]))
    return torch.stack(outputs, 1), state
