"""Mamba-2: state space duality, that is linear attention with one decay a head and keys shared by the heads."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._counts import minimum, padded
from recallscope.architectures.mixers._linear import carry, decay_ratios, from_chunks, into_chunks
from recallscope.architectures.mixers._mixer import Mixer, State
from recallscope.architectures.mixers._rotary import wide
from recallscope.architectures.mixers._short_convolution import ShortConvolution


class Mamba2(Mixer):
    """State space duality (Dao and Gu 2024, arXiv 2405.21060): `S_t = a_t S_{t-1} + B_t (Δ_t x_t)ᵀ`, `o_t = S_tᵀ C_t`.

    `[z, (x, B, C), δ] = W_in u`, `(x, B, C) ← SiLU(conv(x, B, C))`, `Δ = softplus(δ + b)` and `a = exp(-Δ e^{A})` are
    one number a head, B and C are shared by the heads of a group, and
    `y = W_out RMSNorm((o + D ⊙ x) ⊙ SiLU(z))`, normed over the channels of each group. In attention's words C is the
    query, B the key and Δ x the value.

    `prefill` takes the scores `C Bᵀ` of a chunk once for a group, then weighs them with each head's decay.

    Parameters
    ----------
    width : int
        Model width.
    expand : int
        Inner width I as a multiple of the model width.
    head_width : int
        Width P of a head, a divisor of I; there are H = I / P heads.
    state_size : int
        Size N of the state of a channel: that of B and C.
    groups : int
        Number of groups G of heads, a divisor of H.
    conv_width : int
        Taps of the convolution over x, B and C.
    chunk : int
        Tokens per chunk of the parallel form; changes speed, not results.
    """

    def __init__(
        self,
        width: int,
        expand: int = 2,
        head_width: int = 64,
        state_size: int = 128,
        groups: int = 1,
        conv_width: int = 4,
        chunk: int = 64,
    ):
        super().__init__()
        self.width, self.inner = width, expand * width
        if self.inner % head_width:
            raise ValueError(f"head_width: must divide the inner width {self.inner}, got {head_width}")
        self.heads, self.head_width = self.inner // head_width, head_width
        if self.heads % groups:
            raise ValueError(f"groups: must divide the {self.heads} heads, got {groups}")
        self.state_size, self.groups, self.chunk, self.shift = state_size, groups, chunk, conv_width > 1
        shared = self.inner + 2 * groups * state_size
        self.input = nn.Linear(width, self.inner + shared + self.heads, bias=False)
        self.conv = ShortConvolution(shared, conv_width)
        step = torch.empty(self.heads).uniform_(math.log(1e-3), math.log(1e-1)).exp()
        self.step_bias = nn.Parameter(step + torch.log(-torch.expm1(-step)))  # softplus of it is the step
        self.log_rate = nn.Parameter(torch.empty(self.heads).uniform_(1, 16).log())
        self.skip = nn.Parameter(torch.ones(self.heads))
        self.gain = nn.Parameter(torch.ones(self.inner))
        self.out = nn.Linear(self.inner, width, bias=False)

    def _project(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The gate z `[..., I]`, what the convolution takes `[..., I + 2 G N]`, and δ `[..., H]`."""
        z, mixed, step = self.input(u).split([self.inner, self.conv.channels, self.heads], -1)
        return z, mixed, step

    def _parts(self, mixed: Tensor, step: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """x `[..., H, P]`, its product with Δ, B and C `[..., G, N]`, and ln a `[..., H, 1]`."""
        state = self.groups * self.state_size
        x, b, c = wide(F.silu(mixed)).split([self.inner, state, state], -1)
        x, b, c = (v.unflatten(-1, (n, -1)) for v, n in ((x, self.heads), (b, self.groups), (c, self.groups)))
        step = F.softplus(wide(step) + self.step_bias)[..., None]
        return x, step * x, b, c, -step * self.log_rate.exp()[:, None]

    def _finish(self, o: Tensor, x: Tensor, z: Tensor) -> Tensor:
        y = (o + self.skip[:, None] * x).flatten(-2) * F.silu(wide(z))
        y = F.rms_norm(y.unflatten(-1, (self.groups, -1)), (self.inner // self.groups,), eps=1e-5).flatten(-2)
        return self.out((y * self.gain).to(z.dtype))

    def init_state(self, batch: int) -> State:
        """The convolution's last inputs `[B, k - 1, I + 2 G N]` and a zero matrix `[B, H, N, P]`, float32 at least."""
        shape = batch, self.heads, self.state_size, self.head_width
        return self.conv.init_state(batch), wide(self.out.weight).new_zeros(shape)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        recent, matrix = self.checked_state(state, x.shape[0])
        z, mixed, step = self._project(x)
        mixed, recent = self.conv.prefill(mixed, recent)
        u, value, b, c, log_decay = self._parts(mixed, step)
        with torch.autocast(x.device.type, enabled=False):
            o, matrix = shared_key_attention(c, b, value, matrix, log_decay, self.chunk)
        return self._finish(o, u, z), (recent, matrix)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        recent, matrix = self.checked_state(state, x.shape[0])
        z, mixed, step = self._project(x)
        mixed, recent = self.conv.step(mixed, recent)
        u, value, b, c, log_decay = self._parts(mixed, step)
        b, c = (v.repeat_interleave(self.heads // self.groups, -2) for v in (b, c))
        matrix = torch.addcmul(matrix * log_decay.exp()[..., None], b[..., None], value[..., None, :])
        return self._finish((c[..., None, :] @ matrix)[..., 0, :], u, z), (recent, matrix)

    def parameters_count(self) -> Any:
        """D (2 I + 2 G N + H) into and I D out of the inner width, convolution, three numbers a head, norm."""
        return self._weights() + self.conv.parameters_count() + 3 * self.heads + self.inner

    def _weights(self) -> Any:
        return self.width * (2 * self.inner + self.conv.channels + self.heads)

    def state_elements(self, t: Any) -> Any:
        """Whatever `t`: I N + (k - 1) (I + 2 G N)."""
        return self.inner * self.state_size + self.conv.state_elements()

    def write_elements(self, t: Any) -> Any:
        """The matrix and one input of the convolution."""
        return self.inner * self.state_size + self.conv.channels

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, convolution, and 4 I N + 2 C I + 2 C G N for each token of the whole chunks."""
        chunk = minimum(self.chunk, t)
        each = 4 * self.inner * self.state_size + 2 * chunk * (self.inner + self.groups * self.state_size)
        return batch * (t * (2 * self._weights() + self.conv.flops()) + padded(t, self.chunk) * each)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, convolution, and 4 I N: add to the state, read it."""
        return batch * (2 * self._weights() + self.conv.flops() + 4 * self.inner * self.state_size)

    def dataflow(self) -> Dataflow:
        return Dataflow((Span(0, self.conv.width, self.conv.channels),), self.inner * self.state_size)


def shared_key_attention(
    q: Tensor, k: Tensor, v: Tensor, state: Tensor, log_decay: Tensor, chunk: int
) -> tuple[Tensor, Tensor]:
    """`S_t = a_t S_{t-1} + k_t v_tᵀ`, `o_t = S_tᵀ q_t`; one product of queries and keys for all heads of a group.

    q and k `[B, T, G, N]`, v `[B, T, H, P]`, state `[B, H, N, P]`, log decay `[B, T, H, 1]`; returns `[B, T, H, P]` and
    the state after the last token.
    """
    time, groups = q.shape[1:3]
    chunk = min(chunk, time)
    q, k, v, total = (into_chunks(u, chunk) for u in (q, k, v, log_decay))
    total = total.cumsum(-2)
    scores = (q @ k.transpose(-1, -2))[:, :, :, None] * decay_ratios(total).unflatten(2, (groups, -1))
    inside = scores.flatten(2, 3) @ v
    # the heads of a group lie side by side in the columns of one product with its keys or queries
    late = _side_by_side((total[..., -1:, :] - total).exp() * v, groups)
    updates = (k.transpose(-1, -2) @ late.flatten(-2)).unflatten(-1, late.shape[-2:])  # [B, n, G, N, H/G, P]
    decay = _side_by_side(total[..., -1:, :].exp(), groups)  # [B, n, G, 1, H/G, 1]
    before, state = carry(updates, _side_by_side(state[:, None], groups)[:, 0], decay)
    across = (q @ before.flatten(-2)).unflatten(-1, late.shape[-2:]).transpose(3, 4).flatten(2, 3)  # [B, n, H, C, P]
    return from_chunks(inside + total.exp() * across, time), state.transpose(2, 3).flatten(1, 2)


def _side_by_side(u: Tensor, groups: int) -> Tensor:
    """`[B, n, H, X, P] -> [B, n, G, X, H/G, P]`."""
    return u.unflatten(2, (groups, -1)).transpose(3, 4)
