"""RG-LRU: the gated diagonal recurrence of Hawk and Griffin, in its block."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._mixer import Mixer, State
from recallscope.architectures.mixers._rotary import wide
from recallscope.architectures.mixers._scan import checked_scan_chunk, scan, scan_flops
from recallscope.architectures.mixers._short_convolution import ShortConvolution


class RGLRU(Mixer):
    """Real-gated linear recurrent unit (De et al. 2024, arXiv 2402.19427): `h_t = a_t ⊙ h_{t-1} + √(1 - a_t²) ⊙ w_t`.

    `u = conv(W_2 x)`, `w = σ(W_i u + b_i) ⊙ u`, `ln a = -8 softplus(Λ) ⊙ σ(W_a u + b_a)` and
    `y = W_o (GELU(W_1 x) ⊙ h)`. One state element a channel; W_i and W_a are block diagonal.

    Parameters
    ----------
    width : int
        Model width D.
    recurrent_width : int or None
        Channels I of the recurrence; None: D (the paper's models have 4 D / 3, rounded).
    blocks : int
        Blocks of W_i and W_a, a divisor of I; 1: full matrices.
    conv_width : int
        Taps of the convolution.
    chunk : int
        Tokens per chunk of the scan, a power of two; changes speed, not results.
    """

    def __init__(
        self, width: int, recurrent_width: int | None = None, blocks: int = 4, conv_width: int = 4, chunk: int = 64
    ):
        super().__init__()
        self.width, self.inner, self.blocks = width, recurrent_width or width, blocks
        if self.inner % blocks:
            raise ValueError(f"blocks: must divide the {self.inner} recurrent channels, got {blocks}")
        self.chunk, self.shift = checked_scan_chunk(chunk), conv_width > 1
        size = self.inner // blocks
        self.input = nn.Linear(width, 2 * self.inner, bias=False)
        self.conv = ShortConvolution(self.inner, conv_width)
        self.gates = nn.Parameter(torch.randn(blocks, size, 2 * size) * size**-0.5)
        self.gates_bias = nn.Parameter(torch.zeros(blocks, 2 * size))
        decay = torch.empty(self.inner).uniform_(0.9, 0.999)  # of one token whose gate is open
        self.rate = nn.Parameter(torch.log(torch.expm1(-decay.log() / 8)))
        self.out = nn.Linear(self.inner, width, bias=False)

    def _gates(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """ln a and what enters the state, `[..., I]`."""
        gates = torch.einsum("...ni,nij->...nj", u.unflatten(-1, (self.blocks, -1)), self.gates.to(u.dtype))
        enter, forget = torch.sigmoid(wide(gates) + self.gates_bias).chunk(2, -1)
        log_decay = -8 * F.softplus(self.rate) * forget.flatten(-2)
        return log_decay, torch.sqrt(-torch.expm1(2 * log_decay)) * enter.flatten(-2) * u

    def init_state(self, batch: int) -> State:
        """The convolution's last inputs `[B, k - 1, I]` and a zero state `[B, I]`, float32 at least."""
        return self.conv.init_state(batch), wide(self.out.weight).new_zeros(batch, self.inner)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        recent, h = self.checked_state(state, x.shape[0])
        gate, u = self.input(x).chunk(2, -1)
        u, recent = self.conv.prefill(u, recent)
        log_decay, enters = self._gates(u)
        with torch.autocast(x.device.type, enabled=False):
            states = scan(log_decay.exp(), enters, h, self.chunk)
        return self.out(F.gelu(gate) * states.to(x.dtype)), (recent, states[:, -1])

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        recent, h = self.checked_state(state, x.shape[0])
        gate, u = self.input(x).chunk(2, -1)
        u, recent = self.conv.step(u, recent)
        log_decay, enters = self._gates(u)
        h = torch.addcmul(enters, log_decay.exp(), h)
        return self.out(F.gelu(gate) * h.to(x.dtype)), (recent, h)

    def _weights(self) -> Any:
        """3 D I + 2 I² / blocks."""
        return 3 * self.width * self.inner + 2 * self.inner**2 // self.blocks

    def parameters_count(self) -> Any:
        """3 D I + 2 I² / blocks + I (k + 4)."""
        return self._weights() + 3 * self.inner + self.conv.parameters_count()

    def state_elements(self, t: Any) -> Any:
        """Whatever `t`: k I."""
        return self.inner + self.conv.state_elements()

    def write_elements(self, t: Any) -> Any:
        """The state and one input of the convolution: 2 I."""
        return 2 * self.inner

    def _token_flops(self) -> Any:
        """Of one token, but for the state: projections, gates and convolution."""
        return 2 * self._weights() + self.conv.flops()

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, gates, convolution, and the scan of I channels."""
        return batch * (t * self._token_flops() + self.inner * scan_flops(t, self.chunk))

    def training_flops(self, t: Any, batch: Any = 1) -> Any:
        """Three times the products; the scan is one forward and one backward."""
        return batch * (3 * t * self._token_flops() + 2 * self.inner * scan_flops(t, self.chunk))

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, gates and convolution, and 2 I."""
        return batch * (self._token_flops() + 2 * self.inner)

    def dataflow(self) -> Dataflow:
        return Dataflow((Span(0, self.conv.width, self.inner),), self.inner)
