"""Landmark attention: one landmark after each block of tokens, through which alone a query reaches the block."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._counts import ceil_div, minimum
from recallscope.architectures.mixers._mixer import State
from recallscope.architectures.mixers._rotary import rotate, wide
from recallscope.architectures.mixers._selection import falling, landmark_attention, scaled_scores, shared_scores
from recallscope.architectures.mixers._softmax import SoftmaxMixer


class Landmark(SoftmaxMixer):
    """Landmark attention (Mohtashami and Jaggi 2023): grouped softmax over blocks of ℓ tokens, each with a landmark.

    A query weighs its own block's tokens and the landmarks of earlier blocks in one softmax, s; each earlier block's
    tokens in one of their own, u. `a_j = s_j` in the own block, `a_j = u_j s_λ` in an earlier one with landmark λ, 0 on
    landmarks; so all is one softmax of `z_j + z_λ - log Σ_{i in block} e^{z_i}`. With `keep`, a query reads only its
    local blocks, and the k others whose landmarks score highest, and s is over these.

    Reconstruction: the paper inserts the landmarks into the model's input, here each layer inserts its own, where it
    takes a position as a token does. Were its hidden state a learned vector e alone, keys of landmarks would know
    nothing of their blocks, so it is what one layer of the same weights makes of it: `e + W_o Attention(W_q e, block)`.
    Selection holds in training as in decoding, so both are one function; where query heads share a key head it is by
    the sum of their scores. Positions of what is kept stay as they are.

    Parameters are those of `SoftmaxMixer` and, in tokens but `keep`:

    block : int
        Tokens ℓ of a block (50 in the paper).
    keep : int or None
        Blocks k kept beside the local ones; None: all.
    local : int or None
        Tokens, a multiple of ℓ, of the own block and those next to it that need no keeping; None: ℓ.
    chunk : int
        Queries per chunk of the parallel form, rounded up to whole blocks; changes speed, not results.
    """

    def __init__(
        self,
        width: int,
        heads: int = 4,
        *,
        block: int = 16,
        keep: int | None = None,
        local: int | None = None,
        chunk: int = 256,
        **shape: Any,
    ):
        super().__init__(width, heads, **shape)
        if block < 1:
            raise ValueError(f"block: at least 1 token, got {block}")
        if keep is not None and keep < 0:
            raise ValueError(f"keep: None or a number of blocks, got {keep}")
        if local is not None and (local < block or local % block):
            raise ValueError(f"local: a multiple of block, {block}, got {local}")
        if chunk < 1:
            raise ValueError(f"chunk: at least 1 token, got {chunk}")
        self.block, self.keep, self.local = block, keep, local or block
        self.chunk = ceil_div(chunk, block) * block
        self.landmark = nn.Parameter(torch.randn(width))

    def _project(self, x: Tensor, start: int) -> tuple[Tensor, Tensor, Tensor]:
        """q, k, v of tokens, each ℓ of which leave the next position to a landmark."""
        tokens = torch.arange(start, start + x.shape[1], device=x.device)
        q, k, v = self._split(x)
        positions = tokens + tokens // self.block
        return self._place(q, "q_norm", positions), self._place(k, "k_norm", positions), v

    def _place(self, u: Tensor, norm: str, positions: Tensor) -> Tensor:
        placed = getattr(self, norm)(wide(u)) if self.qk_norm else wide(u)
        return (placed if self.rope_base is None else rotate(placed, positions, self.rope_base)).to(u.dtype)

    def _landmarks(self, keys: Tensor, values: Tensor, first: int) -> tuple[Tensor, Tensor]:
        """Keys and values `[B, N, 1, H_kv, K]` of the landmarks of blocks `[B, N, ℓ, H_kv, K]` from number `first`."""
        count, queries = keys.shape[1], self.heads * self.key_width
        positions = torch.arange(first + 1, first + count + 1, device=keys.device) * (self.block + 1) - 1
        q = F.linear(self.landmark[None], self.qkv.weight[:queries]).unflatten(-1, (self.heads, -1))
        q = self._place(q[None].expand(1, count, -1, -1), "q_norm", positions)[..., None, :]
        k, v = (u.transpose(2, 3).repeat_interleave(self.heads // self.kv_heads, 2) for u in (keys, values))
        o = scaled_scores(q, k).softmax(-1).to(v.dtype) @ v  # [B, N, H, 1, K]
        hidden = self.landmark + self.out(o.flatten(2))
        k, v = F.linear(hidden, self.qkv.weight[queries:]).unflatten(-1, (2, self.kv_heads, -1)).unbind(2)
        return self._place(k, "k_norm", positions)[:, :, None], v[:, :, None]

    def _repeat(self, u: Tensor) -> Tensor:
        return u.repeat_interleave(self.heads // self.kv_heads, 1)

    def _extend(self, cache: State, k: Tensor, v: Tensor) -> State:
        """Caches with tokens added, and a landmark after each block that these complete."""
        size = self.block + 1
        full = cache[0].shape[1] // size
        rest = [torch.cat([u[:, full * size :], new], 1) for u, new in zip(cache, (k, v), strict=True)]
        done = rest[0].shape[1] // self.block
        closed = [u[:, : full * size] for u in cache]
        if done:
            blocks = [u[:, : done * self.block].unflatten(1, (done, self.block)) for u in rest]
            added = zip(blocks, self._landmarks(blocks[0], blocks[1], full), strict=True)
            closed = [torch.cat([u, torch.cat(new, 2).flatten(1, 2)], 1) for u, new in zip(closed, added, strict=True)]
        keys, values = (torch.cat([u, w[:, done * self.block :]], 1) for u, w in zip(closed, rest, strict=True))
        return keys, values

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        cache = self.checked_state(state, x.shape[0])
        past, size = cache[0].shape[1], self.block + 1
        start = past - past // size
        q, k, v = self._project(x, start)
        cache = self._extend(cache, k, v)
        k, v = (
            self._heads_first(F.pad(u, (0, 0, 0, 0, 0, -u.shape[1] % size))).unflatten(2, (-1, size)) for u in cache
        )
        tokens, values, marks = k[..., :-1, :], v[..., :-1, :], k[..., -1, :]  # [B, H, N, ℓ, K], marks [B, H, N, K]
        parts = self._heads_first(q).split(self.chunk, 2)
        choice = self.local // self.block, self.keep, self.kv_heads
        starts = range(start, start + x.shape[1], self.chunk)
        o = [landmark_attention(p, tokens, values, marks, at, *choice) for p, at in zip(parts, starts, strict=True)]
        return self._finish(torch.cat(o, 2).transpose(1, 2), x), cache

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        cache = self.checked_state(state, x.shape[0])
        size = self.block + 1
        full = cache[0].shape[1] // size
        q, k, v = self._project(x[:, None], full * self.block + cache[0].shape[1] % size)
        older = [u[:, : full * size].transpose(1, 2).unflatten(2, (full, size)) for u in cache]  # [B, H_kv, N, ℓ+1, K]
        own_k, own_v = (
            self._heads_first(torch.cat([u[:, full * size :], new], 1)) for u, new in zip(cache, (k, v), strict=True)
        )
        q = self._heads_first(q)
        mark = scaled_scores(q, self._repeat(older[0][..., -1, :]))  # [B, H, 1, N]
        far = max(0, full - self.local // self.block + 1)
        ranked = falling(shared_scores(mark, self.kv_heads)[:, :, 0, :far])[..., : self.keep]
        near = torch.arange(far, full, device=x.device).expand(*ranked.shape[:-1], -1)
        chosen = torch.cat([ranked, near], -1)  # [B, H_kv, n]
        index = chosen[..., None, None].expand(-1, -1, -1, self.block, self.key_width)
        keys, values = (self._repeat(u[..., :-1, :].gather(2, index).flatten(2, 3)) for u in older)
        mark = mark.gather(-1, self._repeat(chosen)[:, :, None])
        own = scaled_scores(q, own_k)
        main = torch.cat([own, mark], -1).softmax(-1)
        inside = scaled_scores(q, keys).unflatten(-1, (-1, self.block)).softmax(-1)
        reached = (inside * main[..., own.shape[-1] :, None]).flatten(-2)
        o = main[..., : own.shape[-1]].to(v.dtype) @ own_v + reached.to(v.dtype) @ values
        return self._finish(o[:, :, 0], x), self._extend(cache, k, v)

    def parameters_count(self) -> Any:
        """Those of softmax attention, and the landmark, D."""
        return super().parameters_count() + self.width

    def state_elements(self, t: Any) -> Any:
        """Keys and values of tokens and landmarks: 2 H_kv K (t + ⌊t / ℓ⌋)."""
        return 2 * self.kv_heads * self.key_width * (t + t // self.block)

    def read_elements(self, t: Any) -> Any:
        """Keys of earlier landmarks, and blocks, each counted whole: H_kv K (⌊(t - 1) / ℓ⌋ + 2 min(t, k ℓ + local))."""
        tokens = t if self.keep is None else minimum(t, self.keep * self.block + self.local)
        return self.kv_heads * self.key_width * ((t - 1) // self.block + 2 * tokens)

    def write_elements(self, t: Any) -> Any:
        """A key and a value, and those of a landmark at every ℓ-th token."""
        return self.state_elements(t) - self.state_elements(t - 1)

    def _landmark_flops(self, t: Any, batch: Any) -> Any:
        """Attention to its block, then its hidden state, key and value; its query is one for all."""
        d, k, count = self.width, self.key_width, t // self.block
        each = 4 * self.heads * k * self.block + 2 * d * k * (self.heads + 2 * self.kv_heads)
        return batch * count * each + minimum(count, 1) * 2 * d * self.heads * k

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, landmarks, 4 H K for each token up to the end of a query's chunk, 2 H K for each landmark."""
        whole = t // self.chunk
        blocks = self.chunk**2 // self.block * (whole * (whole + 1) // 2)
        blocks = blocks + (t - whole * self.chunk) * ceil_div(t, self.block)
        pairs = 2 * self.heads * self.key_width * (2 * blocks * self.block + blocks - t)
        return batch * (t * self._projection_flops() + pairs) + self._landmark_flops(t, batch)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, 4 H K for each token read, 2 H K for each landmark; a new one at every ℓ-th token."""
        older = (t - 1) // self.block
        read = older if self.keep is None else minimum(older, self.keep + self.local // self.block - 1)
        pairs = 2 * self.heads * self.key_width * (2 * (t - (older - read) * self.block) + older)
        new = t // self.block - older
        return batch * (self._projection_flops() + pairs) + new * self._landmark_flops(self.block, batch)

    def dataflow(self) -> Dataflow:
        token = 2 * self.kv_heads * self.key_width
        return Dataflow((Span(None, None, token + ceil_div(token, self.block)),))
