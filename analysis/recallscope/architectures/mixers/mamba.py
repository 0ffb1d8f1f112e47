"""Mamba: a selective state-space layer, a diagonal recurrence whose decay and input each token sets."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._mixer import Mixer, State
from recallscope.architectures.mixers._rotary import wide
from recallscope.architectures.mixers._scan import checked_scan_chunk
from recallscope.architectures.mixers._selective_scan import selective_scan, selective_scan_flops
from recallscope.architectures.mixers._short_convolution import ShortConvolution


class Mamba(Mixer):
    """Selective scan, S6 (Gu and Dao 2023, arXiv 2312.00752): `h_t = exp(Δ_t A) ⊙ h_{t-1} + (Δ_t ⊙ u_t) B_tᵀ`.

    `[u, z] = W_in x`, `u ← SiLU(conv(u))`, `[δ, B, C] = W_x u`, `Δ = softplus(W_Δ δ + b_Δ)`, `A = -exp(A_log)`, and
    `y = W_out ((h_t C_t + D ⊙ u_t) ⊙ SiLU(z))`. Each of the I inner channels has its own state of N elements and its
    own N decays; B and C, which all channels share, choose what enters and what is read.

    Parameters
    ----------
    width : int
        Model width.
    expand : int
        Inner width I as a multiple of the model width.
    state_size : int
        Size N of the state of a channel.
    conv_width : int
        Taps of the convolution over u.
    step_rank : int or None
        Width R of δ, from which the I time steps come; None: a sixteenth of the model width, rounded up.
    chunk : int
        Tokens whose states are held at once, a power of two; changes speed and memory, not results.
    """

    def __init__(
        self,
        width: int,
        expand: int = 2,
        state_size: int = 16,
        conv_width: int = 4,
        step_rank: int | None = None,
        chunk: int = 16,
    ):
        super().__init__()
        if state_size < 1:
            raise ValueError(f"state_size: at least 1, got {state_size}")
        self.width, self.inner, self.state_size = width, expand * width, state_size
        self.step_rank = -(-width // 16) if step_rank is None else step_rank
        self.chunk, self.shift = checked_scan_chunk(chunk), conv_width > 1
        self.input = nn.Linear(width, 2 * self.inner, bias=False)
        self.conv = ShortConvolution(self.inner, conv_width)
        self.select = nn.Linear(self.inner, self.step_rank + 2 * state_size, bias=False)
        self.step_up = nn.Linear(self.step_rank, self.inner)
        step = torch.empty(self.inner).uniform_(math.log(1e-3), math.log(1e-1)).exp()
        with torch.no_grad():
            self.step_up.bias.copy_(step + torch.log(-torch.expm1(-step)))  # softplus of it is the step
        self.log_rate = nn.Parameter(torch.arange(1.0, state_size + 1).log()[:, None].repeat(1, self.inner))
        self.skip = nn.Parameter(torch.ones(self.inner))
        self.out = nn.Linear(self.inner, width, bias=False)

    def _select(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """u and Δ `[..., I]`, B and C `[..., N]`."""
        u = F.silu(u)
        step, b, c = self.select(u).split([self.step_rank, self.state_size, self.state_size], -1)
        return wide(u), F.softplus(wide(self.step_up(step))), wide(b), wide(c)

    def _finish(self, y: Tensor, u: Tensor, z: Tensor) -> Tensor:
        return self.out((y + self.skip * u).to(z.dtype) * F.silu(z))

    def init_state(self, batch: int) -> State:
        """The convolution's last inputs `[B, k - 1, I]` and a zero state `[B, N, I]`, float32 at least."""
        return self.conv.init_state(batch), wide(self.out.weight).new_zeros(batch, self.state_size, self.inner)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        recent, h = self.checked_state(state, x.shape[0])
        u, z = self.input(x).chunk(2, -1)
        u, recent = self.conv.prefill(u, recent)
        u, step, b, c = self._select(u)
        with torch.autocast(x.device.type, enabled=False):
            y, h = selective_scan(step, step * u, wide(self.log_rate).exp(), b, c, h, self.chunk)
        return self._finish(y, u, z), (recent, h)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        recent, h = self.checked_state(state, x.shape[0])
        u, z = self.input(x).chunk(2, -1)
        u, recent = self.conv.step(u, recent)
        u, step, b, c = self._select(u)
        decay = torch.exp(-step[:, None] * wide(self.log_rate).exp())
        h = torch.addcmul(decay * h, b[..., None], (step * u)[:, None])
        return self._finish((c[:, None] @ h)[:, 0], u, z), (recent, h)

    def _weights(self) -> Any:
        """3 D I + I (2 R + 2 N)."""
        return 3 * self.width * self.inner + 2 * self.inner * (self.step_rank + self.state_size)

    def parameters_count(self) -> Any:
        """3 D I + I (2 R + 3 N + k + 3)."""
        return self._weights() + self.inner * (self.state_size + 2) + self.conv.parameters_count()

    def state_elements(self, t: Any) -> Any:
        """Whatever `t`: I (N + k - 1)."""
        return self.inner * self.state_size + self.conv.state_elements()

    def write_elements(self, t: Any) -> Any:
        """The state, and one input of the convolution: I (N + 1)."""
        return self.inner * (self.state_size + 1)

    def _token_flops(self) -> Any:
        """Of one token, but for the state: projections and convolution."""
        return 2 * self._weights() + self.conv.flops()

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections and convolution; for each of the I N elements of the state, the scan and 2 to read it."""
        elements = self.inner * self.state_size
        return batch * (t * self._token_flops() + elements * selective_scan_flops(t, self.chunk))

    def training_flops(self, t: Any, batch: Any = 1) -> Any:
        """Three times the projections; the scan once more for its states and once backwards, with three products."""
        elements = self.inner * self.state_size
        return batch * (3 * t * self._token_flops() + elements * selective_scan_flops(t, self.chunk, training=True))

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections and convolution, and 4 I N: add to the state, read it."""
        return batch * (self._token_flops() + 4 * self.inner * self.state_size)

    def dataflow(self) -> Dataflow:
        return Dataflow((Span(0, self.conv.width, self.inner),), self.inner * self.state_size)
