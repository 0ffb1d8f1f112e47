"""One vector for every block of tokens, a mixture of theirs, an indexer that chooses among these, and their reading."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.mixers._blocks import whole_blocks
from recallscope.architectures.mixers._counts import maximum
from recallscope.architectures.mixers._rotary import wide
from recallscope.architectures.mixers._selection import falling


class BlockMixture(nn.Module):
    """`e_i = Σ_j s_j ⊙ c_j`, s a softmax over j in each channel, of `W_a c_j + p_a` for the m tokens of block i.

    With `overlap` also, in the same softmax, of `W_b c_j + p_b` for those of block i - 1, if there is one; p is learned
    for each place in a block.

    Parameters
    ----------
    width : int
        Width E of c and e.
    block : int
        Tokens m of a block.
    overlap : bool
        Whether e_i reaches back to block i - 1.
    """

    def __init__(self, width: int, block: int, overlap: bool):
        super().__init__()
        self.width, self.block, self.overlap = width, block, overlap
        self.logits = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(1 + overlap))
        self.places = nn.Parameter(torch.zeros(1 + overlap, block, width))

    def fresh(self, c: Tensor, start: int, old: int) -> Tensor:
        """The entries from number `old` on, `[B, n, E]`, of the blocks that are full.

        c `[B, S, E]` are the vectors from position `start` on, at least of block `old` and of the one before it.
        """
        count, block = (start + c.shape[1]) // self.block - old, self.block
        if not count:
            return c[:, :0]
        tokens, logits = self._blocks(c, old * block - start, count, 0)
        if self.overlap:
            reach = min(count, old + count - 1)  # the very first block has none before it
            earlier, more = self._blocks(c, (old + count - 1 - reach) * block - start, reach, 1)
            front = (0, 0, 0, 0, count - reach, 0)
            tokens = torch.cat([F.pad(earlier, front), tokens], 2)
            logits = torch.cat([F.pad(more, front, value=-torch.inf), logits], 2)
        return (wide(logits).softmax(2) * tokens).sum(2).to(c.dtype)

    def _blocks(self, c: Tensor, first: int, count: int, which: int) -> tuple[Tensor, Tensor]:
        """`[B, n, m, E]` from the place `first` on, and their logits."""
        tokens = c[:, first : first + count * self.block].unflatten(1, (count, self.block))
        return tokens, self.logits[which](tokens) + self.places[which]

    def entries(self, t: Any) -> Any:
        """Full blocks after `t` tokens: ⌊t / m⌋."""
        return whole_blocks(t, self.block)

    def parameters_count(self) -> Any:
        """E (E + m), twice with `overlap`."""
        return (1 + int(self.overlap)) * self.width * (self.width + self.block)

    def flops(self, t: Any) -> Any:
        """Of all entries of `t` tokens: 2 m E² each, and for what they reach back to."""
        count = self.entries(t)
        return 2 * self.block * self.width**2 * (count + int(self.overlap) * maximum(count - 1, 0))


class Indexer(nn.Module):
    """`I_i = Σ_j w_j ReLU(q_j · W_k e_i) / √(J K)`: what each entry e_i is worth to a token x that gives w and the q_j.

    Parameters
    ----------
    width, entry : int
        Width D of x and E of entries.
    heads, key_width : int
        Queries J, and their width K.
    selected : int
        Entries n that are chosen.
    """

    def __init__(self, width: int, entry: int, heads: int, key_width: int, selected: int):
        super().__init__()
        if min(heads, key_width, selected) < 1:
            raise ValueError(f"index_heads, index_width, selected: from 1 on, got {heads}, {key_width}, {selected}")
        self.width, self.entry, self.heads, self.key_width, self.selected = width, entry, heads, key_width, selected
        self.query = nn.Linear(width, heads * (key_width + 1), bias=False)
        self.key = nn.Linear(entry, key_width, bias=False)

    def score(self, x: Tensor, keys: Tensor) -> Tensor:
        """`[B, T, N]`, float32 at least, from x `[B, T, D]` and the entries' keys `[B, N, K]`."""
        u = self.query(x).unflatten(-1, (self.heads, self.key_width + 1))
        q, weight = u[..., :-1], u[..., -1]
        match = F.relu(q.flatten(1, 2) @ keys.transpose(1, 2)).unflatten(1, (-1, self.heads))  # [B, T, J, N]
        return wide(weight[..., None, :] @ match)[..., 0, :] * (self.heads * self.key_width) ** -0.5

    def best(self, score: Tensor) -> Tensor:
        """The n entries of largest score, `[B, T, ≤ n]`; of equal ones the older."""
        return falling(score)[..., : self.selected]

    def parameters_count(self) -> Any:
        """D J (K + 1) + E K."""
        return self.width * self.heads * (self.key_width + 1) + self.entry * self.key_width

    def token_flops(self) -> Any:
        """Of the queries and their weights."""
        return 2 * self.width * self.heads * (self.key_width + 1)

    def entry_flops(self) -> Any:
        """Of an entry's key."""
        return 2 * self.entry * self.key_width

    def pair_flops(self) -> Any:
        """Of one entry for one token."""
        return 2 * self.heads * (self.key_width + 1)


def read(q: Tensor, keys: Tensor, bias: Tensor, sink: Tensor) -> Tensor:
    """Softmax of `q·k / √E + bias` and each head's sink, of vectors that are keys and values in one: `[B, T, H, E]`.

    q `[B, T, H, E]`, keys `[B, S, E]`, bias `[T, S]` or `[B, T, S]`, sink `[H]`.
    """
    scores = wide(q.flatten(1, 2) @ keys.transpose(1, 2)).unflatten(1, q.shape[1:3]) * q.shape[3] ** -0.5
    scores = scores + bias[..., None, :]
    sinks = sink[:, None].to(scores.dtype).expand(*scores.shape[:-1], 1)
    weights = torch.cat([scores, sinks], -1).softmax(-1)[..., :-1].to(keys.dtype)
    return (weights.flatten(1, 2) @ keys).unflatten(1, q.shape[1:3])


def window_bias(at: Tensor, window: int) -> Tensor:
    """`[C, W - 1 + C]` for queries at the positions `at` and the vectors up to the last: 0 if seen, -inf if not."""
    query, key = torch.arange(len(at), device=at.device)[:, None], torch.arange(window - 1 + len(at), device=at.device)
    seen = (key >= query) & (key < query + window) & (key >= window - 1 - at[0])
    return torch.zeros(seen.shape, device=at.device).masked_fill(~seen, -torch.inf)
