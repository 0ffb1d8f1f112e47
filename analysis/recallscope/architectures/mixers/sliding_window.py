"""Sliding-window softmax attention: exact recall within the window, none beyond it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.mixers._projection import project


class SlidingWindow(nn.Module):
    """Causal softmax attention over the last `window` tokens, the current one among them, with RoPE and QK-norm.

    The visible set at t is `{i : t - window < i ≤ t}` (Beltagy et al. 2020). `forward` works on blocks of `window`
    queries against two blocks of keys, so its cost is linear in T.

    Parameters
    ----------
    width : int
        Model width D.
    heads : int
        Number of heads H; K = V = D / H, which must be even.
    window : int
        Visible tokens W, at least 1.
    rope_base : float
        Base of the rotary frequencies.
    """

    binds_next_token = False

    def __init__(self, width: int, heads: int = 4, window: int = 64, rope_base: float = 10_000.0):
        super().__init__()
        if width % (2 * heads):
            raise ValueError(f"heads: width / heads must be an even integer, got width {width} and heads {heads}")
        if window < 1:
            raise ValueError(f"window: at least 1 token, got {window}")
        self.heads, self.window, self.rope_base = heads, window, rope_base
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_norm = nn.RMSNorm(width // heads, eps=1e-5)
        self.k_norm = nn.RMSNorm(width // heads, eps=1e-5)
        self.out = nn.Linear(width, width, bias=False)

    def _project(self, x: Tensor, start: int) -> list[Tensor]:
        return project(x, self.qkv, self.q_norm, self.k_norm, start, self.rope_base)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, T, D] -> [B, T, D]`, all positions at once."""
        batch, length, _ = x.shape
        w = self.window
        blocks = -(-length // w)
        q, k, v = (F.pad(u, (0, 0, 0, 0, 0, blocks * w - length)) for u in self._project(x, 0))
        q = q.unflatten(1, (blocks, w)).transpose(2, 3).flatten(0, 1)  # [B·blocks, H, W, K]
        k, v = (self._with_previous_block(u, blocks).transpose(2, 3).flatten(0, 1) for u in (k, v))  # [.., 2W, K]
        scores = (q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5 + self._mask(blocks, x.device).repeat(batch, 1, 1, 1)
        o = scores.softmax(-1).to(v.dtype) @ v
        return self.out(o.transpose(1, 2).reshape(batch, blocks * w, -1)[:, :length])

    def _with_previous_block(self, u: Tensor, blocks: int) -> Tensor:
        """`[B, T, H, K] -> [B, blocks, 2W, H, K]`: each block after the one before it (zeros before the first)."""
        u = u.unflatten(1, (blocks, self.window))
        return torch.cat([F.pad(u[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0)), u], 2)

    def _mask(self, blocks: int, device: torch.device) -> Tensor:
        """`[blocks, 1, W, 2W]`: 0 where the query of a block may see the key, -inf elsewhere."""
        w = self.window
        distance = torch.arange(w, device=device)[:, None] + w - torch.arange(2 * w, device=device)
        exists = (torch.arange(blocks, device=device) > 0)[:, None] | (torch.arange(2 * w, device=device) >= w)
        seen = ((distance >= 0) & (distance < w))[None] & exists[:, None]
        return torch.zeros(seen.shape, device=device).masked_fill(~seen, -torch.inf)[:, None]

    def init_state(self, batch: int) -> tuple[Tensor, ...]:
        """Empty key and value caches `[B, 0, H, K]` and the position of the next token (an index, not state)."""
        weight = self.qkv.weight
        empty = weight.new_zeros(batch, 0, self.heads, weight.shape[1] // self.heads)
        return empty, empty, torch.zeros((), dtype=torch.long)

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One token: `[B, D]` and the caches to `[B, D]` and caches of at most W tokens."""
        keys, values, position = state
        q, k, v = self._project(x[:, None], int(position))
        keys = torch.cat([keys, k], 1)[:, -self.window :]
        values = torch.cat([values, v], 1)[:, -self.window :]
        o = F.scaled_dot_product_attention(q.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2))
        return self.out(o.transpose(1, 2).flatten(1)), (keys, values, position + 1)

    def state_elements(self, t: int) -> int:
        """Elements that survive between two decoding steps after `t` tokens, per sequence: 2 D min(t, W).

        The position of the next token is left out: one integer for the whole model, shared by all layers.
        """
        return 2 * self.out.in_features * min(t, self.window)
