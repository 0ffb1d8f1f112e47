"""The features of `taylor_features` in an order that needs no gathering: products of x with x rolled."""

from __future__ import annotations

import torch
from torch import Tensor


def rolled_features(x: Tensor) -> Tensor:
    """`[..., K] -> [..., F]`: `1`, `x`, `x² / √2`, then `x ⊙ roll(x, -j)` for j = 1, 2, …, each pair of channels once.

    If K is even the last slice, j = K / 2, has each of its pairs twice, and half of it is left out.
    """
    width = x.shape[-1]
    slices, begin = (width + 1) // 2, 1 + width  # whole slices, and where they begin
    end, rolls = begin + slices * width, _rolls(x)
    features = x.new_empty(*x.shape[:-1], 1 + width + width * (width + 1) // 2)
    features[..., 0], features[..., 1:begin] = 1, x
    torch.mul(x[..., None, :], rolls[..., :slices, :], out=features[..., begin:end].unflatten(-1, (slices, width)))
    features[..., begin : begin + width] *= 0.5**0.5
    if width % 2 == 0:
        torch.mul(x[..., : width // 2], x[..., width // 2 :], out=features[..., end:])
    return features


def rolled_features_backward(x: Tensor, grad: Tensor) -> Tensor:
    """Gradient of x from that of its features: each product passes to both of its factors."""
    width, slices = x.shape[-1], x.shape[-1] // 2 + 1
    second = torch.zeros(*x.shape[:-1], slices * width, dtype=x.dtype, device=x.device)
    second[..., : width * (width + 1) // 2] = grad[..., 1 + width :]
    second[..., :width] *= 0.5**0.5
    second = second.unflatten(-1, (slices, width))
    to_rolled = second * x[..., None, :]
    # Entry i of slice j belongs to channel i + j: doubled rows, read one place further left from row to row.
    twice = torch.cat([to_rolled, to_rolled], -1)
    back = twice.as_strided(to_rolled.shape, (*twice.stride()[:-2], 2 * width - 1, 1), width)
    return grad[..., 1 : 1 + width] + (second * _rolls(x)).sum(-2) + back.sum(-2)


def rolled_order(width: int, device: torch.device) -> Tensor:
    """`[F]`: `taylor_features(x)[..., rolled_order] == rolled_features(x)`."""
    a, b = torch.triu_indices(width, width)
    place = torch.empty(width, width, dtype=torch.long)
    place[a, b] = place[b, a] = 1 + width + torch.arange(len(a))
    i, j = torch.arange(width), torch.arange(width // 2 + 1)[:, None]
    second = place[i, (i + j) % width].flatten()[: len(a)]
    return torch.cat([torch.arange(1 + width), second]).to(device)


def _rolls(x: Tensor) -> Tensor:
    """`[..., K / 2 + 1, K]`: row j is x rolled by j to the left."""
    width = x.shape[-1]
    return torch.cat([x, x[..., : width // 2]], -1).unfold(-1, width, 1)
