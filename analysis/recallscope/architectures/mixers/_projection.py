"""What the softmax mixers share: projections to normalised, rotated queries and keys."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def rotate(x: Tensor, positions: Tensor, base: float) -> Tensor:
    """Rotate pair (j, j + K/2) of `x` `[B, T, H, K]` by `positions · base^(-2j/K)` (Su et al. 2021, Eq. 34)."""
    half = x.shape[-1] // 2
    frequency = base ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = positions.float()[:, None] * frequency  # [T, K/2]; float32, or large positions lose their phase
    cos, sin = angle.cos().to(x.dtype)[:, None], angle.sin().to(x.dtype)[:, None]
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def project(x: Tensor, qkv: nn.Linear, q_norm: nn.RMSNorm, k_norm: nn.RMSNorm, start: int, base: float) -> list[Tensor]:
    """`[B, T, D]` to rotated q, k and plain v, each `[B, T, H, K]`, for positions `start, start + 1, ...`.

    K is the norms' width; norms and rotation run in float32, the results have the dtype of v.
    """
    q, k, v = qkv(x).unflatten(-1, (3, -1, q_norm.weight.shape[0])).unbind(-3)
    positions = torch.arange(start, start + x.shape[1], device=x.device)
    q, k = rotate(q_norm(q.float()), positions, base), rotate(k_norm(k.float()), positions, base)
    return [q.to(v.dtype), k.to(v.dtype), v]
