"""Lightning attention as a sum over pairs of tokens, in float64."""

from __future__ import annotations

import torch
from torch import Tensor


def lightning_reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    log_decay: Tensor | None = None,
    scale: float | None = None,
    initial_state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`o_t = scale (Σ_{i≤t} λ^{t-i} (q_t·k_i) v_i + λ^{t+1} Sᵀ q_t)` with t from 0; in float64.

    Shapes as in `lightning`; None: `ln λ_h = -2^{-8h/H} (1 + 10⁻⁵)` of heads h = 1..H.
    """
    q, k, v = q.double() * (q.shape[-1] ** -0.5 if scale is None else scale), k.double(), v.double()
    time, heads = q.shape[1:3]
    if log_decay is None:
        slopes = [-(2 ** (-8 * h / heads)) * (1 + 1e-5) for h in range(1, heads + 1)]
        log_decay = torch.tensor(slopes, dtype=torch.float64)
    rate = log_decay.double().to(q.device)[:, None]  # [H, 1]
    place = torch.arange(time, dtype=torch.float64, device=q.device)
    weight = (rate[:, None] * (place[:, None] - place)).exp().tril()  # [H, T, T]
    o = torch.einsum("bthk,bihk,hti,bihv->bthv", q, k, weight, v)
    past, left = (rate * (place + 1)).exp(), (rate * (time - 1 - place)).exp()
    last = torch.einsum("bihk,hi,bihv->bhkv", k, left, v)
    if initial_state is not None:
        o = o + torch.einsum("bthk,ht,bhkv->bthv", q, past, initial_state.double())
        last = last + past[:, -1, None, None] * initial_state.double()
    return o, last
