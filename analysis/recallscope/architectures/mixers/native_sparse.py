"""Native sparse attention: the whole past is stored, and a step reads summaries, a few blocks and a window of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._compression import BlockMLPs
from recallscope.architectures.mixers._counts import ceil_div, minimum
from recallscope.architectures.mixers._mixer import State
from recallscope.architectures.mixers._selection import (
    block_attention,
    causal_pairs,
    rank_blocks,
    scaled_scores,
    shared_scores,
    window_attention,
    window_pairs,
)
from recallscope.architectures.mixers._softmax import SoftmaxMixer


class NativeSparse(SoftmaxMixer):
    """Native sparse attention (Yuan et al. 2025): `o_t = Σ_b σ(g_t^b) Attention(q_t, K^b, V^b)` over three branches.

    - compressed: one entry for every `stride` tokens, `k̄_i = MLP(k_{id+1} .. k_{id+l})`, likewise v̄, as soon as its
      l tokens are there; attended densely;
    - selected: all tokens of n blocks of l', the first, the current and the one before it always; the others those
      of largest score, the compressed weights summed over all strides of the block, the entries that cover each, and
      the query heads that share a key head. The choice itself has no gradient;
    - window: the last W tokens.

    `prefill` masks: selection costs a causal rectangle there. `step` reads what it selects.

    Reconstruction: the paper gives each branch its own keys and values; here the branches share them, and what is
    stored is one cache and the entries. The MLP has one hidden layer, of width K, and positions in the block are those
    that keys carry, relative to its start (`_compression.BlockMLPs`).

    Parameters are those of `SoftmaxMixer` and, all in tokens but `selected`:

    compress_block, stride : int
        Tokens l of an entry and d between entries; d divides l (32 and 16 in the paper).
    select_block, selected : int
        Tokens l' of a block, a multiple of d and at least l, and blocks n a query reads, at least 3 (64 and 16).
    window : int
        Window W (512 in the paper), at least l, so that a step makes entries of what it reads anyway.
    chunk : int
        Queries per chunk of the parallel form; changes speed, not results.
    """

    def __init__(
        self,
        width: int,
        heads: int = 4,
        *,
        compress_block: int = 16,
        stride: int = 8,
        select_block: int = 16,
        selected: int = 4,
        window: int = 64,
        chunk: int = 256,
        **shape: Any,
    ):
        super().__init__(width, heads, **shape)
        if stride < 1 or compress_block < 1 or compress_block % stride:
            raise ValueError(f"stride: must divide compress_block, {compress_block}, got {stride}")
        if select_block < compress_block or select_block % stride:
            raise ValueError(f"select_block: a multiple of stride, at least compress_block, got {select_block}")
        if selected < 3:
            raise ValueError(f"selected: at least 3 blocks (first, current, the one before), got {selected}")
        if window < compress_block:
            raise ValueError(f"window: at least compress_block, {compress_block}, got {window}")
        if chunk < 1:
            raise ValueError(f"chunk: at least 1 token, got {chunk}")
        self.compress_block, self.stride, self.select_block = compress_block, stride, select_block
        self.selected, self.window, self.chunk = selected, window, chunk
        self.compress = BlockMLPs(self.key_width, compress_block, stride, self.rope_base)
        self.branches = nn.Linear(width, 3 * heads, bias=False)

    def init_state(self, batch: int) -> State:
        """Empty caches of keys, values, compressed keys and compressed values, each `[B, 0, H_kv, K]`."""
        return super().init_state(batch) * 2

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        keys, values, *entries = self.checked_state(state, x.shape[0])
        past = keys.shape[1]
        q, k, v = self._project(x, past)
        keys, values = torch.cat([keys, k], 1), torch.cat([values, v], 1)
        entries = self.compress.extend(keys, values, *entries)
        caches = [F.pad(self._heads_first(u), (0, 0, self.window - 1, 0)) for u in (keys, values)]
        short = [self._heads_first(u) for u in entries]
        parts = self._heads_first(q).split(self.chunk, 2)
        starts = range(past, past + x.shape[1], self.chunk)
        o = torch.cat([self._attend(p, at, *caches, *short) for p, at in zip(parts, starts, strict=True)], 2)
        gates = torch.sigmoid(self.branches(x)).unflatten(-1, (self.heads, 3, 1))
        return self._finish((o.transpose(1, 2) * gates).sum(-2), x), (keys, values, *entries)

    def _attend(self, q: Tensor, start: int, keys: Tensor, values: Tensor, short: Tensor, short_values: Tensor):
        """Queries `start, start + 1, ...` `[B, H, C, K]` to the branches' outputs `[B, H, C, 3, K]`.

        Keys and values `[B, H, W - 1 + S, K]` come after W - 1 zeros, so that every chunk has a window of one size.
        """
        end, before = start + q.shape[2], self.window - 1
        at = torch.arange(start, end, device=q.device)[:, None]
        seen = torch.arange(short.shape[2], device=q.device) * self.stride + self.compress_block <= at + 1
        scores = scaled_scores(q, short)
        # a finite fill, then zero: the first queries have no entry to see
        weights = scores.masked_fill(~seen, torch.finfo(scores.dtype).min).softmax(-1) * seen
        blocks = self._blocks(weights, at // self.select_block).repeat_interleave(self.heads // self.kv_heads, 1)
        past = slice(before, before + end)
        selected = block_attention(q, keys[:, :, past], values[:, :, past], blocks, self.select_block)
        near = slice(start, before + end)
        window = window_attention(q, keys[:, :, near], values[:, :, near], start)
        return torch.stack([weights.to(q.dtype) @ short_values, selected, window], -2)

    def _blocks(self, weights: Tensor, current: Tensor) -> Tensor:
        """Chosen blocks `[B, H_kv, C, ≤ n]`, from compressed weights `[B, H, C, entries]` and current blocks."""
        cells = self.compress_block // self.stride, self.select_block // self.stride
        return rank_blocks(shared_scores(weights, self.kv_heads), current, *cells)[..., : self.selected]

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        keys, values, *entries = self.checked_state(state, x.shape[0])
        q, k, v = self._project(x[:, None], keys.shape[1])
        keys, values = torch.cat([keys, k], 1), torch.cat([values, v], 1)
        entries = self.compress.extend(keys, values, *entries)
        t, size = keys.shape[1], self.select_block
        q, short, short_values = (self._heads_first(u) for u in (q, *entries))
        weights = scaled_scores(q, short).softmax(-1)  # no entries: an empty sum, 0
        current = torch.tensor([[(t - 1) // size]], device=x.device)
        blocks = self._blocks(weights, current)[:, :, 0].sort(-1).values  # the current one, last, may be partly filled
        tokens = (blocks[..., None] * size + torch.arange(size, device=x.device)).flatten(2)
        tokens = tokens[..., : self._selected_tokens(t), None].expand(-1, -1, -1, self.key_width)
        chosen = [u.transpose(1, 2).gather(2, tokens).transpose(1, 2) for u in (keys, values)]
        o = [weights.to(q.dtype) @ short_values]
        for k, v in (chosen, (keys[:, -self.window :], values[:, -self.window :])):
            o.append(F.scaled_dot_product_attention(q, self._heads_first(k), self._heads_first(v)))
        gates = torch.sigmoid(self.branches(x)).unflatten(-1, (self.heads, 3, 1))
        return self._finish((torch.cat(o, 2) * gates).sum(-2), x), (keys, values, *entries)

    def _selected_tokens(self, t: Any) -> Any:
        """Tokens of min(n, all) blocks, of which the current one ends at token `t`."""
        blocks = ceil_div(t, self.select_block)
        return t - (blocks - minimum(blocks, self.selected)) * self.select_block

    def parameters_count(self) -> Any:
        """Those of softmax attention, 2 (l + 1) K² in the MLPs and 3 D H in the branches' gates."""
        return super().parameters_count() + self.compress.parameters_count() + 3 * self.width * self.heads

    def state_elements(self, t: Any) -> Any:
        """Keys and values of tokens and entries: 2 H_kv K (t + ⌊(t - l) / d⌋ + 1)."""
        return 2 * self.kv_heads * self.key_width * (t + self.compress.entries(t))

    def read_elements(self, t: Any) -> Any:
        """All entries and at most n blocks and W tokens: 2 H_kv K (entries + min(t, n l' + W)), in whole blocks."""
        tokens = self._selected_tokens(t) + minimum(t, self.window)
        return 2 * self.kv_heads * self.key_width * (self.compress.entries(t) + minimum(t, tokens))

    def write_elements(self, t: Any) -> Any:
        """A key and a value, and those of an entry at every d-th token."""
        return self.state_elements(t) - self.state_elements(t - 1)

    def _token_flops(self) -> Any:
        return self._projection_flops() + 6 * self.width * self.heads

    def _attention_flops(self, pairs: Any) -> Any:
        return 4 * self.heads * self.key_width * pairs

    def _parts(self, t: Any) -> tuple[Any, Any]:
        """FLOPs of `prefill` in plain products, and in attention kernels."""
        products = t * self._token_flops() + self.kv_heads * self.compress.flops(t)
        pairs = causal_pairs(t, self.chunk) + window_pairs(t, self.chunk, self.window)
        return products + self._attention_flops(t * self.compress.entries(t)), self._attention_flops(pairs)

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, entries, and 4 H K for each pair: all entries, keys to the end of the chunk, C + W - 1 keys."""
        return batch * sum(self._parts(t))

    def training_flops(self, t: Any, batch: Any = 1) -> Any:
        """Three times the products; the kernels recompute the scores: five products backward for two forward."""
        products, kernels = self._parts(t)
        return batch * (3 * products + 7 * kernels // 2)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, 4 H K for each entry, selected token and token of the window; an entry at every d-th token."""
        read = self.compress.entries(t) + self._selected_tokens(t) + minimum(t, self.window)
        entry = self.kv_heads * (self.compress.flops(t) - self.compress.flops(t - 1))
        return batch * (self._token_flops() + self._attention_flops(read) + entry)

    def dataflow(self) -> Dataflow:
        token = 2 * self.kv_heads * self.key_width
        return Dataflow((Span(None, None, token + ceil_div(token, self.stride)),))
