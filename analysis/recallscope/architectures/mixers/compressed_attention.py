"""Compressed attention: one vector for every few tokens, read densely or by an indexer's choice, beside a window."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._block_mixture import BlockMixture, Indexer, read, window_bias
from recallscope.architectures.mixers._counts import ceil_div, minimum
from recallscope.architectures.mixers._mixer import Mixer, State
from recallscope.architectures.mixers._rotary import rotate, wide
from recallscope.architectures.mixers._selection import window_pairs


class CompressedAttention(Mixer):
    """Compressed sparse (CSA) and heavily compressed (HCA) attention of DeepSeek-V4, 2026.

    Of each token a vector `c = RMSNorm(W_c x)`, E wide, key and value in one and of all heads, is kept for the window.
    As soon as block i of m tokens is full, it is an entry `e_i = Σ_j s_j ⊙ c_j` over its tokens and, with `overlap`,
    over those of block i - 1; s is a softmax over these in each channel (`BlockMixture`). Head h takes one softmax of
    `q_h · k / √E`, with a learned sink logit, over window and entries; k = v is c or e with its last channels rotated.
    Those of the output are turned back by the query's position, so that values too know distances.

    With `selected` (CSA), a query sees only the n entries with the highest index `I_i = Σ_j w_j ReLU(q_j · W_k e_i)`,
    w and the q_j from x; without (HCA) all of them.

    Reconstruction from secondary accounts, not from the report itself: entries are mixed from the window's vectors, so
    that nothing is kept but window, entries and the indexer's keys; an entry stands where its last token does; which
    channels rotate, and the turning back; I is added to the scores of what it selects, so that the indexer learns
    without a loss of its own. Numbers below are third parties' readings of the released models.

    Parameters
    ----------
    width, heads : int
        Model width D and number of query heads H.
    entry : int or None
        Width E of keys, values and queries (512); None: D / H.
    block, overlap : int, bool
        Tokens m of a block (4 in CSA, 128 in HCA), and whether its entry reaches back to the block before (CSA).
    selected, index_heads, index_width : int or None, int, int or None
        Entries n a query reads (512 to 1,024), None: all (HCA); the indexer's queries; their width (128), None:
        E / 4, rounded up.
    window : int
        Window W (128), at least m, or 2m with `overlap`: the tokens that the next entry needs.
    rope_width, rope_base : int or None, float
        Channels that are rotated, even, None: E / 8, rounded up; base of the frequencies.
    chunk : int
        Queries per chunk of the parallel form, rounded up to whole blocks; changes speed, not results.
    """

    def __init__(
        self,
        width: int,
        heads: int = 4,
        entry: int | None = None,
        block: int = 4,
        overlap: bool = True,
        selected: int | None = 16,
        window: int = 64,
        index_heads: int = 4,
        index_width: int | None = None,
        rope_width: int | None = None,
        rope_base: float = 10_000.0,
        chunk: int = 128,
    ):
        super().__init__()
        if entry is None and width % heads:
            raise ValueError(f"heads: must divide the width, got width {width} and heads {heads}")
        self.width, self.heads, self.entry = width, heads, width // heads if entry is None else entry
        self.rope_width = 2 * ceil_div(self.entry, 16) if rope_width is None else rope_width
        if self.rope_width % 2 or not 0 <= self.rope_width <= self.entry:
            raise ValueError(f"rope_width: an even number up to {self.entry}, got {self.rope_width}")
        if block < 2 or chunk < 1:
            raise ValueError(f"block, chunk: at least 2 and 1 tokens, got {block} and {chunk}")
        if window < block * (1 + overlap):
            raise ValueError(f"window: at least the {block * (1 + overlap)} tokens of an entry, got {window}")
        self.block, self.window, self.rope_base = block, window, rope_base
        self.chunk = ceil_div(chunk, block) * block
        self.query, self.content = (nn.Linear(width, n * self.entry, bias=False) for n in (heads, 1))
        self.q_norm, self.norm = nn.RMSNorm(self.entry, eps=1e-5), nn.RMSNorm(self.entry, eps=1e-5)
        self.mixture = BlockMixture(self.entry, block, overlap)
        self.sink = nn.Parameter(torch.zeros(heads))
        self.index, self.index_width = None, 0
        if selected is not None:
            self.index_width = ceil_div(self.entry, 4) if index_width is None else index_width
            self.index = Indexer(width, self.entry, index_heads, self.index_width, selected)
        self.out = nn.Linear(heads * self.entry, width, bias=False)

    def init_state(self, batch: int) -> State:
        """Empty: window `[B, 0, E]`, entries `[B, 0, E]`, with an indexer keys `[B, 0, K_I]`; the next position."""
        weight = self.content.weight
        widths = [self.entry, self.entry] + ([self.index_width] if self.index else [])
        return *(weight.new_zeros(batch, 0, width) for width in widths), torch.zeros((), dtype=torch.long)

    def _turned(self, u: Tensor, positions: Tensor) -> Tensor:
        """`[B, T, H, E]` or `[B, T, E]` with the last channels rotated."""
        plain, turning = u.split([self.entry - self.rope_width, self.rope_width], -1)
        turned = rotate(wide(turning if u.ndim == 4 else turning[:, :, None]), positions, self.rope_base)
        return torch.cat([plain, turned.reshape(turning.shape).to(u.dtype)], -1)

    def _extended(self, x: Tensor, state: State | None) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
        """Positions of x, queries `[B, T, H, E]`, vectors of the window and of x `[B, S, E]`, and all entries."""
        window, *entries, position = self.checked_state(state, x.shape[0])
        at = torch.arange(int(position), int(position) + x.shape[1], device=x.device)
        q = self.q_norm(wide(self.query(x)).unflatten(-1, (self.heads, -1))).to(x.dtype)
        window = torch.cat([window, self.norm(wide(self.content(x))).to(window.dtype)], 1)
        old = entries[0].shape[1]
        fresh = self.mixture.fresh(window, int(position) + x.shape[1] - window.shape[1], old)
        places = torch.arange(old + 1, old + 1 + fresh.shape[1], device=x.device) * self.block - 1
        more = [self._turned(fresh, places)] + ([self.index.key(fresh)] if self.index else [])
        entries = [torch.cat(pair, 1) for pair in zip(entries, more, strict=True)]
        return at, self._turned(q, at), window, entries

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        at, q, window, entries = self._extended(x, state)
        time, before = x.shape[1], self.window - 1
        near = self._turned(window, torch.arange(-window.shape[1], 0, device=x.device) + at[-1] + 1)
        near = F.pad(near, (0, 0, max(0, before + time - window.shape[1]), 0))[:, -(before + time) :]
        parts = [slice(s, min(s + self.chunk, time)) for s in range(0, time, self.chunk)]
        o = [self._attend(x[:, p], q[:, p], near[:, p.start : p.stop + before], entries, at[p]) for p in parts]
        y = self.out(self._turned(torch.cat(o, 1), -at).flatten(2))
        return y, (window[:, -self.window :], *entries, at[-1].cpu() + 1)

    def _attend(self, x: Tensor, q: Tensor, near: Tensor, entries: list[Tensor], at: Tensor) -> Tensor:
        """C queries at the positions `at`, on the W - 1 + C vectors up to the last of them, and on entries."""
        count = (int(at[-1]) + 1) // self.block
        full = (torch.arange(count, device=x.device) + 1) * self.block <= at[:, None] + 1
        index = wide(x.new_zeros(count))
        if self.index:
            index = self.index.score(x, entries[1][:, :count])
            best = self.index.best(index.masked_fill(~full, -torch.inf))
            full = full & torch.zeros_like(index, dtype=torch.bool).scatter(-1, best, True)
        near_bias = window_bias(at, self.window).to(index)
        bias = torch.cat([near_bias.expand(*full.shape[:-1], -1), index.masked_fill(~full, -torch.inf)], -1)
        return read(q, torch.cat([near, entries[0][:, :count]], 1), bias, self.sink)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        at, q, window, entries = self._extended(x[:, None], state)
        window = window[:, -self.window :]
        keys = self._turned(window, torch.arange(1 - window.shape[1], 1, device=x.device) + at)
        far, bias = entries[0], wide(x.new_zeros(x.shape[0], 1, entries[0].shape[1]))
        if self.index:
            score = self.index.score(x[:, None], entries[1])
            best = self.index.best(score)
            far, bias = far.gather(1, best[:, 0, :, None].expand(-1, -1, self.entry)), score.gather(2, best)
        o = read(q, torch.cat([keys, far], 1), F.pad(bias, (keys.shape[1], 0)), self.sink)
        return self.out(self._turned(o, -at)[:, 0].flatten(1)), (window, *entries, at[0].cpu() + 1)

    def parameters_count(self) -> Any:
        """D E (2 H + 1), 2 E gains, H sinks, mixture, indexer."""
        inner = self.mixture.parameters_count() + (self.index.parameters_count() if self.index else 0)
        return self.width * self.entry * (2 * self.heads + 1) + 2 * self.entry + self.heads + inner

    def state_elements(self, t: Any) -> Any:
        """E min(t, W), and E + K_I (HCA: E) for each of ⌊t / m⌋ entries."""
        return self.entry * minimum(t, self.window) + (self.entry + self.index_width) * self.mixture.entries(t)

    def _met(self, t: Any) -> Any:
        far = self.mixture.entries(t)
        return minimum(t, self.window) + (minimum(far, self.index.selected) if self.index else far)

    def read_elements(self, t: Any) -> Any:
        """Window, all index keys, and the n selected entries."""
        return self.entry * self._met(t) + self.index_width * self.mixture.entries(t)

    def write_elements(self, t: Any) -> Any:
        """A token's vector, E, and an entry at every m-th token."""
        return self.entry + (self.entry + self.index_width) * (self.mixture.entries(t) - self.mixture.entries(t - 1))

    def _flops(self, tokens: Any, vectors: Any, indexed: Any) -> Any:
        """Of projections, of pairs of a query and a vector, 4 H E, and of those that the indexer scores."""
        index = tokens * self.index.token_flops() + indexed * self.index.pair_flops() if self.index else 0
        weights = self.width * self.entry * (2 * self.heads + 1)
        return 2 * tokens * weights + 4 * self.heads * self.entry * vectors + index

    def _entry_flops(self, t: Any) -> Any:
        return self.mixture.flops(t) + (self.mixture.entries(t) * self.index.entry_flops() if self.index else 0)

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, entries, and the pairs with C + W - 1 vectors and with all entries to the end of the chunk."""
        whole = t // self.chunk
        rest = (t - whole * self.chunk) * self.mixture.entries(t)
        entries = self.chunk**2 // self.block * (whole * (whole + 1) // 2) + rest
        vectors = window_pairs(t, self.chunk, self.window) + entries
        return batch * (self._flops(t, vectors, entries) + self._entry_flops(t))

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, window, index and what it selects; an entry at every m-th token."""
        entry = self._entry_flops(t) - self._entry_flops(t - 1)
        return batch * (self._flops(1, self._met(t), self.mixture.entries(t)) + entry)

    def dataflow(self) -> Dataflow:
        far = Span(None, None, ceil_div(self.entry + self.index_width, self.block))
        return Dataflow((Span(0, self.window, self.entry), far))
