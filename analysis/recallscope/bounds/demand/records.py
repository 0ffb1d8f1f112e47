"""Token records as runs of whole documents: which tokens are hits, how far back, in which window, at which losses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recallscope.bounds.demand._opened import opened
from recallscope.bounds.demand.intervals import Array, checked_distance
from recallscope.slicing.tagging.tags import visible

_BLOCK = 1 << 18  # tokens handled at once; a longer document makes a block of its own


@dataclass(frozen=True)
class Source:
    """Where token records come from and what makes a hit; made once, read as often as wanted.

    Attributes
    ----------
    read : function from column names to an iterator of Arrow tables
    columns : names of the columns that are there
    metadata : of the toolkit; empty for a table from elsewhere
    rare : largest training count of a hit; None: every repeat is one
    """

    read: Any
    columns: tuple[str, ...]
    metadata: dict[str, Any]
    rare: int | None

    @property
    def models(self) -> tuple[str, ...]:
        """Models with a column of losses, the reference first."""
        there = [name.removeprefix("loss_") for name in self.columns if name.startswith("loss_")]
        return tuple(self.metadata.get("models") or there)

    @property
    def ngram(self) -> int:
        return int(self.metadata.get("ngram") or 2)


@dataclass(frozen=True)
class Block:
    """Some whole documents. Arrays `[N]` of one entry per token, `[I]` per hit, in order of time.

    Attributes
    ----------
    document, distance : int64 `[N]`
        Number of the document; distance to the previous occurrence, in tokens, 0 for none.
    hit : int64 `[I]`
        Tokens that are hits.
    begin, end : int64 `[I]`
        p and i of each hit on one axis of time, on which windows lie apart: nothing is kept from one to the next.
    losses : float64 `[models, I]`, nats
    """

    document: Array
    distance: Array
    hit: Array
    begin: Array
    end: Array
    losses: Array


def open_source(records: Any, per_million: float) -> Source:
    """A path (`records.parquet`, its folder, a table of `recallscope tag`), `Records`, an Arrow table or arrays.

    Wanted: `document`, `position` and `distance_2` (or that of the metadata's n-gram). Used if there: `context`,
    `count`, `hit`, `loss_<model>`. Raises `ValueError` for a file that is not Parquet and for columns that lack.
    """
    from recallscope.slicing.attribution.thresholds import threshold_count  # heavy: the formulas do not need it

    schema, read = opened(records)
    raw = (schema.metadata or {}).get(b"recallscope")
    metadata = json.loads(raw) if raw else {}
    if metadata.get("unit", "token") != "token":
        raise ValueError("records: one row for each token is needed, got segments of models whose tokenizers differ")
    if metadata.get("given"):
        raise ValueError("records: one row for each token is needed, got answers alone, whose contexts were given")
    tokens = metadata.get("training_tokens")
    rare = threshold_count(per_million, tokens) if tokens and "count" in schema.names else None
    source = Source(read, tuple(schema.names), metadata, rare)
    wanted = ("document", "position", f"distance_{source.ngram}")
    missing = [name for name in wanted if name not in schema.names]
    if missing:
        raise ValueError(f"records: {', '.join(wanted)} are needed, {', '.join(missing)} missing")
    return source


def blocks(source: Source, models: Sequence[str] = ()) -> Iterator[Block]:
    """All records, whole documents together; memory is bounded by a row group and the longest document."""
    names = ["document", "position", f"distance_{source.ngram}", *(f"loss_{model}" for model in models)]
    names += [name for name in ("context", "count", "hit") if name in source.columns]
    carry: dict[str, Array] | None = None
    for table in source.read(names):
        rows = {name: _array(name, table[name]) for name in names}
        if carry:
            rows = {name: np.concatenate([carry[name], rows[name]]) for name in names}
        starts = np.flatnonzero(np.diff(rows["document"], prepend=-1))
        carry = {name: values[starts[-1] :] for name, values in rows.items()} if starts.size else carry
        yield from _cut(source, models, rows, starts)
    if carry:
        yield _block(source, models, carry)


def _cut(source: Source, models: Sequence[str], rows: dict[str, Array], starts: Array) -> Iterator[Block]:
    """Blocks of about `_BLOCK` tokens of all documents but the last, which may go on."""
    first = 0
    while first < starts.size - 1:
        last = max(first + 1, int(np.searchsorted(starts, starts[first] + _BLOCK, "right")) - 1)
        part = slice(starts[first], starts[last])
        yield _block(source, models, {name: values[part] for name, values in rows.items()})
        first = last


def _block(source: Source, models: Sequence[str], rows: dict[str, Array]) -> Block:
    document, position = rows["document"].astype(np.int64), rows["position"].astype(np.int64)
    same = np.diff(document) == 0
    gaps = np.flatnonzero(same & (np.diff(position) != 1))
    if gaps.size:
        at, name = gaps[0], document[gaps[0]]
        raise ValueError(f"position: rises by one in document {name}, got {position[at + 1]} after {position[at]}")
    distance = _distance(rows[f"distance_{source.ngram}"], document)
    hit = np.flatnonzero(_is_hit(source, rows, distance))
    window = document if "context" not in rows else position - rows["context"]
    fresh = np.cumsum(np.append(False, ~same | (np.diff(window) != 0)))
    end = hit + fresh[hit] * document.size  # windows apart by more than any interval
    losses = np.array([rows[f"loss_{model}"][hit] for model in models], dtype=np.float64).reshape(len(models), hit.size)
    if not np.isfinite(losses).all():
        bad = np.argwhere(~np.isfinite(losses))[0]
        raise ValueError(f"records: loss_{models[bad[0]]} is not finite in document {document[hit[bad[1]]]}")
    return Block(document, distance, hit, end - distance[hit], end, losses)


def _distance(distance: Array, document: Array) -> Array:
    distance = checked_distance(distance)
    there = np.flatnonzero(distance)
    astray = there[document[there] != document[there - distance[there]]]
    if astray.size:
        raise ValueError(
            f"distance: to a record of the same document, got {distance[astray[0]]} in document {document[astray[0]]}"
        )
    return distance


def _is_hit(source: Source, rows: dict[str, Array], distance: Array) -> Array:
    """Repeats that the window shows and that are rare in training, if that is known; among those marked, if any are."""
    hit = distance > 0
    if "context" in rows:
        hit &= visible(distance, rows["context"], source.ngram)
    if source.rare is not None:
        hit &= (rows["count"] >= 0) & (rows["count"] <= source.rare)
    if "hit" in rows:
        hit &= rows["hit"].astype(bool)
    return hit


def _array(name: str, column: Any) -> Array:
    """A column as an array; a missing count is -1, as nothing is known of it."""
    if column.null_count and name != "count":
        raise ValueError(f"records: {name} has {column.null_count} missing values")
    return column.fill_null(-1).to_numpy() if column.null_count else column.to_numpy()
