"""Compressed attention: one vector for every few tokens, read densely or by an indexer's choice, beside a window."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._counts import ceil_div, maximum, minimum
from recallscope.architectures.mixers._mixer import Mixer, State, checked_state
from recallscope.architectures.mixers._rotary import rotate, wide
from recallscope.architectures.mixers._selection import falling


class CompressedAttention(Mixer):
    """Compressed sparse (CSA) and heavily compressed (HCA) attention of DeepSeek-V4, 2026.

    Of each token a vector `c = RMSNorm(W_c x)`, E wide, key and value in one and of all heads, is kept for the window.
    As soon as block i of m tokens is full, it is an entry, `e_i = Σ_j s_j ⊙ c_j` over its tokens and, with `overlap`,
    over those of block i - 1, s a softmax over these in each channel, of logits `W_a c_j + p_a` on the block's own
    tokens and `W_b c_j + p_b` on those before it, p learned for each place in a block. Head h takes one softmax over
    window and entries, with a learned sink logit, of `q_h · k / √E`, where k = v is c or e with its last channels
    rotated; those of the output are turned back by the query's position, so that values too know distances.

    With `selected` (CSA), a query sees only the n entries with the highest index `I_i = Σ_j w_j ReLU(q_j · W_k e_i)`,
    w and the q_j from x; without (HCA) all of them.

    Reconstruction from secondary readings, the published text not being at hand: the entries are mixed from the
    window's vectors, so that nothing is kept but window, entries and the indexer's keys; an entry stands where its last
    token does; I is added to the scores of what it selects, so that the indexer learns (published: by a loss of its
    own). Left out: low-rank queries, outputs projected in groups.

    Parameters
    ----------
    width : int
        Model width D.
    heads : int
        Number of query heads H.
    entry : int or None
        Width E of keys, values and queries (512 published); None: D / H.
    block, overlap : int, bool
        Tokens m of a block (4 in CSA, 128 in HCA), and whether its entry reaches back to the block before (CSA).
    selected : int or None
        Entries n a query reads (512 to 1,024 published); None: all (HCA).
    window : int
        Window W (128 published), at least m, or 2m with `overlap`: the tokens that the next entry needs.
    index_heads, index_width : int, int or None
        Queries of the indexer, and their width (128 published); None: E / 4, rounded up.
    rope_width, rope_base : int or None, float
        Channels that are rotated, even; None: E / 8, rounded up. Base of the frequencies.
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
            raise ValueError(f"rope_width: an even number up to {self.entry}, got {rope_width}")
        if block < 1 or chunk < 1:
            raise ValueError(f"block, chunk: at least 1 token, got {block} and {chunk}")
        if window < block * (1 + overlap):
            raise ValueError(f"window: at least {block * (1 + overlap)}, what an entry is made of, got {window}")
        if selected is not None and (selected < 1 or index_heads < 1):
            raise ValueError(f"selected, index_heads: at least 1, got {selected} and {index_heads}")
        self.block, self.overlap, self.selected, self.window = block, overlap, selected, window
        self.rope_base, self.chunk, self.index_heads = rope_base, ceil_div(chunk, block) * block, index_heads
        self.sparse = selected is not None
        self.index_width = (ceil_div(self.entry, 4) if index_width is None else index_width) if self.sparse else 0
        self.query, self.content = (nn.Linear(width, n * self.entry, bias=False) for n in (heads, 1))
        self.q_norm, self.norm = nn.RMSNorm(self.entry, eps=1e-5), nn.RMSNorm(self.entry, eps=1e-5)
        self.logits = nn.ModuleList(nn.Linear(self.entry, self.entry, bias=False) for _ in range(1 + overlap))
        self.places = nn.Parameter(torch.zeros(1 + overlap, block, self.entry))
        self.sink = nn.Parameter(torch.zeros(heads))
        if self.sparse:
            self.index_query = nn.Linear(width, index_heads * (self.index_width + 1), bias=False)
            self.index_key = nn.Linear(self.entry, self.index_width, bias=False)
        self.out = nn.Linear(heads * self.entry, width, bias=False)

    def init_state(self, batch: int) -> State:
        """Empty: window `[B, 0, E]`, entries `[B, 0, E]`, index keys `[B, 0, K_I]`; and the next token's position."""
        weight = self.content.weight
        empty = weight.new_zeros(batch, 0, self.entry)
        keys = (weight.new_zeros(batch, 0, self.index_width),) if self.sparse else ()
        return empty, empty, *keys, torch.zeros((), dtype=torch.long)

    def _checked(self, state: State | None, batch: int) -> State:
        start = self.init_state(batch)
        return start if state is None else checked_state(state, start)

    def _turned(self, u: Tensor, positions: Tensor) -> Tensor:
        """`[B, T, ..., E]`, its last channels rotated; float32 at least while they are."""
        if not self.rope_width:
            return u
        plain, turning = u.split([self.entry - self.rope_width, self.rope_width], -1)
        turned = rotate(wide(turning).flatten(2, -2) if u.ndim > 3 else wide(turning)[:, :, None], positions, self.rope_base)
        return torch.cat([plain, turned.reshape(turning.shape).to(u.dtype)], -1)
