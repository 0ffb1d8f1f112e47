"""Token records on disk: one row per scored token, written shard by shard, read by row group."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recallscope.checks import parsed
from recallscope.disk import replaced
from recallscope.parquet import UNREADABLE
from recallscope.slicing.parquet_rows import read_rows

METADATA_KEY = b"recallscope"
TAG_COLUMNS = ("distance_2", "distance_3", "distance_4", "opportunity")


@dataclass(frozen=True)
class Records:
    """The token records of a run: the path of `records.parquet` and its metadata.

    `keep` holds a temporary folder alive for as long as these records are used.
    """

    path: Path
    metadata: dict[str, Any]
    keep: Any = field(default=None, repr=False, compare=False)

    @property
    def models(self) -> list[str]:
        """Names of the models, the reference first."""
        return list(self.metadata["models"])

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows in memory (about 40 bytes each)."""
        return _read(self.path, columns)

    def documents(self, wanted: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """The rows of some documents; other row groups are not read."""
        return _read(self.path, columns, wanted)


def _read(path: Path, columns: Sequence[str] | None, documents: Sequence[int] | None = None) -> pa.Table:
    try:
        return read_rows(path, columns, documents)
    except UNREADABLE as error:
        raise ValueError(f"records: {path} is damaged ({error})") from None


def read_records(path: str | os.PathLike[str]) -> Records:
    """Open `records.parquet`, or the folder of a run that holds one.

    Raises `ValueError` when the file is missing, cut off, or not a file of token records.
    """
    path = Path(path)
    path = path / "records.parquet" if path.is_dir() else path
    if not path.is_file():
        raise ValueError(f"records: {path} does not exist")
    try:
        metadata = pq.read_schema(path).metadata or {}
    except UNREADABLE as error:
        raise ValueError(f"records: {path} is cut off or not Parquet ({error})") from None
    if METADATA_KEY not in metadata:
        raise ValueError(f"records: {path} was not written by recallscope (no metadata {METADATA_KEY.decode()!r})")
    described = parsed(metadata[METADATA_KEY], f"records: the description in {path}")
    if not isinstance(described, dict) or not isinstance(described.get("models"), list):
        raise ValueError(f"records: the description in {path} names no models")
    return Records(path, described)


def schema_of(models: Sequence[str], metadata: dict[str, Any]) -> pa.Schema:
    """Columns of a records file; see the README for their meaning."""
    fields = [(name, pa.int32()) for name in ("document", "position", "token", "context", *TAG_COLUMNS)]
    fields += [("match", pa.int8()), ("count", pa.int64())]
    fields += [(f"loss_{model}", pa.float32()) for model in models]
    return pa.schema(fields, metadata={METADATA_KEY: json.dumps(metadata).encode()})


def storage(schema: pa.Schema) -> dict[str, Any]:
    """How the columns are encoded. LZ4 because records are read more often than written: zstd takes 1.8 times as long
    to read, and saves a tenth of the file, most of which is losses."""
    losses = [name for name in schema.names if name.startswith("loss_")]
    return {
        "compression": "lz4",
        "use_dictionary": [name for name in schema.names if name not in losses],
        "column_encoding": {name: "BYTE_STREAM_SPLIT" for name in losses},
        "write_page_checksum": True,
    }


def write_records(
    path: Path, models: Sequence[str], metadata: dict[str, Any], shards: Iterator[dict[str, np.ndarray]]
) -> int:
    """Write one row group per shard, under a temporary name, then rename; returns the number of rows.

    `shards` yields, per shard, the columns of `schema_of` as arrays; a count of -1 is written as null.
    """
    schema, rows = schema_of(models, metadata), 0
    with replaced(path) as temporary, pq.ParquetWriter(temporary, schema, **storage(schema)) as writer:
        for columns in shards:
            arrays = [_array(columns[one.name], one) for one in schema]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            rows += len(arrays[0])
    return rows


def _array(values: np.ndarray, field_: pa.Field) -> pa.Array:
    if field_.name == "count":
        return pa.array(values, pa.int64(), mask=values < 0)
    return pa.array(values, field_.type)
