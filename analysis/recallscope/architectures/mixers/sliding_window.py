"""Sliding-window softmax attention: exact recall within the window, none beyond it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._counts import minimum, padded
from recallscope.architectures.mixers._mixer import State
from recallscope.architectures.mixers._softmax import SoftmaxMixer


class SlidingWindow(SoftmaxMixer):
    """Causal softmax attention over the last `window` tokens, the current one among them.

    The visible set at t is `{i : t - window < i ≤ t}` (Beltagy et al. 2020). `prefill` works on blocks of W queries
    against two blocks of keys, so its cost is linear in T. The cache holds the window; the position of the next token,
    one integer for the whole model, is not counted as state.

    Parameters are those of `SoftmaxMixer` and `window`, the visible tokens W, at least 1.
    """

    def __init__(self, width: int, heads: int = 4, window: int = 64, **shape: Any):
        super().__init__(width, heads, **shape)
        if window < 1:
            raise ValueError(f"window: at least 1 token, got {window}")
        self.window = window

    def init_state(self, batch: int) -> State:
        """Empty key and value caches `[B, 0, H_kv, K]` and the position of the next token."""
        return *super().init_state(batch), torch.zeros((), dtype=torch.long)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        keys, values, position = self.checked_state(state, x.shape[0])
        q, k, v = self._project(x, int(position))
        keys, values, past = torch.cat([keys, k], 1), torch.cat([values, v], 1), keys.shape[1]
        o = self._attend(q, keys, values, past)
        w = self.window
        return self._finish(o, x), (keys[:, -w:], values[:, -w:], position + x.shape[1])

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, past: int) -> Tensor:
        """T queries against the `past` keys before them and their own: `[B, T, H, K]`."""
        batch, time = q.shape[:2]
        w = self.window
        blocks = -(-time // w)
        ends = blocks * w - time
        q = F.pad(q, (0, 0, 0, 0, 0, ends)).unflatten(1, (blocks, w)).transpose(2, 3).flatten(0, 1)  # [B·N, H, W, K]
        k, v = (self._two_blocks(F.pad(u, (0, 0, 0, 0, w - past, ends)), blocks) for u in (k, v))  # [B·N, H, 2W, K]
        mask = self._mask(blocks, past, q.device).to(q.dtype).repeat(batch, 1, 1, 1)
        scores = (q @ k.transpose(-1, -2)) * self.key_width**-0.5 + mask
        o = scores.softmax(-1).to(v.dtype) @ v
        return o.transpose(1, 2).reshape(batch, blocks * w, self.heads, -1)[:, :time]

    def _two_blocks(self, u: Tensor, blocks: int) -> Tensor:
        """`[B, (blocks + 1) W, H_kv, K] -> [B·blocks, H, 2W, K]`: each block after the one before it."""
        u = u.unflatten(1, (blocks + 1, self.window))
        return self._heads_first(torch.cat([u[:, :-1], u[:, 1:]], 2).flatten(0, 1))

    def _mask(self, blocks: int, past: int, device: torch.device) -> Tensor:
        """`[blocks, 1, W, 2W]`: 0 where the query of a block may see the key, -inf elsewhere."""
        w = self.window
        distance = torch.arange(w, device=device)[:, None] + w - torch.arange(2 * w, device=device)
        exists = (torch.arange(blocks, device=device) > 0)[:, None] | (torch.arange(2 * w, device=device) >= w - past)
        seen = ((distance >= 0) & (distance < w))[None] & exists[:, None]
        return torch.zeros(seen.shape, device=device).masked_fill(~seen, -torch.inf)[:, None]

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        keys, values, position = self.checked_state(state, x.shape[0])
        q, k, v = self._project(x[:, None], int(position))
        keys = torch.cat([keys, k], 1)[:, -self.window :]
        values = torch.cat([values, v], 1)[:, -self.window :]
        q, k, v = (self._heads_first(u) for u in (q, keys, values))
        o = F.scaled_dot_product_attention(q, k, v, scale=self.key_width**-0.5)
        return self._finish(o.transpose(1, 2)[:, 0], x), (keys, values, position + 1)

    def state_elements(self, t: Any) -> Any:
        """Keys and values of the window: 2 H_kv K min(t, W)."""
        return 2 * self.kv_heads * self.key_width * minimum(t, self.window)

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and 4 H K · 2W for each query of the whole blocks."""
        pairs = padded(t, self.window, shrink=False) * 2 * self.window
        return batch * (t * self._projection_flops() + 4 * self.heads * self.key_width * pairs)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and 4 H K min(t, W)."""
        return batch * (self._projection_flops() + 4 * self.heads * self.key_width * minimum(t, self.window))

    def dataflow(self) -> Dataflow:
        return Dataflow((Span(0, self.window, 2 * self.kv_heads * self.key_width),))
