"""Atoms: per-document sums of token records, from which every statistic of this package follows.

An atom is a combination of (log2 bin of the distance to the previous occurrence, log2 bin of the training count, rare
or not, kind of opportunity, quarter of the window). A table has one row per document and atom with at least one token:
the tokens and, per model, the float64 sum of their losses.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recallscope.disk import replaced
from recallscope.parquet import UNREADABLE, decoded
from recallscope.slicing.attribution._blocks import reduce_records
from recallscope.slicing.attribution._records import (
    ATOMS_FORMAT,
    METADATA_KEY,
    Plan,
    Source,
    open_records,
    plan_reduction,
)
from recallscope.slicing.attribution._records import metadata_of as metadata_of
from recallscope.slicing.attribution._reduction import FIELDS, Sums, unpack


def atoms(
    records: Source,
    threshold_count: int | None = None,
    *,
    per_million: float | None = None,
    document_ids: Sequence[str] | None = None,
    window: int | None = None,
    scored: str = "all",
) -> pa.Table:
    """Reduce token records to per-document sums.

    Parameters
    ----------
    records : pyarrow.Table, path of a Parquet file, or iterable of pyarrow.RecordBatch
        One row per scored token, sorted by document and position; a document may be cut anywhere by a batch border, and
        whole documents may come in any order. Files are read by row group.
    threshold_count : int, optional
        An n-gram is rare if it occurs at most this often in the training text. Default: the largest count within
        `per_million` of the training tokens named in the metadata; where these are unknown, rarity stays unknown.
    per_million : float, optional
        The same as a rate (default 0.125, Zoology's 1,250 in 10 B); recorded in the metadata.
    document_ids : sequence of str, optional
        Name of each document, by its index. Documents of one name are one cluster in every interval. Default: the
        metadata's ``documents.ids``, else the index as text.
    window : int, optional
        Window length in tokens, for the quarters of the window. Default: the metadata's.
    scored : {"all", "last half"}
        "last half" keeps the tokens with at least ``window / 2`` visible tokens before them.

    Returns
    -------
    pyarrow.Table
        Columns document, document_id, distance_bin, count_bin, rare, opportunity, position, tokens, loss_<model>...;
        sorted by document and atom. Bitwise independent of batch borders and of the order of the documents.

    Raises
    ------
    ValueError
        Missing or null columns, losses that are not finite (naming model and document), positions that do not increase
        within a document, documents that are not contiguous, damaged files (naming file and row group).
    """
    schema, batches = open_records(records)
    plan = plan_reduction(schema, threshold_count, per_million, window, scored)
    sums = reduce_records(batches(plan.columns), plan)
    return _table(sums, plan, document_ids)


def _table(sums: Sums, plan: Plan, document_ids: Sequence[str] | None) -> pa.Table:
    document, key, tokens, losses = sums.taken()
    starts = np.concatenate([np.ones(min(1, document.size), dtype=bool), document[1:] != document[:-1]])
    present, code = document[starts], np.cumsum(starts, dtype=np.int32) - np.int32(1)
    names = _names(present, document_ids, plan.metadata)
    columns: dict[str, Any] = {
        "document": pa.array(document.astype(np.int32, copy=False)),
        "document_id": pa.DictionaryArray.from_arrays(pa.array(code), pa.array(names, pa.string())),
        **{name: pa.array(values) for name, values in unpack(key).items()},
        "tokens": pa.array(tokens.astype(np.int64)),
        **{f"loss_{model}": pa.array(loss) for model, loss in zip(plan.models, losses, strict=True)},
    }
    metadata = {**plan.metadata, "format": ATOMS_FORMAT, "models": list(plan.models), "scored": plan.scored}
    return pa.table(columns).replace_schema_metadata({METADATA_KEY: json.dumps(metadata).encode()})


def _names(present: NDArray[np.integer], given: Sequence[str] | None, metadata: dict[str, Any]) -> list[str]:
    ids = given if given is not None else (metadata.get("documents") or {}).get("ids")
    if ids is None:
        return [str(index) for index in present]
    if present.size and present[-1] >= len(ids):
        raise ValueError(f"document_ids must name every document: {len(ids)} given, index {present[-1]} is in use")
    return [str(ids[index]) for index in present]


def write_atoms(table: pa.Table, path: str | os.PathLike[str]) -> None:
    """Write atoms as Parquet, under a temporary name first."""
    with replaced(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def read_atoms(path: str | os.PathLike[str]) -> pa.Table:
    """Read what `write_atoms` wrote; ValueError names the file if it is damaged or something else."""
    try:
        table = pq.read_table(path, use_threads=False, page_checksum_verification=True)
        decoded(table.schema)
    except UNREADABLE as error:
        raise ValueError(f"atoms: cannot read {path}: {error}") from error
    if metadata_of(table.schema).get("format") != ATOMS_FORMAT:
        raise ValueError(f"atoms: {path} is not a {ATOMS_FORMAT} file")
    missing = {"document", "document_id", *FIELDS, "tokens"} - set(table.column_names)
    if missing:
        raise ValueError(f"atoms: {path} is damaged: it lacks {', '.join(sorted(missing))}")
    return table


def as_atoms(source: Source, threshold_count: int | None = None) -> pa.Table:
    """Atoms of records or atoms, in memory or on disk; atoms pass through unchanged."""
    if isinstance(source, str | os.PathLike):
        try:
            schema = decoded(pq.read_schema(source))
        except UNREADABLE as error:
            raise ValueError(f"cannot read {source} as Parquet: {error}") from error
        table = read_atoms(source) if _is_atoms(schema) else atoms(source, threshold_count)
    else:
        table = _in_memory(source, threshold_count)
    fixed = (metadata_of(table.schema).get("threshold") or {}).get("count")
    if threshold_count is not None and fixed != threshold_count:
        raise ValueError(f"threshold_count is fixed in atoms at {fixed}, got {threshold_count}; give records")
    if not table.num_rows:
        raise ValueError("no scored tokens: the table is empty")
    return table


def _in_memory(source: pa.Table | Iterable[pa.RecordBatch], threshold_count: int | None) -> pa.Table:
    if isinstance(source, pa.Table):
        table: pa.Table = source
        return table if _is_atoms(table.schema) else atoms(table, threshold_count)
    return atoms(source, threshold_count)


def _is_atoms(schema: pa.Schema) -> bool:
    return metadata_of(schema).get("format") == ATOMS_FORMAT
