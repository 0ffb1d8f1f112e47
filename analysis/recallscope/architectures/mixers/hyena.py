"""Hyena: gated long convolution. The mixing weights depend on the distance alone, never on the input."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Hyena(nn.Module):
    """Order-2 Hyena operator (Poli et al. 2023, Section 3): `y = W_o (q ⊙ (h * (k ⊙ v) + b ⊙ k ⊙ v))`.

    q, k, v are linear projections, each followed by a causal depthwise convolution of width 3. The long filter h is
    implicit: an MLP with sine activations of positional features, times a decay window whose rate differs by channel.
    The convolution runs as an FFT in float32, whatever the dtype of the input.

    Parameters
    ----------
    width : int
        Model width D.
    length : int
        Length of the filter, in tokens: nothing farther back is seen.
    filter_width, bands, sine : int, int, float
        Width of the filter's MLP, number of sine/cosine pairs among its inputs, and frequency of its activations.
    """

    binds_next_token = True

    def __init__(self, width: int, length: int = 1024, filter_width: int = 64, bands: int = 8, sine: float = 10.0):
        super().__init__()
        if length < 1:
            raise ValueError(f"length: at least 1 token, got {length}")
        self.width, self.length, self.sine = width, length, sine
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.short = nn.Conv1d(3 * width, 3 * width, 3, groups=3 * width)
        self.out = nn.Linear(width, width, bias=False)
        self.bias = nn.Parameter(torch.zeros(width))
        self.filter_in = nn.Linear(2 * bands + 1, filter_width)
        self.filter_mid = nn.Linear(filter_width, filter_width)
        self.filter_out = nn.Linear(filter_width, width, bias=False)
        self.register_buffer("features", _positional_features(length, bands), persistent=False)
        self.register_buffer("decay", _decay_window(length, width), persistent=False)

    def filter(self, length: int) -> Tensor:
        """The filter's first `length` taps, `[D, min(length, self.length)]`, float32."""
        with torch.autocast(self.bias.device.type, enabled=False):
            features: Tensor = self.features[:length]  # type: ignore[index]
            hidden = torch.sin(self.sine * self.filter_in(features))
            hidden = torch.sin(self.sine * self.filter_mid(hidden))
            return self.filter_out(hidden).t() * self.decay[:, :length]  # type: ignore[index]

    def forward(self, x: Tensor) -> Tensor:
        """`[B, T, D] -> [B, T, D]`, all positions at once; O(T log T)."""
        time = x.shape[1]
        q, k, v = self.short(F.pad(self.qkv(x).transpose(1, 2), (2, 0))).chunk(3, 1)  # each [B, D, T]
        z = k * v
        mixed = _causal_convolution(z.float(), self.filter(time)).to(x.dtype) + self.bias[:, None] * z
        return self.out((q * mixed).transpose(1, 2))

    def init_state(self, batch: int) -> tuple[Tensor, ...]:
        """The last two inputs of the short convolutions `[B, 3D, 2]` and the empty history of k ⊙ v `[B, D, 0]`."""
        weight = self.qkv.weight
        return weight.new_zeros(batch, 3 * self.width, 2), weight.new_zeros(batch, self.width, 0)

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One token: `[B, D]` and the state to `[B, D]` and the state one token longer."""
        recent, history = state
        recent = torch.cat([recent, self.qkv(x)[..., None]], 2)
        q, k, v = self.short(recent)[..., 0].chunk(3, 1)
        z = k * v
        history = torch.cat([history, z[..., None]], 2)[..., -self.length :]
        taps = self.filter(history.shape[2]).flip(-1).to(history.dtype)
        mixed = (history * taps).sum(-1) + self.bias * z
        return self.out(q * mixed), (recent[..., 1:], history)

    def state_elements(self, t: int) -> int:
        """Elements that survive between two decoding steps after `t` tokens, per sequence: D min(t, length) + 6 D."""
        return self.width * min(t, self.length) + 6 * self.width


def _causal_convolution(x: Tensor, taps: Tensor) -> Tensor:
    """`y_t = Σ_j taps_j x_{t-j}` along the last axis; `x` `[B, D, T]`, `taps` `[D, ≤ T]`."""
    size = x.shape[-1] + taps.shape[-1]
    return torch.fft.irfft(torch.fft.rfft(x, size) * torch.fft.rfft(taps, size), size)[..., : x.shape[-1]]


def _positional_features(length: int, bands: int) -> Tensor:
    """`[length, 2·bands+1]`: distance, and sines and cosines of `bands` frequencies from one to `length`/2 periods."""
    distance = torch.linspace(0, 1, length)[:, None]
    frequency = 2 * math.pi * torch.logspace(0, math.log10(max(length / 2, 1.0)), bands)
    return torch.cat([distance, torch.sin(distance * frequency), torch.cos(distance * frequency)], 1)


def _decay_window(length: int, width: int) -> Tensor:
    """Exponential windows `[D, length]`, their time constants spread from 2 tokens to the whole length over channels.

    Scaled to unit energy so that the sum over a window does not grow with its length.
    """
    constant = torch.logspace(math.log10(2.0), math.log10(max(length, 2)), width)[:, None]
    window = torch.exp(-torch.arange(length) / constant)
    return window / window.square().sum(1, keepdim=True).sqrt()
