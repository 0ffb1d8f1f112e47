"""Retention: linear attention with rotated keys and one fixed decay a head."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow
from recallscope.architectures.mixers._linear import linear_attention, linear_attention_flops
from recallscope.architectures.mixers._mixer import Mixer, State, check_heads
from recallscope.architectures.mixers._rotary import rotate, wide


class Retention(Mixer):
    """Multi-scale retention (Sun et al. 2023, arXiv 2307.08621).

    `S_t = γ_h S_{t-1} + k_t v_tᵀ`, `o_t = S_tᵀ q_t / √K`, `y = W_o (GroupNorm_h(o) ⊙ SiLU(W_g x))`, with the decays
    `γ_h = 1 - 2^{-5-h}`, h = 0, 1, ..., and q, k rotated by their positions. The group norm, one group a head, has no
    learned gain; the paper's further normalisations of scores rescale o as a whole, which it undoes, and are left out.
    A pair that is n tokens apart weighs `γ_h^n`: head 0 forgets half in 22 tokens, head 3 in 177.

    Parameters
    ----------
    width : int
        Model width D.
    heads : int
        Number of heads H.
    key_width : int or None
        Width K of queries and keys per head; None: D / H. Even if rotated.
    value_width : int or None
        Width V of values per head; None: 2 K.
    rope_base : float or None
        Base of the rotary frequencies; None: no positions.
    chunk : int
        Tokens per chunk of the parallel form; changes speed, not results.
    """

    def __init__(
        self,
        width: int,
        heads: int = 4,
        key_width: int | None = None,
        value_width: int | None = None,
        rope_base: float | None = 10_000.0,
        chunk: int = 64,
    ):
        super().__init__()
        if key_width is None:
            check_heads(width, heads)
        self.width, self.heads, self.key_width = width, heads, key_width or width // heads
        self.value_width = value_width or 2 * self.key_width
        self.rope_base, self.chunk = rope_base, chunk
        if rope_base is not None and self.key_width % 2:
            raise ValueError(f"key_width: must be even for rotary positions, got {self.key_width}")
        self.qk = nn.Linear(width, 2 * heads * self.key_width, bias=False)
        self.value = nn.Linear(width, heads * self.value_width, bias=False)
        self.gate = nn.Linear(width, heads * self.value_width, bias=False)
        self.out = nn.Linear(heads * self.value_width, width, bias=False)

    def _rates(self, like: Tensor) -> Tensor:
        """`1 - γ_h = 2^{-5-h}`, `[H]`."""
        return 2.0 ** -(5 + torch.arange(self.heads, device=like.device, dtype=like.dtype))

    def _project(self, x: Tensor, position: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """q (scaled by 1 / √K), k `[B, T, H, K]` and v `[B, T, H, V]`."""
        q, k = wide(self.qk(x)).unflatten(-1, (2, self.heads, -1)).unbind(-3)
        if self.rope_base is not None:
            positions = torch.arange(int(position), int(position) + x.shape[1], device=x.device)
            q, k = (rotate(u, positions, self.rope_base) for u in (q, k))
        return q * self.key_width**-0.5, k, wide(self.value(x)).unflatten(-1, (self.heads, -1))

    def _finish(self, o: Tensor, x: Tensor) -> Tensor:
        o = F.layer_norm(o, (self.value_width,)).flatten(-2).to(x.dtype)
        return self.out(o * F.silu(self.gate(x)))

    def init_state(self, batch: int) -> State:
        """The zero matrix `[B, H, K, V]`, float32 at least, and the position of the next token."""
        matrix = wide(self.value.weight).new_zeros(batch, self.heads, self.key_width, self.value_width)
        return matrix, torch.zeros((), dtype=torch.long)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        matrix, position = self.checked_state(state, x.shape[0])
        q, k, v = self._project(x, position)
        log_decay = torch.log1p(-self._rates(q)).expand(1, x.shape[1], -1)[..., None]  # the same in all sequences
        with torch.autocast(x.device.type, enabled=False):
            o, matrix = linear_attention(q, k, v, matrix, self.chunk, log_decay)
        return self._finish(o, x), (matrix, position + x.shape[1])

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        matrix, position = self.checked_state(state, x.shape[0])
        q, k, v = (u[:, 0] for u in self._project(x[:, None], position))
        decay = (1 - self._rates(q))[:, None, None]
        matrix = torch.addcmul(matrix * decay, k[..., None], v[..., None, :])
        return self._finish((q[..., None, :] @ matrix)[..., 0, :], x), (matrix, position + 1)

    def parameters_count(self) -> Any:
        """D H (2 K + 3 V)."""
        return self.width * self.heads * (2 * self.key_width + 3 * self.value_width)

    def state_elements(self, t: Any) -> Any:
        """H K V, whatever `t`."""
        return self.heads * self.key_width * self.value_width

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and linear attention."""
        attention = linear_attention_flops(t, self.chunk, self.key_width, self.value_width)
        return batch * (2 * t * self.parameters_count() + self.heads * attention)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and 4 H K V: add to the state, read it."""
        return batch * (2 * self.parameters_count() + 4 * self.state_elements(t))

    def dataflow(self) -> Dataflow:
        return Dataflow(state=self.state_elements(1))
