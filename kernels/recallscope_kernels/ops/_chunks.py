"""Whole chunks: what the linear mixers in torch share."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad


def into_chunks(u: Tensor, chunk: int) -> Tensor:
    """`[B, T, H, X] -> [B, N, H, C, X]`, zeros after the last token, which add nothing and decay nothing."""
    return pad(u, (0, 0, 0, 0, 0, -u.shape[1] % chunk)).unflatten(1, (-1, chunk)).transpose(2, 3)


def from_chunks(u: Tensor, time: int) -> Tensor:
    """`[B, N, H, C, X] -> [B, T, H, X]`."""
    return u.transpose(2, 3).flatten(1, 2)[:, :time]


def decay_ratios(total: Tensor) -> Tensor:
    """`e^{G_i - G_j}` for j ≤ i, 0 elsewhere, `[..., C, C]`, from running sums G of log decays `[..., C, 1]`."""
    later = torch.ones(total.shape[-2], total.shape[-2], dtype=torch.bool, device=total.device).triu(1)
    return (total - total.transpose(-1, -2)).masked_fill(later, -torch.inf).exp()
