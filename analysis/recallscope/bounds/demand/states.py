"""What a state of S bits can gain on the hits of a corpus, document by document."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from recallscope.bounds.demand.gains import carried_gain, gain_limit, spans
from recallscope.bounds.demand.intervals import Array
from recallscope.bounds.demand.records import Block

BINS = 32  # powers of two of the distance


@dataclass(frozen=True)
class AtState:
    """What a state of `state_bits` can do for the hits of a corpus; sums in bits, losses in nats per hit.

    Attributes
    ----------
    hits : int
    gain_bits : float
        Σ g_i: what the whole context gains over the memoryless model, with a state without limit.
    carried_bits : float
        Most of it that a state carries if each gain is a file of g_i bits, none shared (`carried_gain`): it knows the
        gains in advance. A description of this text; no bound (see `gains`).
    limit_bits : float
        `gain_limit` with cuts chosen from gains expected by distance in *other* documents. Its mean bounds every model
        of this state, under the assumptions in `gains`. Never below `carried_bits`; by chance it can be above
        `gain_bits`, the same with no cut at all, which then says more.
    memoryless_loss : float
        Mean loss of the memoryless model on the hits.
    lowest_loss : float
        `memoryless_loss` less the limit: the least mean loss on hits for a model of this state.
    """

    state_bits: float
    hits: int
    gain_bits: float
    carried_bits: float
    limit_bits: float
    memoryless_loss: float
    lowest_loss: float


def at_states(read: Iterable[Block], states: Sequence[float], reach: int | None, expected: Array) -> list[AtState]:
    """`AtState` of each state in bits, in one pass over blocks with the losses (memoryless, whole).

    `expected` is the sum of `gained_by_distance` over all blocks.
    """
    sums = np.zeros((len(states), 2))
    hits, gain, loss = 0, 0.0, 0.0
    for block in read:
        gained = _gains(block)
        hits += gained.size
        gain += float(gained.sum())
        loss += float(block.losses[0].sum())
        sums += _bits(block, gained, states, reach, expected)
    mean = loss / hits
    return [
        AtState(state, hits, gain, carried, limit, mean, mean - limit * math.log(2) / hits)
        for state, (carried, limit) in zip(states, sums.tolist(), strict=True)
    ]


def gained_by_distance(block: Block) -> Array:
    """`[2, bins]`: hits, and bits gained, by power of two of the distance."""
    bins = _bins(block)
    return np.array([np.bincount(bins, minlength=BINS), np.bincount(bins, _gains(block), minlength=BINS)])


def _bits(block: Block, gained: Array, states: Sequence[float], reach: int | None, total: Array) -> Array:
    """`[states, 2]`: bits carried, and the limit, in one block."""
    begin, end = spans(block.begin, block.end, reach)
    expected = _expected_elsewhere(block, gained, total)
    found = np.empty((len(states), 2))
    for row, state in enumerate(states):
        cuts = carried_gain(begin, end, expected, state).cuts
        found[row] = carried_gain(begin, end, gained, state).bits, gain_limit(begin, end, gained, state, cuts)
    return found


def _gains(block: Block) -> Array:
    """Gain of each hit in bits, `[I]`: what the memoryless model pays above the whole context, at least 0."""
    return np.maximum(block.losses[0] - block.losses[1], 0) / math.log(2)


def _bins(block: Block) -> Array:
    return np.log2(block.end - block.begin).astype(np.int64)


def _expected_elsewhere(block: Block, gained: Array, total: Array) -> Array:
    """`[I]` mean gain of the hits of the same distance in all other documents, so that cuts do not see the answers.

    Where no other document has such a hit, the mean of all their hits; where they have none, 1 bit.
    """
    _, own = np.unique(block.document[block.hit], return_inverse=True)
    keys, documents = own * BINS + _bins(block), int(own.max(initial=-1)) + 1
    size = documents * BINS
    counted = np.array([np.bincount(keys, minlength=size), np.bincount(keys, gained, minlength=size)])
    others = total[:, None, :] - counted.reshape(2, documents, BINS)
    hits, bits = others[0], np.maximum(others[1], 0)  # a difference of sums may fall below 0 by rounding
    all_hits, all_bits = hits.sum(1, keepdims=True), bits.sum(1, keepdims=True)
    fallback = np.where(all_hits > 0, all_bits / np.maximum(all_hits, 1), 1.0)
    return np.where(hits > 0, bits / np.maximum(hits, 1), fallback).reshape(-1)[keys]
