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


def carry(updates: Tensor, state: Tensor, decay: Tensor | None) -> tuple[Tensor, Tensor]:
    """States before each chunk `[B, N, H, K, V]`, and the last, from updates and decays `[B, N, H, K or 1, 1]`.

    Unbound, not indexed: the gradient of an index has the size of what is indexed, and chunks may be many.
    """
    before = []
    decays = [None] * updates.shape[1] if decay is None else decay.unbind(1)
    for update, kept in zip(updates.unbind(1), decays, strict=True):
        before.append(state)
        state = update + (state if kept is None else state * kept)
    return torch.stack(before, 1), state


def decay_ratios(total: Tensor) -> Tensor:
    """`e^{G_i - G_j}` for j ≤ i, 0 elsewhere, `[..., C, C]`, from running sums G of log decays `[..., C, 1]`."""
    later = torch.ones(total.shape[-2], total.shape[-2], dtype=torch.bool, device=total.device).triu(1)
    return (total - total.transpose(-1, -2)).masked_fill(later, -torch.inf).exp()
