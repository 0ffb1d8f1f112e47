"""Causal convolution from its sum, in float64."""

from __future__ import annotations

import torch
from torch import Tensor


def fft_convolution_reference(x: Tensor, taps: Tensor, *, initial_state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """`y_t = Σ_{j<n} h_j ⊙ x_{t-j}`; x `[B, T, H, V]`, taps `[n, H, V]`, in float64.

    The state is the inputs so far, at most the last n - 1.
    """
    x, taps = x.double(), taps.double()
    past = x if initial_state is None else torch.cat([initial_state.double(), x], 1)
    before, outputs = past.shape[1] - x.shape[1], []
    for t in range(before, past.shape[1]):
        seen = past[:, max(0, t + 1 - len(taps)) : t + 1].flip(1)
        outputs.append((taps[: seen.shape[1]] * seen).sum(1))
    return torch.stack(outputs, 1), past[:, max(0, past.shape[1] - len(taps) + 1) :]
