"""The Λ mask: exact recall within a window and of the first tokens, which hold up the softmax at any length."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._causal import token_read, token_weights
from recallscope.architectures.mixers._counts import minimum, padded
from recallscope.architectures.mixers._mixer import State
from recallscope.architectures.mixers._rotary import rotate, wide
from recallscope.architectures.mixers._softmax import SoftmaxMixer


class LambdaWindow(SoftmaxMixer):
    """Λ-shaped attention with a distance ceiling (LM-Infinite, Han et al. 2023, arXiv 2308.16137).

    Token t (from 0) sees `{i < n} ∪ {i : t - W < i ≤ t}`, n leading tokens and a window, at the distance
    `min(t - i, W)`: what is beyond the window is turned as if it were W tokens away, so no distance is met that a
    training length of W + 1 does not show. Window and ceiling are usually the training length. Leading keys are
    cached unrotated; `prefill` takes `(R_W q_t) · k_i` for those beyond the window and works on blocks of W queries
    against two blocks of keys and the leading ones, so its cost is linear in T. The optional return of middle keys is
    left out.

    Parameters are those of `SoftmaxMixer` and `leading`, n (usually 10 to 100), at least 0, and `window`, W, at
    least 1.
    """

    def __init__(self, width: int, heads: int = 4, leading: int = 10, window: int = 64, **shape: Any):
        super().__init__(width, heads, **shape)
        if leading < 0:
            raise ValueError(f"leading: at least 0 tokens, got {leading}")
        if window < 1:
            raise ValueError(f"window: at least 1 token, got {window}")
        self.leading, self.window = leading, window

    def init_state(self, batch: int) -> State:
        """Empty caches of leading keys and values, of the window's, all `[B, 0, H_kv, K]`; the next position."""
        return *super().init_state(batch), *super().init_state(batch), torch.zeros((), dtype=torch.long)

    def _plain(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """q, k, v before rotation."""
        q, k, v = self._split(x)
        if self.qk_norm:
            q, k = self.q_norm(wide(q)).to(v.dtype), self.k_norm(wide(k)).to(v.dtype)
        return q, k, v

    def _rotated(self, u: Tensor, positions: Tensor) -> Tensor:
        return u if self.rope_base is None else rotate(wide(u), positions, self.rope_base).to(u.dtype)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        first_k, first_v, keys, values, position = self.checked_state(state, x.shape[0])
        start, time, device = int(position), x.shape[1], x.device
        positions = torch.arange(start, start + time, device=device)
        q, k, v = self._plain(x)
        beyond = self._rotated(q, torch.full_like(positions, self.window))
        q, turned = self._rotated(q, positions), self._rotated(k, positions)
        # the window reaches back into the leading tokens while their cache and that of the window adjoin
        before = torch.cat([self._rotated(first_k, torch.arange(first_k.shape[1], device=device)), keys], 1)
        seen_k, seen_v = torch.cat([before, turned], 1), torch.cat([first_v, values, v], 1)
        fresh = max(0, self.leading - start)  # leading ones among the tokens of x
        first_k, first_v = torch.cat([first_k, k[:, :fresh]], 1), torch.cat([first_v, v[:, :fresh]], 1)
        o = self._attend(q, beyond, seen_k, seen_v, first_k, first_v, start)
        keys = torch.cat([keys, turned[:, fresh:]], 1)[:, -self.window :]
        values = torch.cat([values, v[:, fresh:]], 1)[:, -self.window :]
        return self._finish(o, x), (first_k, first_v, keys, values, position + time)

    def _attend(
        self, q: Tensor, beyond: Tensor, k: Tensor, v: Tensor, first_k: Tensor, first_v: Tensor, start: int
    ) -> Tensor:
        """T queries from position `start` on, rotated and turned by W, on the keys up to the last: `[B, T, H, K]`."""
        time, w = q.shape[1], self.window
        blocks, past = -(-time // w), k.shape[1] - time
        ends = blocks * w - time
        q, beyond = (F.pad(u, (0, 0, 0, 0, 0, ends)).transpose(1, 2).unflatten(2, (blocks, w)) for u in (q, beyond))
        k, v = (self._two_blocks(F.pad(u, (0, 0, 0, 0, w - past, ends)), blocks) for u in (k, v))
        first_k, first_v = self._heads_first(first_k), self._heads_first(first_v)  # [B, H, n, K]
        far = (beyond.flatten(2, 3) @ first_k.transpose(-1, -2)).unflatten(2, (blocks, w))
        scores = torch.cat([q @ k.transpose(-1, -2), far], -1) * self.key_width**-0.5  # [B, H, N, W, 2W + n]
        scores = scores.masked_fill(~self._seen(blocks, start, first_k.shape[2], q.device), -torch.inf)
        near, far = scores.softmax(-1).to(v.dtype).split([2 * w, first_k.shape[2]], -1)
        o = (near @ v).flatten(2, 3) + far.flatten(2, 3) @ first_v
        return o.transpose(1, 2)[:, :time]

    def _two_blocks(self, u: Tensor, blocks: int) -> Tensor:
        """`[B, (blocks + 1) W, H_kv, K] -> [B, H, blocks, 2W, K]`: each block after the one before it."""
        u = self._heads_first(u).unflatten(2, (blocks + 1, self.window))
        return torch.cat([u[:, :, :-1], u[:, :, 1:]], 3)

    def _seen(self, blocks: int, start: int, leading: int, device: torch.device) -> Tensor:
        """`[blocks, W, 2W + leading]`: what a block's queries see of two blocks of keys and of the leading ones."""
        w = self.window
        query = start + torch.arange(blocks * w, device=device).unflatten(0, (blocks, w, 1))
        key = (
            start - w + (torch.arange(blocks, device=device)[:, None] * w + torch.arange(2 * w, device=device))[:, None]
        )
        near = (key >= 0) & (key <= query) & (query - key < w)
        return torch.cat([near, query - torch.arange(leading, device=device) >= w], -1)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        first_k, first_v, keys, values, position = self.checked_state(state, x.shape[0])
        q, k, v = self._plain(x[:, None])
        now = position[None].to(x.device)
        q, turned = self._rotated(q, now), self._rotated(k, now)
        if int(position) < self.leading:
            first_k, first_v = torch.cat([first_k, k], 1), torch.cat([first_v, v], 1)
        else:
            keys = torch.cat([keys, turned], 1)[:, -self.window :]
            values = torch.cat([values, v], 1)[:, -self.window :]
        # at distance min(t - i, W): the leading keys follow the query once it is W tokens ahead
        follow = torch.arange(first_k.shape[1], device=x.device).clamp(min=int(position) - self.window)
        seen_k = torch.cat([self._rotated(first_k, follow), keys], 1)
        o = token_read(token_weights(q[:, 0], seen_k, self.key_width**-0.5), torch.cat([first_v, values], 1))
        return self._finish(o, x), (first_k, first_v, keys, values, position + 1)

    def state_elements(self, t: Any) -> Any:
        """Keys and values of the leading tokens and of the window after them: 2 H_kv K min(t, n + W)."""
        return 2 * self.kv_heads * self.key_width * minimum(t, self.leading + self.window)

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and 4 H K (2W + min(t, n)) for each query of the whole blocks."""
        pairs = padded(t, self.window, shrink=False) * (2 * self.window + minimum(t, self.leading))
        return batch * (t * self._projection_flops() + 4 * self.heads * self.key_width * pairs)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and 4 H K min(t, n + W)."""
        pairs = minimum(t, self.leading + self.window)
        return batch * (self._projection_flops() + 4 * self.heads * self.key_width * pairs)

    def dataflow(self) -> Dataflow:
        return Dataflow((Span(self.leading, self.window, 2 * self.kv_heads * self.key_width),))
