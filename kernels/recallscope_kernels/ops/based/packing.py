"""Between the state that users hold and the rolled one that the Triton kernel holds (K = 16)."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

ROWS = 160  # 136 rolled products, the sum of values, 7 empty ones, 16 keys
SUM, KEYS = 136, 144  # the rows of the sum of values and of the first key
MOMENTS = 18  # rows of 16: Σ k kᵀ, Σ k, and the count


@cache
def _places() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features `[136]` of the rolled products (j, i), their weights, and pairs (a, b) of the features."""
    a, b = torch.triu_indices(16, 16)
    place = torch.empty(16, 16, dtype=torch.long)
    place[a, b] = place[b, a] = torch.arange(136)
    j, i = (u.flatten()[:SUM] for u in torch.meshgrid(torch.arange(9), torch.arange(16), indexing="ij"))
    weight = torch.ones(SUM, dtype=torch.float64)
    weight[:16] = 0.5**0.5  # the rolled weight over that of the feature: (1/2) / √½
    return 17 + place[i, (i - j) % 16], weight, a, b


def pack(state: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """`[B, H, 153, V + 1]` to the kernel's `[B, H, 160, V]` and moments `[B, H, 18, 16]`.

    A feature of the state is `√scale k` or a product of two; the kernel's keys carry all of scale, its moments none.
    """
    feature, weight, a, b = (u.to(state.device) for u in _places())
    values, sums = state[..., :-1], state[..., -1]
    second = values[..., feature, :] * (weight.to(state) * scale)[:, None]
    packed = state.new_zeros(*state.shape[:2], ROWS, values.shape[-1])
    packed[..., :SUM, :], packed[..., SUM, :] = second, values[..., 0, :]
    packed[..., KEYS:, :] = values[..., 1:17, :] * scale**0.5
    moments = state.new_zeros(*state.shape[:2], MOMENTS, 16)
    pairs = sums[..., 17:] * torch.where(a == b, 2**0.5, 1.0).to(state) / scale
    moments[..., a, b], moments[..., b, a] = pairs, pairs
    moments[..., 16, :], moments[..., 17, 0] = sums[..., 1:17] / scale**0.5, sums[..., 0]
    return packed, moments


def unpack(packed: Tensor, moments: Tensor, scale: float) -> Tensor:
    """The inverse of `pack`."""
    feature, weight, a, b = (u.to(packed.device) for u in _places())
    state = packed.new_empty(*packed.shape[:2], 153, packed.shape[-1] + 1)
    values, sums = state[..., :-1], state[..., -1]
    values[..., 0, :], values[..., 1:17, :] = packed[..., SUM, :], packed[..., KEYS:, :] / scale**0.5
    values[..., feature, :] = packed[..., :SUM, :] / (weight.to(packed) * scale)[:, None]
    sums[..., 0], sums[..., 1:17] = moments[..., 17, 0], moments[..., 16, :] * scale**0.5
    sums[..., 17:] = moments[..., a, b] * scale / torch.where(a == b, 2**0.5, 1.0).to(packed)
    return state
