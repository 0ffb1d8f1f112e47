"""Random automata, one per example, and random walks on all of them at once."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

import torch
from torch import Tensor

from recallscope.tasks._source import Source
from recallscope.tasks.mqar import falling_bits

Range = tuple[int, int]
"""Smallest and largest value, both included."""


@dataclass(frozen=True)
class Automata:
    """A table of partial deterministic automata with start state 0, as lists of outgoing edges.

    S states are laid out for every example, E edges for every state. What lies beyond an automaton's own states has no
    edges and is never reached; what lies beyond a state's out-degree is never followed.

    Attributes
    ----------
    letters, targets : Tensor
        `[examples, S, E]` letter and target state of each edge, int64.
    degrees : Tensor
        `[examples, S]` out-degree of each state, int64.
    symbols : int
        How many letters there are in all: ids 0 .. symbols - 1.
    """

    letters: Tensor
    targets: Tensor
    degrees: Tensor
    symbols: int

    def transitions(self) -> Tensor:
        """`[examples, S, symbols]`: target state of each letter, -1 where the letter is not allowed; int64."""
        return self._by_letter(self.targets, -1)

    def distributions(self) -> Tensor:
        """`[examples, S, symbols]`: distribution of the next letter in each state, uniform on its edges; float32."""
        share = self.degrees.clamp(min=1).float().reciprocal()
        return self._by_letter(share[:, :, None].expand(self.letters.shape), 0.0)

    def walk(self, source: Source, walks: int, steps: int) -> tuple[Tensor, Tensor]:
        """So many independent walks per example from the start state; every edge of a state is equally likely.

        Returns the letters `[examples, walks, steps]` and the states after them, of the same shape; int32.
        """
        rows, states, edges = self.letters.shape
        width = (self.symbols - 1).bit_length()  # an edge is coded in one integer: its target, then its letter
        coded = ((self.targets << width) | self.letters).int().flatten()
        degrees = self.degrees.int().flatten()
        scale = 31 - edges.bit_length()  # an edge of m is off its probability 1/m by less than 2^-scale
        chosen = source.integers(steps, rows * walks, 1 << scale)
        first = torch.arange(rows, dtype=torch.int32, device=coded.device).repeat_interleave(walks) * states
        passed = torch.empty(steps, rows * walks, dtype=torch.int32, device=coded.device)
        at = first
        for step in range(steps):
            edge = (chosen[step] * degrees.index_select(0, at)) >> scale
            torch.index_select(coded, 0, at * edges + edge, out=passed[step])
            at = first + (passed[step] >> width)
        passed = passed.view(steps, rows, walks).permute(1, 2, 0).contiguous()
        return passed & ((1 << width) - 1), passed >> width

    def _by_letter(self, values: Tensor, otherwise: float) -> Tensor:
        """`[examples, S, symbols]` of `values` at the letters of the edges."""
        edge = torch.arange(self.letters.shape[2], device=self.letters.device)
        spare = torch.where(edge < self.degrees[:, :, None], self.letters, self.symbols)
        shape = (*self.letters.shape[:2], self.symbols + 1)
        table = torch.full(shape, otherwise, dtype=values.dtype, device=values.device)
        return table.scatter_(2, spare, values)[:, :, :-1]


def draw_automata(
    source: Source, examples: int, states: Range, alphabet: Range, out_degree: Range, letters: int
) -> Automata:
    """The random automata of Akyürek, Wang, Kim and Andreas 2024 (arXiv 2401.12973), as the authors' code draws them.

    Number of states n and size of the alphabet c uniform on their ranges, the alphabet c of the `letters` without
    replacement. For each state: out-degree m uniform on its range, m distinct letters of the alphabet, m distinct
    target states other than the state itself, matched at random. All states accept; some may be out of reach.

    The authors then minimise the automaton and drop unreachable states. Both leave every string as likely as before and
    the next letters after every prefix as they were: states that are merged have the same outgoing letters. So neither
    is done here.
    """
    most, edges = states[1], out_degree[1]
    count = _between(source, examples, 1, states)
    size = _between(source, examples, 1, alphabet)
    known = torch.empty(examples, letters, dtype=torch.bool, device=source.device)
    known.scatter_(1, source.permutations(examples, letters).long(), torch.arange(letters, device=size.device) < size)
    index = torch.arange(most, device=count.device)
    other = (index < count[:, :, None]) & (index != index[:, None])
    degrees = torch.where(index < count, _between(source, examples, most, out_degree), 0)
    chosen = _distinct(source, known[:, None].expand(-1, most, -1), edges)
    return Automata(chosen, _distinct(source, other, edges), degrees, letters)


def automaton_bits(states: Range, alphabet: Range, out_degree: Range, letters: int) -> float:
    """Entropy of `draw_automata`, less the names of the states other than the start, in bits.

    With means over the uniform n, c and m::

        log2 #n + log2 #c + E log2 C(letters, c) + E[n (log2 #m + log2 C(c, m) + log2 (n-1)!/(n-1-m)!) - log2 (n-1)!]

    where #n is the number of values of n. It bounds from above the entropy of what a reader can ever see, the reachable
    part up to renaming: the names of the reachable states and the edges of the others carry at least the log2 (n-1)!
    that is subtracted (a state has n - 1 choices for its first target).
    """
    counts, sizes, degrees = (range(low, high + 1) for low, high in (states, alphabet, out_degree))
    edge_letters = _mean(_mean(_choose_bits(size, degree) for size in sizes) for degree in degrees)
    row = log2(len(degrees)) + edge_letters
    tables = _mean(
        count * (row + _mean(falling_bits(count - 1, degree) for degree in degrees))
        - falling_bits(count - 1, count - 1)
        for count in counts
    )
    return log2(len(counts)) + log2(len(sizes)) + _mean(_choose_bits(letters, size) for size in sizes) + tables


def _between(source: Source, rows: int, columns: int, span: Range) -> Tensor:
    """`[rows, columns]` uniform on a range, int64."""
    return source.integers(rows, columns, span[1] - span[0] + 1).long() + span[0]


def _distinct(source: Source, allowed: Tensor, count: int) -> Tensor:
    """`[..., count]`: indices of allowed entries along the last axis, without replacement, in random order; int64."""
    keys = source.uniform(len(allowed), allowed[0].numel()).view(allowed.shape)
    return keys.masked_fill_(~allowed, 2).topk(count, largest=False).indices


def _choose_bits(count: int, taken: int) -> float:
    return falling_bits(count, taken) - falling_bits(taken, taken)


def _mean(values) -> float:
    values = list(values)
    return sum(values) / len(values)
