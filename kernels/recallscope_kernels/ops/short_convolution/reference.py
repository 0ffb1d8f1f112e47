"""A short causal convolution from its sum, token by token in float64."""

from __future__ import annotations

import torch
from torch import Tensor


def short_convolution_reference(
    x: Tensor, taps: Tensor, *, activation: str | None = None, initial_state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """`y_t = σ(Σ_{j<n} h_j ⊙ x_{t-j})`; x `[B, T, H, V]`, taps `[n, H, V]`, states `[B, n - 1, H, V]`, all in float64.

    The state is the last n - 1 inputs, zeros before the first token.
    """
    x, taps = x.double(), taps.double()
    before = len(taps) - 1
    state = x.new_zeros(x.shape[0], before, *x.shape[2:]) if initial_state is None else initial_state.double()
    past, outputs = torch.cat([state, x], 1), []
    for t in range(x.shape[1]):
        z = sum((taps[j] * past[:, before + t - j] for j in range(len(taps))), torch.zeros_like(x[:, 0]))
        outputs.append(z / (1 + torch.exp(-z)) if activation == "silu" else z)
    return torch.stack(outputs, 1), past[:, x.shape[1] :]
