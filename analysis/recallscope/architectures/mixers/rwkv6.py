"""RWKV-6 (Finch): a matrix state with a decay per channel that each token sets, and a token shift that it sets too."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._channel_decay import (
    channel_decay_attention,
    channel_decay_flops,
    checked_chunk,
)
from recallscope.architectures.mixers._mixer import Mixer, State
from recallscope.architectures.mixers._rotary import wide


class RWKV6(Mixer):
    """Time mixing of RWKV-6 (Peng et al. 2024, arXiv 2404.05892): `S_t = diag(w_t) S_{t-1} + k_t v_tᵀ`.

    `o_t = (S_{t-1} + diag(u) k_t v_tᵀ)ᵀ r_t`: the current token counts u times, undecayed. `w = exp(-exp(ω + lora_w))`,
    `y = W_o (norm(o) ⊙ SiLU(g))` with a normalisation of each head. The inputs of r, w, k, v and g are five mixtures
    `x_t + m ⊙ (x_{t-1} - x_t)`, `m = μ + B tanh(A (x_t + μ_x ⊙ (x_{t-1} - x_t)))`, with A and B of low rank.

    Channel mixing is not part of the mixer: it is the MLP of an RWKV block, with a token shift of its own.

    Parameters
    ----------
    width : int
        Model width D.
    head_width : int
        Width K = V of a head, a divisor of D (64 in the paper).
    mix_rank, decay_rank : int
        Ranks of each mixture's bottleneck and of the decay's.
    chunk : int
        Tokens per chunk of the parallel form, a power of two; changes speed, not results.
    """

    shift = True

    def __init__(self, width: int, head_width: int = 64, mix_rank: int = 32, decay_rank: int = 64, chunk: int = 64):
        super().__init__()
        if width % head_width:
            raise ValueError(f"head_width: must divide the width, got width {width} and head_width {head_width}")
        self.width, self.heads, self.head_width = width, width // head_width, head_width
        self.mix_rank, self.decay_rank, self.chunk = mix_rank, decay_rank, checked_chunk(chunk)
        self.mix_in = nn.Parameter(torch.full((width,), 0.5))
        self.mix = nn.Parameter(torch.linspace(1, 0, width).repeat(5, 1))
        self.mix_down = nn.Linear(width, 5 * mix_rank, bias=False)
        self.mix_up = nn.Parameter(torch.empty(5, mix_rank, width).uniform_(-0.01, 0.01))
        self.decay = nn.Parameter(torch.linspace(-6, -1, width))
        self.decay_down = nn.Linear(width, decay_rank, bias=False)
        self.decay_up = nn.Linear(decay_rank, width, bias=False)
        self.bonus = nn.Parameter(torch.linspace(1, 0, width))
        self.receptance, self.key, self.value, self.gate, self.out = (
            nn.Linear(width, width, bias=False) for _ in range(5)
        )
        self.norm = nn.GroupNorm(self.heads, width, eps=64e-5)

    def _project(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """r, k and v, ln w, each `[..., H, K]`; the gate `[..., D]`."""
        change = before - x
        low = torch.tanh(self.mix_down(x + self.mix_in.to(x.dtype) * change)).unflatten(-1, (5, -1))
        mix = (self.mix + torch.einsum("...nr,nrd->...nd", low, self.mix_up.to(low.dtype))).to(x.dtype)
        r, w, k, v, g = (x[..., None, :] + change[..., None, :] * mix).unbind(-2)
        log_decay = -torch.exp(self.decay + wide(self.decay_up(torch.tanh(self.decay_down(w)))))
        parts = wide(self.receptance(r)), wide(self.key(k)), wide(self.value(v)), log_decay
        r, k, v, log_decay = (u.unflatten(-1, (self.heads, -1)) for u in parts)
        return r, k, v, log_decay, F.silu(self.gate(g))

    def _bonus(self) -> Tensor:
        return wide(self.bonus).unflatten(0, (self.heads, -1))

    def _finish(self, o: Tensor, gate: Tensor) -> Tensor:
        o = o.flatten(-2).to(self.norm.weight.dtype)
        return self.out(self.norm(o.reshape(-1, self.width)).view_as(o).to(gate.dtype) * gate)

    def init_state(self, batch: int) -> State:
        """The last input `[B, D]` and zero matrices `[B, H, K, K]`, float32 at least."""
        weight = self.out.weight
        matrix = wide(weight).new_zeros(batch, self.heads, self.head_width, self.head_width)
        return weight.new_zeros(batch, self.width), matrix

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        last, matrix = self.checked_state(state, x.shape[0])
        r, k, v, log_decay, gate = self._project(x, torch.cat([last[:, None].to(x.dtype), x[:, :-1]], 1))
        with torch.autocast(x.device.type, enabled=False):
            # r_t reads S_{t-1}: keys, values and decays one token late
            late = (0, 0, 0, 0, 1, 0)
            reads = F.pad(r, (0, 0, 0, 0, 0, 1))
            k_late, v_late, decay_late = F.pad(k, late), F.pad(v, late), F.pad(log_decay, late)
            o, matrix = channel_decay_attention(reads, k_late, v_late, matrix, decay_late, self.chunk)
            o = o[:, :-1] + (r * self._bonus() * k).sum(-1, keepdim=True) * v
        return self._finish(o, gate), (x[:, -1].to(last.dtype), matrix)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        last, matrix = self.checked_state(state, x.shape[0])
        r, k, v, log_decay, gate = self._project(x, last.to(x.dtype))
        seen = torch.addcmul(matrix, (self._bonus() * k)[..., None], v[..., None, :])
        matrix = torch.addcmul(matrix * log_decay.exp()[..., None], k[..., None], v[..., None, :])
        return self._finish((r[..., None, :] @ seen)[..., 0, :], gate), (x.to(last.dtype), matrix)

    def _weights(self) -> Any:
        """5 D² + 10 D R_mix + 2 D R_decay."""
        return self.width * (5 * self.width + 10 * self.mix_rank + 2 * self.decay_rank)

    def parameters_count(self) -> Any:
        """The matrices, and 10 D."""
        return self._weights() + 10 * self.width

    def state_elements(self, t: Any) -> Any:
        """Whatever `t`: D K + D."""
        return self.width * (self.head_width + 1)

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and attention over one more token than there are."""
        attention = channel_decay_flops(t + 1, self.chunk, self.head_width, self.head_width)
        return batch * (2 * t * self._weights() + self.heads * attention)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and 6 D K: the current token, the read, and the addition to the state."""
        return batch * (2 * self._weights() + 6 * self.width * self.head_width)

    def dataflow(self) -> Dataflow:
        return Dataflow((Span(0, 2, self.width),), self.width * self.head_width)
