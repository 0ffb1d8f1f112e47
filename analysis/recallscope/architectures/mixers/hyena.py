"""Hyena: gated long convolution. The mixing weights depend on the distance alone, never on the input."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._counts import fft_flops, minimum
from recallscope.architectures.mixers._long_convolution import causal_convolution, decay_window
from recallscope.architectures.mixers._mixer import Mixer, State
from recallscope.architectures.mixers._rotary import wide


class Hyena(Mixer):
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

    shift = True

    def __init__(self, width: int, length: int = 1024, filter_width: int = 64, bands: int = 8, sine: float = 10.0):
        super().__init__()
        if length < 1:
            raise ValueError(f"length: at least 1 token, got {length}")
        self.width, self.length, self.sine = width, length, sine
        self.filter_width, self.bands = filter_width, bands
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.short = nn.Conv1d(3 * width, 3 * width, 3, groups=3 * width)
        self.out = nn.Linear(width, width, bias=False)
        self.bias = nn.Parameter(torch.zeros(width))
        self.filter_in = nn.Linear(2 * bands + 1, filter_width)
        self.filter_mid = nn.Linear(filter_width, filter_width)
        self.filter_out = nn.Linear(filter_width, width, bias=False)
        self.register_buffer("features", _positional_features(length, bands), persistent=False)
        self.register_buffer("decay", decay_window(length, width), persistent=False)

    def filter(self, length: int) -> Tensor:
        """The filter's first `length` taps, `[D, min(length, self.length)]`, float32 at least."""
        with torch.autocast(self.bias.device.type, enabled=False):
            features: Tensor = self.features[:length]  # type: ignore[index]
            hidden = torch.sin(self.sine * self.filter_in(features))
            hidden = torch.sin(self.sine * self.filter_mid(hidden))
            return self.filter_out(hidden).t() * self.decay[:, :length]  # type: ignore[index]

    def init_state(self, batch: int) -> State:
        """The last two inputs of the short convolutions `[B, 2, 3D]` and the empty history of k ⊙ v `[B, 0, D]`."""
        weight = self.qkv.weight
        return weight.new_zeros(batch, 2, 3 * self.width), weight.new_zeros(batch, 0, self.width)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        recent, history = self.checked_state(state, x.shape[0])
        recent = torch.cat([recent, self.qkv(x)], 1)
        q, k, v = self.short(recent.transpose(1, 2)).chunk(3, 1)  # each [B, D, T]
        z = k * v
        past = torch.cat([history.transpose(1, 2), z], 2)
        mixed = causal_convolution(wide(past), self.filter(past.shape[2]))[..., history.shape[1] :].to(x.dtype)
        y = self.out((q * (mixed + self.bias[:, None] * z)).transpose(1, 2))
        return y, (recent[:, -2:], past.transpose(1, 2)[:, -self.length :])

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        recent, history = self.checked_state(state, x.shape[0])
        recent = torch.cat([recent, self.qkv(x)[:, None]], 1)
        q, k, v = self.short(recent.transpose(1, 2))[..., 0].chunk(3, 1)
        z = k * v
        history = torch.cat([history, z[:, None]], 1)[:, -self.length :]
        taps = self.filter(history.shape[1]).flip(-1).to(history.dtype)  # [D, t]
        mixed = (taps[None, :, None] @ history.transpose(1, 2)[..., None])[..., 0, 0] + self.bias * z
        return self.out(q * mixed), (recent[:, 1:], history)

    def parameters_count(self) -> Any:
        """4 D² in the projections, 13 D in the short convolutions and the bias, the rest in the filter's network."""
        d, w = self.width, self.filter_width
        return 4 * d**2 + 13 * d + (2 * self.bands + 2) * w + (w + 1) * w + w * d

    def state_elements(self, t: Any) -> Any:
        """D min(t, length) + 6 D."""
        return self.width * minimum(t, self.length) + 6 * self.width

    def write_elements(self, t: Any) -> Any:
        """One for each channel of the history and of the short convolutions: 4 D."""
        return 4 * self.width

    def _filter_flops(self, t: Any) -> Any:
        """The filter's network over `t` positions, once for a batch, in its first layer and in the others."""
        w = self.filter_width
        positions = minimum(t, self.length)
        return 2 * positions * (2 * self.bands + 1) * w, 2 * positions * (w * w + w * self.width)

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections 8 D², short convolutions 18 D a token, three transforms a channel, and the filter."""
        transform = fft_flops(t)
        each = t * (8 * self.width**2 + 18 * self.width) + 2 * self.width * transform
        return batch * each + self.width * transform + sum(self._filter_flops(t))

    def training_flops(self, t: Any, batch: Any = 1) -> Any:
        """Three times the products, but the filter's first layer, whose input is fixed, twice; and the transforms.

        Those are 2 B + 1 a channel forward; backward, the inverse one costs one, and each of the others a complex one,
        twice as much: 5 B + 3 in all.
        """
        first, rest = self._filter_flops(t)
        products = 3 * batch * t * (8 * self.width**2 + 18 * self.width) + 2 * first + 3 * rest
        return products + (5 * batch + 3) * self.width * fft_flops(t)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, short convolutions, 2 D for each tap; and the filter, which `step` evaluates anew."""
        each = 8 * self.width**2 + 18 * self.width + 2 * self.width * minimum(t, self.length)
        return batch * each + sum(self._filter_flops(t))

    def dataflow(self) -> Dataflow:
        return Dataflow((Span(0, 3, 3 * self.width), Span(0, self.length + 2, self.width)))


def _positional_features(length: int, bands: int) -> Tensor:
    """`[length, 2·bands+1]`: distance, and sines and cosines of `bands` frequencies from one to `length`/2 periods."""
    distance = torch.linspace(0, 1, length)[:, None]
    frequency = 2 * math.pi * torch.logspace(0, math.log10(max(length / 2, 1.0)), bands)
    return torch.cat([distance, torch.sin(distance * frequency), torch.cos(distance * frequency)], 1)
