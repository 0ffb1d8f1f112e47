"""`_rows_numpy`, compiled: one pass over the rows for keys, and one for each model's sums. Importing it needs numba.

Every sum adds the same numbers in the same order as there, so the results are equal to the bit.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from recallscope.slicing.attribution import _rows_numpy
from recallscope.slicing.attribution._records import Plan
from recallscope.slicing.attribution._reduction import FIELDS, KEYS, LAST_COUNT_BIN, LAST_DISTANCE_BIN, Ints
from recallscope.slicing.attribution._rows_numpy import Summed

_COUNT, _RARE, _OPPORTUNITY, _POSITION = (FIELDS[name][0] for name in [*FIELDS][1:])  # bits; the first is on top
_NARROW = ("context", "opportunity", "distance_2")


def row_keys(columns: dict[str, NDArray[Any]], plan: Plan) -> NDArray[np.int32]:
    """As `_rows_numpy.row_keys`, which is taken for columns of other types than records have."""
    context, opportunity, bigram, distance = (columns[name] for name in (*_NARROW, f"distance_{plan.ngram}"))
    narrow = all(column.dtype == np.int32 for column in (context, opportunity, bigram, distance))
    if not narrow or columns["count"].dtype != np.int64:
        return _rows_numpy.row_keys(columns, plan)
    first, second, third = (-(-part * plan.window // 4) for part in (1, 2, 3))
    threshold = -2 if plan.threshold is None else plan.threshold
    out = np.empty(context.size, np.int32)
    _keys(
        context, opportunity, bigram, distance, columns["count"],
        plan.ngram - 1, first, second, third, threshold, out,
    )  # fmt: skip
    return out


def sum_rows(document: Ints, key: Ints, losses: list[NDArray[Any]], carry: Summed | None) -> Summed:
    """As `_rows_numpy.sum_rows`."""
    done = 0
    if carry is not None:
        done = carry.key.size
        document, key = np.concatenate([carry.document, document]), np.concatenate([carry.key, key])
    slot = np.empty(key.size, np.int32)
    documents, keys = np.empty(key.size, np.int64), np.empty(key.size, np.int32)
    rows = _slots(document.astype(np.int64), key.astype(np.int32), np.full(KEYS, -1, np.int32), slot, documents, keys)
    tokens, sums = np.zeros(rows, np.int64), np.zeros((rows, len(losses)))
    if carry is not None:
        tokens[slot[:done]] = carry.tokens
        sums[slot[:done]] = carry.losses
    _add(slot[done:], np.stack(losses), tokens, sums)
    return Summed(documents[:rows], keys[:rows], tokens, sums)


@numba.njit(cache=True, nogil=True)
def _bits(value):
    """Bit length."""
    bits = 0
    for step in (32, 16, 8, 4, 2, 1):
        if value >> step:
            value >>= step
            bits += step
    return bits + (value > 0)


@numba.njit(cache=True, nogil=True)
def _keys(context, opportunity, bigram, distance, count, reach, first, second, third, threshold, out):
    """The fields of a key in the order of FIELDS; a threshold below -1 is none."""
    for row in range(out.size):
        seen, here, answer = distance[row], context[row], bigram[row]
        key = min(_bits(seen), LAST_DISTANCE_BIN) if 0 < seen <= here - reach else 0
        many = count[row]
        key = (key << _COUNT) + (min(_bits(many), LAST_COUNT_BIN) + 1 if many >= 0 else 0)
        key = (key << _RARE) + (1 + (many <= threshold) if many >= 0 and threshold >= -1 else 0)
        kind = 0
        if 0 < opportunity[row] <= here - 1:
            kind = 3
            if 0 < answer <= here - 1:
                kind = 1 if answer == opportunity[row] else 2
        key = (key << _OPPORTUNITY) + kind
        out[row] = (key << _POSITION) + (here >= first) + (here >= second) + (here >= third)


@numba.njit(cache=True, nogil=True)
def _slots(document, key, table, slot, documents, keys):
    """Number the combinations: by document in order of appearance, then by key; `table`, of -1, is left so."""
    made = begin = 0
    while begin < key.size:
        base, end = made, begin
        while end < key.size and document[end] == document[begin]:
            if table[key[end]] < 0:
                table[key[end]] = 0
                keys[made] = key[end]
                made += 1
            end += 1
        keys[base:made].sort()
        for number in range(base, made):
            table[keys[number]] = number
            documents[number] = document[begin]
        for row in range(begin, end):
            slot[row] = table[key[row]]
        for number in range(base, made):
            table[keys[number]] = -1
        begin = end
    return made


@numba.njit(cache=True, nogil=True)
def _add(slot, losses, tokens, sums):
    for row in range(slot.size):
        to = slot[row]
        tokens[to] += 1
        for model in range(losses.shape[0]):
            sums[to, model] += losses[model, row]
