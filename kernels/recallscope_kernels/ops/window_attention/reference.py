"""Sliding-window softmax attention, query by query in float64."""

from __future__ import annotations

import torch
from torch import Tensor

WINDOW = 64


def window_attention_reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    window: int = WINDOW,
    scale: float | None = None,
    initial_state: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """`o_t = Σ_i softmax_i(scale q_t·k_i) v_i` over `t - window < i ≤ t`; shapes as in `attention_reference`; float64.

    The state is the last `window` keys and values so far.
    """
    q, k, v = q.double() * (q.shape[-1] ** -0.5 if scale is None else scale), k.double(), v.double()
    if initial_state is not None:
        k, v = (torch.cat([past.double(), u], 1) for past, u in zip(initial_state, (k, v), strict=True))
    before, outputs = k.shape[1] - q.shape[1], []
    for t in range(q.shape[1]):
        seen = slice(max(0, before + t + 1 - window), before + t + 1)
        weights = torch.einsum("bhk,bihk->bhi", q[:, t], k[:, seen]).softmax(-1)
        outputs.append(torch.einsum("bhi,bihv->bhv", weights, v[:, seen]))
    return torch.stack(outputs, 1), (k[:, -window:], v[:, -window:])
