"""Simple gated linear attention by Mamba-2's own kernels."""

from __future__ import annotations

import torch
from torch import Tensor

from recallscope_kernels.ops._libraries import mamba_ssd

CHUNK = 256  # what mamba-ssm's layers use


def mamba_simple_gla(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, scale: float, state: Tensor | None, keep: bool
) -> tuple[Tensor, Tensor | None]:
    """Outputs `[B, T, H, V]` and the state `[B, H, K, V]` if it is to be kept.

    Their recurrence is `S ← e^{Δ A} S + B (Δ x)ᵀ`, so Δ = -ln α, A = -1 and x = v / Δ: ln α must lie below 0, and where
    it is 0 the outputs are NaN. Keys and queries are one group a head.
    """
    run, step = mamba_ssd(q), -log_decay.float()
    rate = torch.full((q.shape[2],), -1.0, device=q.device)
    x = (v.float() / step[..., None]).to(v.dtype)
    past = None if state is None else state.mT.contiguous()
    o = run(x, step, rate, k, q * scale, CHUNK, initial_states=past, return_final_states=keep)
    return (o[0], o[1].mT) if keep else (o, None)
