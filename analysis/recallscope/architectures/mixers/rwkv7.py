"""RWKV-7: time mixing with a generalised delta rule, that removes along one key and writes along another."""

from __future__ import annotations

import math
from typing import Any

import torch
from recallscope_kernels.ops.rwkv7 import chunked_rwkv7
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._counts import ceil_div, maximum, minimum, padded
from recallscope.architectures.mixers._delta_mixer import unit
from recallscope.architectures.mixers._mixer import Mixer, State, check_heads
from recallscope.architectures.mixers._rotary import wide

SLOWEST = -math.exp(-0.5)
"""`ln w` is between this and 0: whatever it learns, a channel keeps at least 54 % of itself a token."""


class RWKV7(Mixer):
    """Time mixing of RWKV-7 (Peng et al. 2025): `S_t = diag(w) S_{t-1} - (a ⊙ κ̂) (κ̂ᵀ S_{t-1}) + k̃ vᵀ`, `o_t = S_tᵀ r`.

    Each of r, w, k, v, a, g sees its own mixture `x_t + μ ⊙ (x_{t-1} - x_t)`. r, k, v are projections of it,
    `ln w = -e^{-½} σ(ω + W₂ tanh(W₁ x_w))`, `a = σ(α + A₂ A₁ x_a)`, `κ̂ = L2(k ⊙ ξ)` per head,
    `k̃ = k ⊙ (1 + (a - 1) ⊙ η)`, `g = G₂ σ(G₁ x_g)` and `y = W_o ((GroupNorm(o) + (Σ r ⊙ k̃ ⊙ ρ) v) ⊙ g)`.

    Left out: the mixture of v with that of the first layer, which a layer alone does not have, and channel mixing. So
    the state holds one token, for the shift of time mixing; a block with channel mixing holds another.

    Parameters
    ----------
    width : int
        Model width D.
    heads : int
        Number of heads H; K = V = D / H.
    rank, gate_rank : int
        Inner widths of the networks of w and a, and of g.
    chunk : int
        Tokens per chunk of the parallel form, at most 64; changes speed, not results.
    """

    shift = True

    def __init__(self, width: int, heads: int = 4, rank: int = 16, gate_rank: int = 32, chunk: int = 32):
        super().__init__()
        check_heads(width, heads)
        if not 1 <= chunk <= 64:
            raise ValueError(f"chunk: from 1 to 64 tokens, got {chunk}")
        self.width, self.heads, self.head_width = width, heads, width // heads
        self.rank, self.gate_rank, self.chunk = rank, gate_rank, chunk
        self.mix = nn.Parameter(torch.linspace(0, 1, width).repeat(6, 1))
        self.receptance = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.decay_in = nn.Linear(width, rank, bias=False)
        self.decay_out = nn.Linear(rank, width)
        self.rate_in = nn.Linear(width, rank, bias=False)
        self.rate_out = nn.Linear(rank, width)
        self.gate_in = nn.Linear(width, gate_rank, bias=False)
        self.gate_out = nn.Linear(gate_rank, width, bias=False)
        self.removal = nn.Parameter(torch.full((width,), 0.85))
        self.replacement = nn.Parameter(torch.ones(width))
        self.bonus = nn.Parameter(torch.zeros(heads, self.head_width))
        self.norm = nn.GroupNorm(heads, width, eps=1e-5 * self.head_width)
        with torch.no_grad():
            self.decay_out.bias.copy_(torch.linspace(-6, 0, width))  # time constants from 670 tokens to 3

    def _inputs(self, x: Tensor, before: Tensor) -> tuple[Tensor, ...]:
        """r, ln w, κ̂, a ⊙ κ̂, k̃, v `[..., H, K]`, and g `[..., D]`, from tokens and those before them."""
        xr, xw, xk, xv, xa, xg = (x + (before - x) * mix for mix in self.mix)
        log_decay = SLOWEST * torch.sigmoid(wide(self.decay_out(torch.tanh(self.decay_in(xw)))))
        rate = torch.sigmoid(wide(self.rate_out(self.rate_in(xa))))
        k = wide(self.key(xk))
        r, v = wide(self.receptance(xr)), wide(self.value(xv))
        key = k * (1 + (rate - 1) * self.replacement)
        parts = (u.unflatten(-1, (self.heads, -1)) for u in (r, log_decay, k * self.removal, rate, key, v))
        r, log_decay, removed, rate, key, v = parts
        removed = unit(removed)
        return r, log_decay, removed, rate * removed, key, v, self.gate_out(torch.sigmoid(self.gate_in(xg)))

    def _finish(self, o: Tensor, r: Tensor, key: Tensor, v: Tensor, gate: Tensor) -> Tensor:
        gain, bias = wide(self.norm.weight), wide(self.norm.bias)
        normed = F.group_norm(o.reshape(-1, self.width), self.heads, gain, bias, self.norm.eps).view(o.shape)
        y = normed + (r * key * self.bonus).sum(-1, keepdim=True) * v
        return self.out(y.flatten(-2).to(gate.dtype) * gate)

    def init_state(self, batch: int) -> State:
        """Zero matrices `[B, H, K, K]`, float32 at least, and a zero token `[B, D]`."""
        weight = self.key.weight
        matrix = wide(weight).new_zeros(batch, self.heads, self.head_width, self.head_width)
        return matrix, weight.new_zeros(batch, self.width)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        matrix, last = self.checked_state(state, x.shape[0])
        r, log_decay, removed, erase, key, v, gate = self._inputs(x, torch.cat([last[:, None], x[:, :-1]], 1))
        with torch.autocast(x.device.type, enabled=False):
            o, matrix = chunked_rwkv7(r, key, v, log_decay, -removed, erase, matrix, self.chunk)
        return self._finish(o, r, key, v, gate), (matrix, x[:, -1])

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        matrix, last = self.checked_state(state, x.shape[0])
        r, log_decay, removed, erase, key, v, gate = self._inputs(x, last)
        found = removed[..., None, :] @ matrix
        matrix = torch.addcmul(log_decay.exp()[..., None] * matrix, -erase[..., None], found)
        matrix = torch.addcmul(matrix, key[..., None], v[..., None, :])
        return self._finish((r[..., None, :] @ matrix)[..., 0, :], r, key, v, gate), (matrix, x)

    def _weights(self) -> Any:
        """Elements of the matrices: 4 D² + D (4 rank + 2 gate_rank)."""
        return 4 * self.width**2 + self.width * (4 * self.rank + 2 * self.gate_rank)

    def parameters_count(self) -> Any:
        """4 D² + D (4 rank + 2 gate_rank) in matrices, 13 D in vectors."""
        return self._weights() + 13 * self.width

    def state_elements(self, t: Any) -> Any:
        """Whatever `t`: H K² + D."""
        return self.width * self.head_width + self.width

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and `8 K² + 14 C K + 2 (C - 1) K` a head for each token of the whole chunks."""
        chunk, key = minimum(self.chunk, t), self.head_width
        rule = padded(t, chunk) * (8 * key**2 + 14 * chunk * key + 2 * (chunk - 1) * key)
        return batch * (2 * t * self._weights() + self.heads * rule)

    def training_flops(self, t: Any, batch: Any = 1) -> Any:
        """Three times that, a solve being a solve and a full product backward; not for the first and last state."""
        chunk, key = minimum(self.chunk, t), self.head_width
        chunks = ceil_div(t, chunk)
        unused = 2 * chunk * key**2 * (3 + 3 * maximum(0, 2 - chunks))
        rule = chunks * chunk * (chunk + 1) * 2 * key - unused
        return 3 * self.prefill_flops(t, batch) + batch * self.heads * rule

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and 8 K² a head: find, remove, write, read."""
        return batch * (2 * self._weights() + 8 * self.width * self.head_width)

    def dataflow(self) -> Dataflow:
        return Dataflow((Span(0, 2, self.width),), self.width * self.head_width)
