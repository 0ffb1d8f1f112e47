"""Long convolution without gates: a fixed linear filter over the whole context."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._long_convolution import LongConvolution1d, decay_window
from recallscope.architectures.mixers._mixer import Mixer, State


class LongConvolution(Mixer):
    """`y = W_out (h ∗ u + d ⊙ u)`, `u = W_in x`, h explicit and learned (Fu et al. 2023, arXiv 2302.06646).

    Linear in x: how much of a token is read depends on its distance alone, so nothing can be looked up by content.
    The convolution is an FFT. Left out: squashing and smoothing of the filter, which regularise it.

    Parameters
    ----------
    width : int
        Model width D.
    length : int
        Taps of the filter: nothing farther back is seen.
    decay : bool
        Initial taps: normal noise under exponential windows of unit energy, whose time constants run from 2 tokens to
        `length` over the channels; without, normal noise of variance 1 / `length`.
    """

    def __init__(self, width: int, length: int = 1024, decay: bool = True):
        super().__init__()
        if length < 1:
            raise ValueError(f"length: at least 1 token, got {length}")
        self.width, self.length = width, length
        self.value = nn.Linear(width, width, bias=False)
        window = decay_window(length, width) if decay else torch.full((width, length), length**-0.5)
        self.filter = LongConvolution1d(torch.randn(width, length) * window, bias=False)
        self.skip = nn.Parameter(torch.ones(width))
        self.out = nn.Linear(width, width, bias=False)

    @property
    def shift(self) -> bool:  # type: ignore[override]
        return self.length > 1

    def init_state(self, batch: int) -> State:
        """Empty history of u, `[B, 0, D]`."""
        return (self.filter.init_state(batch),)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        (past,) = self.checked_state(state, x.shape[0])
        u = self.value(x)
        mixed, past = self.filter.prefill(u, past)
        return self.out(mixed + self.skip * u), (past,)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        (past,) = self.checked_state(state, x.shape[0])
        u = self.value(x)
        mixed, past = self.filter.step(u, past)
        return self.out(mixed + self.skip * u), (past,)

    def parameters_count(self) -> Any:
        """2 D² + D, and the filter's D `length`."""
        return 2 * self.width**2 + self.width + self.filter.parameters_count()

    def state_elements(self, t: Any) -> Any:
        """D min(t, `length` - 1)."""
        return self.filter.state_elements(t)

    def write_elements(self, t: Any) -> Any:
        """One u: D."""
        return self.width

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections 4 D² a token, and 2 B + 1 transforms a channel."""
        return 4 * batch * t * self.width**2 + self.filter.prefill_flops(t, batch)

    def training_flops(self, t: Any, batch: Any = 1) -> Any:
        """Three times the projections, and 5 B + 3 transforms a channel."""
        return 12 * batch * t * self.width**2 + self.filter.training_flops(t, batch)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections 4 D², and 2 D min(t, `length`)."""
        return batch * (4 * self.width**2 + self.filter.decode_flops(t))

    def dataflow(self) -> Dataflow:
        return Dataflow((Span(0, self.length, self.width),))
