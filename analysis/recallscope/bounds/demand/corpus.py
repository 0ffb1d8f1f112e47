"""The recall demand of a corpus: what memories of every size serve of its hits, and what a state of S bits can gain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from recallscope.bounds.demand.intervals import Array, at_least
from recallscope.bounds.demand.recent import stack_distance
from recallscope.bounds.demand.records import Source, blocks, open_source
from recallscope.bounds.demand.selective import selective_capacity
from recallscope.bounds.demand.states import BINS, AtState, at_states, gained_by_distance
from recallscope.bounds.demand.tables import SIZES, state_table, table_of_sizes

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Demand:
    """Hits served by memories of every size; made by `demand`.

    Attributes
    ----------
    documents, tokens, hits : int
    best, lru, window : int64 arrays `[size + 1]`
        Entry C: hits served by the best possible memory of C associations, by the C most recently used ones, by a
        window of C tokens (distance ≤ C); window ≤ lru ≤ best. `best` goes up to `most`, the others to where all are
        served.
    models : (memoryless, whole) or ()
        Whose losses define the gain.
    reach : int or None
        Tokens that the memoryless model sees; None: associations are taken to be independent (`gains.spans`).
    """

    documents: int
    tokens: int
    hits: int
    best: Array
    lru: Array
    window: Array
    models: tuple[str, ...]
    reach: int | None
    _source: Source = field(repr=False, compare=False)
    _expected: Array = field(repr=False, compare=False)  # [2, bins]: hits and bits gained, by distance

    def table(self, sizes: Iterable[int] = SIZES) -> pa.Table:
        """Columns `size`, `best`, `lru`, `window` (hits served) and their shares of all hits; one row per size."""
        return table_of_sizes(self, sizes)

    def at_state_bits(self, state_bits: float) -> AtState:
        """What a state of so many bits can gain on the hits; reads the records again, O(I log I) for I hits.

        Raises `ValueError` for a negative state and for records without two columns of losses.
        """
        return self.at_states([state_bits])[0]

    def at_states(self, states: Iterable[float]) -> list[AtState]:
        """The same for several states in one pass over the records."""
        states = list(states)
        for state in states:
            at_least("state_bits", state, 0)
        if not self.models:
            raise ValueError("records: bits need the losses of two models, memoryless and whole; no two are there")
        return at_states(blocks(self._source, self.models), states, self.reach, self._expected)

    def state_table(self, states: Iterable[float] = tuple(2.0**k for k in range(4, 21, 2))) -> pa.Table:
        """`at_states` as a table: one row per state, one column per attribute of `AtState`."""
        return state_table(self.at_states(states))


def demand(
    records: Any,
    memoryless: str | None = None,
    whole: str | None = None,
    *,
    reach: int | None = None,
    per_million: float = 0.125,
    most: int = 1024,
) -> Demand:
    """The recall demand of a corpus, from token records alone.

    A *hit* is a token whose bigram occurred earlier in what its window shows, at p, and is rare in training (Zoology,
    Section 3.1), where counts are known. From p on a model must have kept something. What it is depends on nobody's
    architecture: associations are counted (`stack_distance`, `selective_capacity`, exact, no assumption), or bits
    (`at_state_bits`; what is proven stands in `recallscope.bounds.demand.gains`). A memory is empty at each window's
    start. Memory in use is bounded by the longest document and the largest row group.

    Parameters
    ----------
    records : path, Records, Arrow table or dict of arrays
        `records.parquet` of a run or its folder; a table of `recallscope tag`; or columns `document`, `position` (rises
        by one) and `distance_2` in tokens, and if wanted `context`, `count`, `hit` (bool), `loss_<model>` in nats.
    memoryless, whole : str, optional
        Models whose losses define the gain, max(loss of memoryless - loss of whole, 0) / ln 2 bits. Default: the second
        and the first of the records, if there are two.
    reach : int, optional
        Tokens the memoryless model sees: makes the limit hold for any text, not for independent associations only.
    per_million : float
        Rare: at most so often per million training tokens. Without counts every repeat is a hit.
    most : int
        Largest memory told apart by `best`, in associations.

    Raises `ValueError` for columns or models that lack, positions with gaps, and a corpus without hits.
    """
    at_least("most", most, 1)
    if reach is not None:
        at_least("reach", reach, 1)
    source = open_source(records, per_million)
    models = _two_models(source, memoryless, whole)
    served, documents, tokens = [np.zeros(1, np.int64) for _ in range(3)], 0, 0
    expected = np.zeros((2, BINS))
    for block in blocks(source, models):
        documents += 1 + int(np.count_nonzero(np.diff(block.document)))
        tokens += block.document.size
        found = (
            selective_capacity(block.begin, block.end, most),
            stack_distance(block.distance)[block.hit],
            block.distance[block.hit],
        )
        served = [_sum(total, np.bincount(sizes)) for total, sizes in zip(served, found, strict=True)]
        if models:
            expected += gained_by_distance(block)
    hits = int(served[2].sum())
    if not hits:
        raise ValueError(f"records: no hits among {tokens} tokens, so there is nothing to recall")
    served[0] = _sum(served[0], np.zeros(most + 1, np.int64))
    served[0][0] = 0  # hits that even `most` does not serve
    best, lru, window = (np.cumsum(total) for total in served)
    return Demand(documents, tokens, hits, best, lru, window, models, reach, source, expected)


def _two_models(source: Source, memoryless: str | None, whole: str | None) -> tuple[str, ...]:
    names = source.models
    if memoryless is None and whole is None and len(names) < 2:
        return ()
    chosen = {"memoryless": memoryless, "whole": whole}
    for argument, name in chosen.items():
        if name is not None and name not in names:
            raise ValueError(f"{argument}: one of {', '.join(names) or 'no models'}, got {name!r}")
    whole = whole or next((name for name in names if name != memoryless), None)
    memoryless = memoryless or next((name for name in names if name != whole), None)
    if memoryless is None or whole is None or memoryless == whole:
        raise ValueError(f"memoryless: another model than whole, of {', '.join(names)}, got {memoryless!r}")
    return memoryless, whole


def _sum(total: Array, more: Array) -> Array:
    """Sum of two arrays of counts, the shorter one padded."""
    size = max(total.size, more.size)
    return np.pad(total, (0, size - total.size)) + np.pad(more, (0, size - more.size))
