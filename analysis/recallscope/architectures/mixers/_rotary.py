"""Rotary positions (Su et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor


def wide(x: Tensor) -> Tensor:
    """In float32 at least: for norms, rotations and sums that lower precision would spoil."""
    return x if x.dtype == torch.float64 else x.float()


def rotate(x: Tensor, positions: Tensor, base: float) -> Tensor:
    """Rotate pair (j, j + K/2) of `x` `[B, T, H, K]` by `positions · base^(-2j/K)` (Su et al. 2021, Eq. 34)."""
    half = x.shape[-1] // 2
    dtype = torch.promote_types(x.dtype, torch.float32)  # in 16 bits, large positions lose their phase
    frequency = base ** (-torch.arange(half, device=x.device, dtype=dtype) / half)
    angle = positions.to(dtype)[:, None] * frequency  # [T, K/2]
    cos, sin = angle.cos().to(x.dtype)[:, None], angle.sin().to(x.dtype)[:, None]
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)
