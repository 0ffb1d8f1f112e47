"""Rows of records to packed keys, and sums by document and key, in numpy. `_rows_numba` has the same, compiled.

The sums must not depend on how the rows were cut into batches. `numpy.bincount` adds in row order, so a document cut
by a batch border is continued exactly: its partial sums go in front of the next batch as pseudo-rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recallscope.slicing.attribution._records import Plan
from recallscope.slicing.attribution._reduction import (
    KEYS,
    LAST_COUNT_BIN,
    LAST_DISTANCE_BIN,
    Ints,
    log2_bin,
    pack,
    visible,
)

_CELLS_PER_ROW = 4  # dense tables up to this many cells per row; sparser batches are sorted instead


class Summed(NamedTuple):
    """One row per document and key that occur, documents in order of appearance, keys sorted; losses [rows, models]."""

    document: Ints
    key: Ints
    tokens: Ints
    losses: NDArray[np.float64]

    def rows(self, part: slice) -> Summed:
        return Summed(self.document[part], self.key[part], self.tokens[part], self.losses[part])


def row_keys(columns: dict[str, NDArray[Any]], plan: Plan) -> NDArray[np.int32]:
    """Packed attributes of each row."""
    context, opportunity, count = columns["context"], columns["opportunity"], columns["count"]
    distance, bigram = columns[f"distance_{plan.ngram}"], columns["distance_2"]
    hit = visible(bigram, context, 1)
    # 3 a miss, 2 the pair recurs, 1 the most recent occurrence of the previous token was followed by this token
    kind = np.int8(3) - hit.view(np.int8) - (hit & (bigram == opportunity)).view(np.int8)
    known = (count >= 0).view(np.int8)
    seen = distance * visible(distance, context, plan.ngram - 1)
    return pack(
        {
            "distance_bin": np.minimum(log2_bin(seen), LAST_DISTANCE_BIN),
            "count_bin": (np.minimum(log2_bin(count * known), LAST_COUNT_BIN) + 1) * known - 1,
            "rare": _rare(count, known, plan.threshold),
            "opportunity": kind * visible(opportunity, context, 1),
            "position": _quarter(context, plan.window),
        }
    )


def _quarter(context: NDArray[Any], window: int) -> NDArray[np.int8]:
    """Quarter 0..3 of the window: floor(4 context / window), at most 3."""
    first, second, third = ((context >= -(-part * window // 4)).view(np.int8) for part in (1, 2, 3))
    return first + second + third


def _rare(count: NDArray[Any], known: NDArray[np.int8], threshold: int | None) -> NDArray[np.int8]:
    """1 rare, 0 not, -1 unknown."""
    if threshold is None:
        return np.full(count.size, -1, dtype=np.int8)
    return ((count <= threshold).view(np.int8) + np.int8(1)) * known - np.int8(1)


def sum_rows(document: Ints, key: Ints, losses: list[NDArray[Any]], carry: Summed | None) -> Summed:
    """Sum rows by document and key, adding in row order.

    Parameters
    ----------
    document, key : array, [n]
        Documents are contiguous; packed attributes.
    losses : list of arrays, [n]
        One per model.
    carry : Summed or None
        Sums of the first document so far.
    """
    tokens = None
    if carry is not None:
        tokens = np.concatenate([carry.tokens, np.ones(key.size, dtype=np.int64)])
        document, key = np.concatenate([carry.document, document]), np.concatenate([carry.key, key])
        losses = [np.concatenate([carry.losses[:, m], loss]) for m, loss in enumerate(losses)]
    border = np.concatenate([[False], document[1:] != document[:-1]])
    names = document[np.flatnonzero(np.concatenate([[True], border[1:]]))].astype(np.int64)
    local, key, tokens, sums = _summed(np.cumsum(border), key, tokens, losses)
    return Summed(names[local], key, tokens, sums)


def _summed(
    document: Ints, key: Ints, tokens: Ints | None, losses: list[NDArray[Any]]
) -> tuple[Ints, Ints, Ints, NDArray[np.float64]]:
    """The same of documents 0, 1, ...; tokens None means one each."""
    used = np.flatnonzero(np.bincount(key, minlength=KEYS))
    rank = np.zeros(KEYS, dtype=np.int32)
    rank[used] = np.arange(used.size, dtype=np.int32)
    cells = (int(document[-1]) + 1) * used.size
    cell = document * used.size + rank[key]
    if cells > _CELLS_PER_ROW * key.size:  # many short documents
        present, cell = np.unique(cell, return_inverse=True)
        cells = present.size
        count = np.bincount(cell, weights=tokens, minlength=cells)
        keep = np.arange(cells)
    else:
        count = np.bincount(cell, weights=tokens, minlength=cells)
        keep = present = np.flatnonzero(count)
    totals = [np.bincount(cell, weights=loss, minlength=cells)[keep] for loss in losses]
    sums = np.stack(totals, axis=1).astype(np.float64, copy=False)
    return present // used.size, used[present % used.size], count[keep].astype(np.int64), sums
