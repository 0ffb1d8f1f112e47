"""RWKV-4: an exponentially decaying average of values, weighted by their keys, channel by channel."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._mixer import Mixer, State
from recallscope.architectures.mixers._rotary import wide
from recallscope.architectures.mixers._scan import checked_scan_chunk, scan, scan_flops


class RWKV4(Mixer):
    """Time mixing of RWKV-4 (Peng et al. 2023, arXiv 2305.13048): `y = W_o (σ(r) ⊙ wkv)`.

    `wkv_t = (Σ_{i<t} e^{k_i - (t-1-i) w} v_i + e^{u + k_t} v_t) / (Σ_{i<t} e^{k_i - (t-1-i) w} + e^{u + k_t})` in each
    channel, with w = e^ŵ > 0 and u learned. r, k and v are projections of `μ ⊙ x_t + (1 - μ) ⊙ x_{t-1}`, each with its
    own μ. The sums are kept divided by e^p, p the largest exponent so far, itself a running maximum that decays.

    Channel mixing is not part of the mixer: it is the MLP of an RWKV block, and its own token shift adds D elements to
    the 4 D of the state here (the 5 D that are usually quoted).

    Parameters
    ----------
    width : int
        Model width D.
    chunk : int
        Tokens per chunk of the scan, a power of two; changes speed, not results.
    """

    shift = True

    def __init__(self, width: int, chunk: int = 64):
        super().__init__()
        self.width, self.chunk = width, checked_scan_chunk(chunk)
        self.mix = nn.Parameter(torch.linspace(0, 1, width).repeat(3, 1))
        self.receptance, self.key, self.value, self.out = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.decay = nn.Parameter(torch.linspace(-5, 3, width))
        self.bonus = nn.Parameter(math.log(0.3) + 0.5 * ((torch.arange(width) + 1) % 3 - 1))

    def _project(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        r, k, v = (torch.lerp(before, x, mix.to(x.dtype)) for mix in self.mix)
        return torch.sigmoid(self.receptance(r)), wide(self.key(k)), wide(self.value(v))

    def init_state(self, batch: int) -> State:
        """The last input `[B, D]`, the zero sums of weighted values and of weights `[B, 2, D]`, and p = -∞ `[B, D]`."""
        weight = self.out.weight
        sums = wide(weight).new_zeros(batch, 2, self.width)
        return weight.new_zeros(batch, self.width), sums, torch.full_like(sums[:, 0], -torch.inf)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        last, sums, peak = self.checked_state(state, x.shape[0])
        r, k, v = self._project(x, torch.cat([last[:, None].to(x.dtype), x[:, :-1]], 1))
        with torch.autocast(x.device.type, enabled=False):
            rate, current = wide(self.decay).exp(), wide(self.bonus) + k
            with torch.no_grad():  # neither exponent changes the result
                peaks = decaying_maximum(k, rate, peak)
                peaks_before = torch.cat([peak[:, None], peaks[:, :-1]], 1)
                largest = torch.maximum(peaks_before, current)
            kept, weight = torch.exp(peaks_before - rate - peaks), torch.exp(k - peaks)
            states = scan(
                kept[:, :, None].expand(-1, -1, 2, -1), torch.stack([weight * v, weight], 2), sums, self.chunk
            )
            past = torch.cat([sums[:, None], states[:, :-1]], 1) * torch.exp(peaks_before - largest)[:, :, None]
            weight = torch.exp(current - largest)
            wkv = (past[:, :, 0] + weight * v) / (past[:, :, 1] + weight)
        return self.out(r * wkv.to(x.dtype)), (x[:, -1].to(last.dtype), states[:, -1], peaks[:, -1])

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        last, sums, peak = self.checked_state(state, x.shape[0])
        r, k, v = self._project(x, last.to(x.dtype))
        a, b = sums.unbind(1)
        largest = torch.maximum(peak, self.bonus + k)
        past, weight = torch.exp(peak - largest), torch.exp(self.bonus + k - largest)
        wkv = (past * a + weight * v) / (past * b + weight)
        faded = peak - self.decay.exp()
        peak = torch.maximum(faded, k)
        weight = torch.exp(k - peak)
        sums = torch.addcmul(torch.stack([weight * v, weight], 1), torch.exp(faded - peak)[:, None], sums)
        return self.out(r * wkv.to(x.dtype)), (x.to(last.dtype), sums, peak)

    def parameters_count(self) -> Any:
        """4 D² + 5 D."""
        return 4 * self.width**2 + 5 * self.width

    def state_elements(self, t: Any) -> Any:
        """Whatever `t`: 4 D, the last input, two sums and their exponent."""
        return 4 * self.width

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections 8 D² a token, and the scan of 2 D channels."""
        return batch * (8 * t * self.width**2 + 2 * self.width * scan_flops(t, self.chunk))

    def training_flops(self, t: Any, batch: Any = 1) -> Any:
        """Three times the projections; the scan is one forward and one backward."""
        return batch * (24 * t * self.width**2 + 4 * self.width * scan_flops(t, self.chunk))

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections 8 D², and 4 D for the two sums."""
        return batch * (8 * self.width**2 + 4 * self.width)

    def dataflow(self) -> Dataflow:
        return Dataflow((Span(0, 2, self.width),), 3 * self.width)


def decaying_maximum(k: Tensor, rate: Tensor, start: Tensor) -> Tensor:
    """`p_t = max(p_{t-1} - w, k_t)`, `[B, T, D]`, by doubling: the maxima over s tokens give those over 2 s."""
    peaks = k.clone()
    peaks[:, 0] = torch.maximum(k[:, 0], start - rate)
    covered = 1
    while covered < k.shape[1]:
        peaks[:, covered:] = torch.maximum(peaks[:, covered:], peaks[:, :-covered] - covered * rate)
        covered *= 2
    return peaks
