"""Read token records block by block, check them, and hand packed keys and losses to the reduction."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import local
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recallscope.checks import parsed
from recallscope.parquet import UNREADABLE, decoded
from recallscope.slicing.attribution.thresholds import ZOOLOGY, threshold_count

METADATA_KEY = b"recallscope"
RECORDS_FORMAT, ATOMS_FORMAT = "recallscope-records-1", "recallscope-atoms-1"
SCORED = ("all", "last half")
_PART = 1 << 19  # rows of a table in memory that are worked on at once
_MODEL = re.compile(r"[A-Za-z0-9._-]+")

Source = pa.Table | str | os.PathLike[str] | Iterable[pa.RecordBatch]


@dataclass(frozen=True)
class Plan:
    """What one reduction needs to know; made from the schema before the first row is read."""

    models: tuple[str, ...]
    metadata: dict[str, Any]
    ngram: int
    window: int
    threshold: int | None
    scored: str

    @property
    def columns(self) -> list[str]:
        names = ["document", "position", "context", "distance_2", f"distance_{self.ngram}", "opportunity", "count"]
        return list(dict.fromkeys([*names, *(f"loss_{model}" for model in self.models)]))


def open_records(records: Source) -> tuple[pa.Schema, Any]:
    """Schema and a function from column names to an iterator of calls that give a table each, in order.

    Calls may be made in several threads at once.
    """
    if isinstance(records, str | os.PathLike):
        return _open_file(Path(records))
    if isinstance(records, pa.Table):
        table: pa.Table = records
        return table.schema, lambda names: (partial(_part, table, names, at) for at in range(0, table.num_rows, _PART))
    iterator = iter(records)
    first = next(iterator, None)
    if first is None:
        raise ValueError("records must hold at least one batch, got an empty iterable")
    return first.schema, lambda names: (partial(_selected, batch, names) for batch in _chain(first, iterator))


def _part(table: pa.Table, names: list[str], at: int) -> pa.Table:
    return table.select(names).slice(at, _PART)


def _selected(batch: pa.RecordBatch, names: list[str]) -> pa.Table:
    return pa.table(batch).select(names)


def _chain(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest


def _open_file(path: Path) -> tuple[pa.Schema, Any]:
    try:
        opened = pq.ParquetFile(path, page_checksum_verification=True)
        schema = decoded(opened.schema_arrow)
    except UNREADABLE as error:
        raise ValueError(f"records: cannot read {path} as Parquet: {error}") from error
    own = local()  # a reader is of one thread; opened with the first one's footer, others only open the file

    def group(names: list[str], number: int) -> pa.Table:
        try:
            if not hasattr(own, "file"):
                own.file = pq.ParquetFile(path, metadata=opened.metadata, page_checksum_verification=True)
            return own.file.read_row_group(number, columns=names, use_threads=False)
        except UNREADABLE as error:
            raise ValueError(f"records: {path}, row group {number} is damaged: {error}") from error

    return schema, lambda names: (partial(group, names, number) for number in range(opened.num_row_groups))


def metadata_of(schema: pa.Schema) -> dict[str, Any]:
    """The toolkit's JSON metadata of a records or atoms table; empty when there is none."""
    raw = (schema.metadata or {}).get(METADATA_KEY)
    found = parsed(raw, "records: the description in the file") if raw else {}
    if not isinstance(found, dict):
        raise ValueError(f"records: the description in the file must be an object, got {found!r:.40}")
    return found


def plan_reduction(
    schema: pa.Schema, count: int | None, per_million: float | None, window: int | None, scored: str
) -> Plan:
    metadata = metadata_of(schema)
    if metadata.get("format", RECORDS_FORMAT) != RECORDS_FORMAT:
        raise ValueError(f"records must have the format {RECORDS_FORMAT!r}, got {metadata['format']!r}")
    window = metadata.get("window") if window is None else window
    if window is None or window < 1:
        raise ValueError(f"window must be a positive number of tokens (the metadata names none), got {window!r}")
    if scored not in SCORED:
        raise ValueError(f"scored must be one of {SCORED}, got {scored!r}")
    ngram = metadata.get("ngram", 2)
    threshold, rate = _threshold(count, per_million, metadata.get("training_tokens"))
    metadata = {**metadata, "window": window, "ngram": ngram, "threshold": {"count": threshold, "per_million": rate}}
    plan = Plan(_models(schema, metadata), metadata, ngram, window, threshold, scored)
    missing = [name for name in plan.columns if name not in schema.names]
    if missing:
        raise ValueError(f"records lack the columns {missing}; present: {schema.names}")
    return plan


def _threshold(
    count: int | None, per_million: float | None, training_tokens: int | None
) -> tuple[int | None, float | None]:
    """Threshold as a count and as a rate, each None if unknown."""
    if count is not None:
        return count, count * 1e6 / training_tokens if per_million is None and training_tokens else per_million
    rate = ZOOLOGY.per_million if per_million is None else per_million
    return (threshold_count(rate, training_tokens), rate) if training_tokens else (None, per_million)


def _models(schema: pa.Schema, metadata: dict[str, Any]) -> tuple[str, ...]:
    found = [name.removeprefix("loss_") for name in schema.names if name.startswith("loss_")]
    models = tuple(metadata.get("models") or found)
    if not models:
        raise ValueError(f"records need at least one column loss_<model>; present: {schema.names}")
    bad = [model for model in models if not _MODEL.fullmatch(model)]
    if bad:
        raise ValueError(f"model names must match {_MODEL.pattern}, got {bad}")
    return models
