"""Softmax attention with rotary positions: the reference that every efficient mixer is measured against."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.mixers._projection import project


class Attention(nn.Module):
    """Causal multi-head softmax attention with RoPE and QK-norm.

    `o_t = Σ_{i ≤ t} softmax_i(q_t · k_i / √K) v_i` (Vaswani et al. 2017), with q and k normalised per head (Henry et
    al. 2020; RMSNorm with a learned gain, which sets how sharp attention can be) and rotated by position (Su et al.
    2021).

    Parameters
    ----------
    width : int
        Model width D.
    heads : int
        Number of heads H; K = V = D / H, which must be even.
    rope_base : float
        Base of the rotary frequencies.
    """

    binds_next_token = False  # one layer alone cannot bind a key to the token after it

    def __init__(self, width: int, heads: int = 4, rope_base: float = 10_000.0):
        super().__init__()
        if width % (2 * heads):
            raise ValueError(f"heads: width / heads must be an even integer, got width {width} and heads {heads}")
        self.heads, self.rope_base = heads, rope_base
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_norm = nn.RMSNorm(width // heads, eps=1e-5)
        self.k_norm = nn.RMSNorm(width // heads, eps=1e-5)
        self.out = nn.Linear(width, width, bias=False)

    def _project(self, x: Tensor, start: int) -> list[Tensor]:
        return project(x, self.qkv, self.q_norm, self.k_norm, start, self.rope_base)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, T, D] -> [B, T, D]`, all positions at once."""
        q, k, v = (u.transpose(1, 2) for u in self._project(x, 0))
        return self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))

    def init_state(self, batch: int) -> tuple[Tensor, ...]:
        """Empty key and value caches, `[B, 0, H, K]`."""
        weight = self.qkv.weight
        empty = weight.new_zeros(batch, 0, self.heads, weight.shape[1] // self.heads)
        return empty, empty

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One token: `[B, D]` and the caches to `[B, D]` and the caches one longer."""
        keys, values = state
        q, k, v = self._project(x[:, None], keys.shape[1])
        keys, values = torch.cat([keys, k], 1), torch.cat([values, v], 1)
        o = F.scaled_dot_product_attention(q.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2))
        return self.out(o.transpose(1, 2).flatten(1)), (keys, values)

    def state_elements(self, t: int) -> int:
        """Elements that survive between two decoding steps after `t` tokens, per sequence: 2 D t."""
        return 2 * self.out.in_features * t
