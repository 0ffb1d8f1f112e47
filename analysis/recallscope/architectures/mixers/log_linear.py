"""Log-linear attention: a linear state for each of the spans, doubling in length, into which the past is cut."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow
from recallscope.architectures.mixers._counts import ceil_div, padded
from recallscope.architectures.mixers._delta_mixer import initial_time_steps
from recallscope.architectures.mixers._fenwick import digits_below, live_levels, log_linear_attention
from recallscope.architectures.mixers._mixer import Mixer, State
from recallscope.architectures.mixers._rotary import wide


class LogLinearAttention(Mixer):
    """Log-linear attention (Guo et al. 2025) with the scalar decays and shared keys of Mamba-2.

    `o_t = Σ_ℓ λ_t^ℓ S_t^ℓᵀ C_t`. The token itself is level 0. The tokens before it, t of them, are cut by the binary
    digits of t (a Fenwick tree): digit b, if set, is a span of 2^b tokens, longest first, and level b + 1. So token s
    is on level `bit_length(t xor s)`, and `S_t^ℓ = Σ_s a_{s+1} ⋯ a_t B_s (Δ_s x_s)ᵀ` over the tokens of the level.
    Spans only ever merge: one step adds the levels below the lowest set digit of t together and starts a new level 0.

    `[z, x, B, C, δ, μ] = W u`, SiLU of x, B, C, `Δ = softplus(δ + b)`, `a = exp(-Δ e^A)` and
    `λ^ℓ = softplus(L_ℓ μ_ℓ)` per head, `y = W_out RMSNorm((o + D ⊙ x) ⊙ SiLU(z))`. Left out: the convolution of the
    Mamba block, so that one layer does not see a next token. With λ = 1 this is Mamba-2's recurrence.

    Parameters
    ----------
    width : int
        Model width.
    expand, head_width, state_size : int
        Inner width I as a multiple of the model width; width P of its H = I / P heads; size N of B and C.
    levels : int
        Levels with a λ of their own; higher ones share the last, beyond 2^(levels - 1) tokens.
    chunk : int
        Tokens C per chunk of the parallel form, a power of two; changes speed, not results.
    """

    def __init__(
        self,
        width: int,
        expand: int = 2,
        head_width: int = 64,
        state_size: int = 128,
        levels: int = 20,
        chunk: int = 64,
    ):
        super().__init__()
        self.width, self.inner = width, expand * width
        if self.inner % head_width:
            raise ValueError(f"head_width: must divide the inner width {self.inner}, got {head_width}")
        if levels < 1:
            raise ValueError(f"levels: at least 1, got {levels}")
        if chunk < 1 or chunk & (chunk - 1):
            raise ValueError(f"chunk: a power of two, got {chunk}")
        self.heads, self.head_width, self.state_size = self.inner // head_width, head_width, state_size
        self.levels, self.chunk = levels, chunk
        self.input = nn.Linear(width, sum(self._sizes()), bias=False)
        self.step_bias = nn.Parameter(initial_time_steps(self.heads))
        self.log_rate = nn.Parameter(torch.empty(self.heads).uniform_(1, 16).log())
        self.level_scale = nn.Parameter(torch.ones(self.heads, levels))
        self.skip = nn.Parameter(torch.ones(self.heads))
        self.norm = nn.RMSNorm(self.inner, eps=1e-5)
        self.out = nn.Linear(self.inner, width, bias=False)

    def _sizes(self) -> list[int]:
        """Of z, x, B, C, δ and μ."""
        return [self.inner, self.inner, self.state_size, self.state_size, self.heads, self.heads * self.levels]

    def _inputs(self, u: Tensor) -> tuple[Tensor, ...]:
        """z `[..., I]`; x, Δ x `[..., H, P]`; B, C `[..., 1, N]`; ln a `[..., H, 1]`; λ `[..., H, levels]`."""
        z, *rest = self.input(u).split(self._sizes(), -1)
        x, b, c, step, level = (wide(one) for one in rest)
        x = F.silu(x).unflatten(-1, (self.heads, -1))
        step = F.softplus(step + self.step_bias)[..., None]
        weight = F.softplus(self.level_scale * level.unflatten(-1, (self.heads, -1)))
        return z, x, step * x, *(F.silu(w)[..., None, :] for w in (b, c)), -step * self.log_rate.exp()[:, None], weight

    def _finish(self, o: Tensor, x: Tensor, z: Tensor) -> Tensor:
        return self.out(self.norm((o + self.skip[:, None] * x).flatten(-2) * F.silu(wide(z))).to(z.dtype))

    def init_state(self, batch: int) -> State:
        """No levels, `[B, 0, H, N, P]`, the longest first; and the position of the next token."""
        empty = wide(self.out.weight).new_zeros(batch, 0, self.heads, self.state_size, self.head_width)
        return empty, torch.zeros((), dtype=torch.long)

    def _checked(self, state: State | None, batch: int) -> tuple[Tensor, int]:
        states, position = self.checked_state(state, batch)
        if states.shape[1] != live_levels(int(position)):
            raise ValueError(
                f"state: {live_levels(int(position))} levels after {position} tokens, got {states.shape[1]}"
            )
        return states, int(position)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        states, position = self._checked(state, x.shape[0])
        z, inner, v, b, c, log_decay, weight = self._inputs(x)
        with torch.autocast(x.device.type, enabled=False):
            o, states = log_linear_attention(c, b, v, log_decay, weight, states, position, self.chunk)
        return self._finish(o, inner, z), (states, torch.tensor(position + x.shape[1]))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        states, position = self._checked(state, x.shape[0])
        z, inner, v, b, c, log_decay, weight = self._inputs(x)
        states = states * log_decay.exp()[:, None, :, :, None]
        if position:
            kept = states.shape[1] - (position & -position).bit_length()  # levels above the lowest set digit
            states = torch.cat([states[:, :kept], states[:, kept:].sum(1, keepdim=True)], 1)
        new = torch.addcmul(states.new_zeros(states.shape[0], *states.shape[2:]), b[..., None], v[..., None, :])
        states = torch.cat([states, new[:, None]], 1)
        levels = [i + 1 for i in reversed(range(position.bit_length())) if position >> i & 1] + [0]
        read = (c[:, None, :, None, :] @ states)[..., 0, :]  # [B, L, H, P]
        chosen = weight[..., [min(level, self.levels - 1) for level in levels]].transpose(1, 2)
        return self._finish((read * chosen[..., None]).sum(1), inner, z), (states, torch.tensor(position + 1))

    def _matrix_elements(self) -> Any:
        return self.inner * self.state_size

    def _weights(self) -> Any:
        return self.width * (sum(self._sizes()) + self.inner)

    def parameters_count(self) -> Any:
        """D (3 I + 2 N + H (levels + 1)) in matrices, I + H (levels + 3) in vectors."""
        return self._weights() + self.inner + self.heads * (self.levels + 3)

    def state_elements(self, t: Any) -> Any:
        """I N for each live level; these are 1 and the ones among the binary digits of t - 1."""
        return self._matrix_elements() * live_levels(t)

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections; scores 2 C N and 2 C I, for whole chunks; 2 N I to write, and to read a span of chunks."""
        chunk = self.chunk
        inside = padded(t, chunk, shrink=False) * 2 * chunk * (self.state_size + self.inner)
        spans = chunk * digits_below(ceil_div(t, chunk))
        return batch * (2 * t * self._weights() + inside + 2 * self._matrix_elements() * (t + spans))

    def training_flops(self, t: Any, batch: Any = 1) -> Any:
        """Three times that, but nothing comes back from the last state: the writes of the last chunk."""
        last = t - (ceil_div(t, self.chunk) - 1) * self.chunk
        return 3 * self.prefill_flops(t, batch) - 4 * batch * self._matrix_elements() * last

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and 2 I N to write and for each level read."""
        return batch * 2 * (self._weights() + self._matrix_elements() * (live_levels(t) + 1))

    def dataflow(self) -> Dataflow:
        """The state of `levels` levels, of 20 if fewer: what 2^19 tokens can fill."""
        return Dataflow(state=self._matrix_elements() * max(self.levels, 20))
