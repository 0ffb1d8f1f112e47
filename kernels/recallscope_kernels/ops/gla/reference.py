"""Gated linear attention, token by token in float64."""

from __future__ import annotations

from torch import Tensor

from recallscope_kernels.ops.linear_attention.reference import decayed_reference


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
    return decayed_reference(q, k, v, log_decay, scale, initial_state)
