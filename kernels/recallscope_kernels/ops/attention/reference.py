"""Causal softmax attention from its definition, in float64."""

from __future__ import annotations

import torch
from torch import Tensor


def attention_reference(
    q: Tensor, k: Tensor, v: Tensor, *, scale: float | None = None, initial_state: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """`o_t = Σ_{i≤t} softmax_i(scale q_t·k_i) v_i`, q, k `[B, T, H, K]`, v `[B, T, H, V]`; float64.

    The state is the keys and values so far.
    """
    q, k, v = q.double(), k.double(), v.double()
    if initial_state is not None:
        k, v = (torch.cat([past.double(), u], 1) for past, u in zip(initial_state, (k, v), strict=True))
    scores = torch.einsum("bthk,bshk->bhts", q, k) * (q.shape[-1] ** -0.5 if scale is None else scale)
    later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1 + k.shape[1] - q.shape[1])
    return torch.einsum("bhts,bshv->bthv", scores.masked_fill(later, -torch.inf).softmax(-1), v), (k, v)
