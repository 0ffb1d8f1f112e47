"""BaseConv: the gated convolution that theory uses for all gated convolutions, and the layer that Based models use."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._long_convolution import LongConvolution1d
from recallscope.architectures.mixers._mixer import Mixer, State
from recallscope.architectures.mixers._short_convolution import ShortConvolution

FFT_FROM = 64
"""Taps from which the FFT is faster than the direct sum (measured on CPU at 256 to 2,048 tokens)."""


class BaseConv(Mixer):
    """Gated convolution with explicit filters, in one of two forms.

    - `expansion` None: `y = (W x + b₁) ⊙ (h ∗ x + b₂)` (Arora et al. 2023, arXiv 2312.04927, Section 4), W `[D, D]`, h
      of `kernel` taps for each of the D channels. There is no product after the gate.
    - `expansion` e: `[u; g] = W_in x`, u and g of M = e D / 2 channels each, and `y = W_out ((h ∗ u + b₂) ⊙ g)`. With
      `kernel` 3, `expansion` 4 and `activation` these are the convolution layers of Based models (Arora et al. 2024,
      arXiv 2402.18668). Reconstruction: the paper gives kernel, expansion and SiLU, not which halves they act on.

    With `activation`, either form applies SiLU to the convolved branch. Filters of fewer than 64 taps are summed
    directly; from 64 on the parallel form is an FFT. The state is the `kernel` - 1 inputs before the next token;
    published state counts include the current one: `kernel` a channel.

    Parameters
    ----------
    width : int
        Model width D.
    kernel : int
        Taps of the filter h: 3, or the context's length for a long convolution.
    expansion : int or None
        Channels of u and g together, over D; None: the first form.
    activation : bool
        SiLU on the convolved branch.
    """

    def __init__(self, width: int, kernel: int = 3, expansion: int | None = None, activation: bool = False):
        super().__init__()
        if kernel < 1:
            raise ValueError(f"kernel: at least 1 tap, got {kernel}")
        if expansion is not None and (expansion < 1 or expansion * width % 2):
            raise ValueError(f"expansion: at least 1, and even times the width, got {expansion} and width {width}")
        self.width, self.kernel, self.expansion, self.activation = width, kernel, expansion, activation
        self.channels = width if expansion is None else expansion * width // 2
        if expansion is not None:
            self.up = nn.Linear(width, 2 * self.channels, bias=False)
        self.direct = kernel < FFT_FROM
        self.filter = (
            ShortConvolution(self.channels, kernel)
            if self.direct
            else LongConvolution1d(torch.randn(self.channels, kernel) * kernel**-0.5)
        )
        self.out = nn.Linear(self.channels, width, bias=expansion is None)  # the gate's W in the first form

    @property
    def shift(self) -> bool:  # type: ignore[override]
        return self.kernel > 1

    def init_state(self, batch: int) -> State:
        """The last `kernel` - 1 inputs of the convolution, `[B, kernel - 1, M]`; from 64 taps on, `[B, 0, M]`."""
        return (self.filter.init_state(batch),)

    def _checked(self, state: State | None, batch: int) -> Tensor:
        return self.checked_state(state, batch)[0]

    def _convolved(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the filter reads and what gates, or what the gate is made of."""
        if self.expansion is None:
            return x, x
        convolved, gate = self.up(x).chunk(2, -1)
        return convolved, gate

    def _finish(self, mixed: Tensor, gate: Tensor) -> Tensor:
        mixed = F.silu(mixed) if self.activation else mixed
        return self.out(gate) * mixed if self.expansion is None else self.out(mixed * gate)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        past = self._checked(state, x.shape[0])
        u, gate = self._convolved(x)
        mixed, past = self.filter.prefill(u, past)
        return self._finish(mixed, gate), (past,)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        u, gate = self._convolved(x)
        mixed, past = self.filter.step(u, self._checked(state, x.shape[0]))
        return self._finish(mixed, gate), (past,)

    def _matrices(self) -> Any:
        """Elements of the matrices: D², or 3 D M."""
        return self.width**2 if self.expansion is None else 3 * self.width * self.channels

    def parameters_count(self) -> Any:
        """D² + D + (`kernel` + 1) D, or 3 D M + (`kernel` + 1) M."""
        return self._matrices() + (self.width if self.expansion is None else 0) + self.filter.parameters_count()

    def state_elements(self, t: Any) -> Any:
        """(`kernel` - 1) M, M = D in the first form; from 64 taps on, M min(t, `kernel` - 1)."""
        if isinstance(self.filter, ShortConvolution):
            return self.filter.state_elements()
        return self.filter.state_elements(t)

    def write_elements(self, t: Any) -> Any:
        """One input of the convolution: M."""
        return self.channels

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Twice the matrices a token, and 2 `kernel` M a token or the transforms."""
        matrices = 2 * batch * t * self._matrices()
        if isinstance(self.filter, ShortConvolution):
            return matrices + batch * t * self.filter.flops()
        return matrices + self.filter.prefill_flops(t, batch)

    def training_flops(self, t: Any, batch: Any = 1) -> Any:
        """Three times the products; transforms by the account of `LongConvolution1d`."""
        if isinstance(self.filter, ShortConvolution):
            return 3 * self.prefill_flops(t, batch)
        return 6 * batch * t * self._matrices() + self.filter.training_flops(t, batch)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Twice the matrices, and 2 M a tap."""
        taps = self.filter.flops() if isinstance(self.filter, ShortConvolution) else self.filter.decode_flops(t)
        return batch * (2 * self._matrices() + taps)

    def dataflow(self) -> Dataflow:
        return Dataflow((Span(0, self.kernel, self.channels),))
