"""Causal depthwise convolution over many tokens, by FFT; its state is the history itself."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from recallscope.architectures.mixers._counts import fft_flops, fft_size, minimum
from recallscope.architectures.mixers._rotary import wide


def causal_convolution(x: Tensor, taps: Tensor) -> Tensor:
    """`y_t = Σ_j taps_j x_{t-j}` along the last axis, by FFT; `x` `[B, D, T]`, `taps` `[D, ≤ T]`."""
    size = fft_size(x.shape[-1])
    return torch.fft.irfft(torch.fft.rfft(x, size) * torch.fft.rfft(taps, size), size)[..., : x.shape[-1]]


def decay_window(length: int, width: int) -> Tensor:
    """Exponential windows `[D, length]`, their time constants spread from 2 tokens to the whole length over channels.

    Scaled to unit energy so that the sum over a window does not grow with its length.
    """
    constant = torch.logspace(math.log10(2.0), math.log10(max(length, 2)), width)[:, None]
    window = torch.exp(-torch.arange(length) / constant)
    return window / window.square().sum(1, keepdim=True).sqrt()


class LongConvolution1d(nn.Module):
    """`y_t = b + Σ_{j < n} w_j ⊙ x_{t-j}`: an explicit filter of n taps for each channel, the first on `x_t`.

    Parameters
    ----------
    taps : Tensor
        Initial filter, `[X, n]`, n at least 1.
    bias : bool
        Whether to add b, zero at first.
    """

    def __init__(self, taps: Tensor, bias: bool = True):
        super().__init__()
        self.channels, self.length = taps.shape
        self.weight = nn.Parameter(taps)
        self.bias = nn.Parameter(torch.zeros(self.channels)) if bias else None

    def init_state(self, batch: int) -> Tensor:
        """Empty history, `[B, 0, X]`; it grows to the n - 1 inputs before the next."""
        return self.weight.new_zeros(batch, 0, self.channels)

    def _kept(self, past: Tensor) -> Tensor:
        return past[:, max(0, past.shape[1] - self.length + 1) :]

    def _biased(self, y: Tensor) -> Tensor:
        return y if self.bias is None else y + self.bias

    def prefill(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """`[B, T, X]` and the inputs before them to `[B, T, X]` and the history after them."""
        past = torch.cat([state, x], 1)
        with torch.autocast(x.device.type, enabled=False):  # sums over many tokens: float32 at least
            y = causal_convolution(wide(past).transpose(1, 2), wide(self.weight[:, : past.shape[1]]))
        return self._biased(y.transpose(1, 2)[:, state.shape[1] :].to(x.dtype)), self._kept(past)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """`[B, X]` and the inputs before it to `[B, X]` and the history after it."""
        past = torch.cat([state, x[:, None]], 1)
        taps = self.weight[:, : past.shape[1]].flip(-1).to(past.dtype)
        y = (taps[None, :, None] @ past.transpose(1, 2)[..., None])[..., 0, 0]
        return self._biased(y), self._kept(past)

    def parameters_count(self) -> Any:
        """n X, and X with a bias."""
        return (self.length + int(self.bias is not None)) * self.channels

    def state_elements(self, t: Any) -> Any:
        """X min(t, n - 1)."""
        return self.channels * minimum(t, self.length - 1)

    def prefill_flops(self, t: Any, batch: Any) -> Any:
        """2 B + 1 transforms a channel: inputs and outputs, and once the filter."""
        return (2 * batch + 1) * self.channels * fft_flops(t)

    def training_flops(self, t: Any, batch: Any) -> Any:
        """5 B + 3 a channel: backward, an inverse transform costs one, any other a complex one, twice as much."""
        return (5 * batch + 3) * self.channels * fft_flops(t)

    def decode_flops(self, t: Any) -> Any:
        """2 X a tap: 2 X min(t, n)."""
        return 2 * self.channels * minimum(t, self.length)
