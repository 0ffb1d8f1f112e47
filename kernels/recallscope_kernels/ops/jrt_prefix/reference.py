"""Prefix linear attention in float64: what the fast path is compared with.

[1] Arora et al. 2024, *Just read twice: closing the recall gap for recurrent language models*, arXiv 2407.05483,
Section 4.
"""

from __future__ import annotations

import torch
from torch import Tensor

from recallscope_kernels.ops.based.reference import based_reference, taylor_features


def jrt_prefix_reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    prefix_k: Tensor,
    prefix_v: Tensor,
    *,
    scale: float | None = None,
    initial_state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`based_reference` from the initial state plus `Σ_j φ(k^e_j) [v^e_j, 1]ᵀ` over all M tokens of the prefix.

    q, k `[B, T, H, K]`, v `[B, T, H, V]`, `prefix_k` `[B, M, H, K]`, `prefix_v` `[B, M, H, V]`, states
    `[B, H, F, V + 1]`; outputs and last state in float64.
    """
    root = (q.shape[-1] ** -0.5 if scale is None else scale) ** 0.5
    features, values = taylor_features(prefix_k.double() * root), prefix_v.double()
    state = torch.einsum("bmhf,bmhv->bhfv", features, torch.cat([values, torch.ones_like(values[..., :1])], -1))
    if initial_state is not None:
        state = state + initial_state.double()
    return based_reference(q, k, v, scale=scale, initial_state=state)
