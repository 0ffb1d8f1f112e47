"""The file of a count table: Parquet, keys as differences, checksums on every page."""

from __future__ import annotations

import json
import os
import zlib
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from recallscope.disk import replaced

Array = np.ndarray[Any, Any]

_FORMAT = "recallscope-counts-1"
_FIELDS = {"n": int, "vocabulary": int, "tokens": int, "complete": bool, "source": str}


def write(path: str | os.PathLike[str], described: dict[str, Any], keys: Array, counts: Array) -> None:
    """Write under a temporary name, then rename."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    about = {"format": _FORMAT, **described, "checksum": _checksum(described, keys, counts)}
    metadata = {b"recallscope": json.dumps(about).encode()}
    schema = pa.schema([("key", pa.uint64()), ("count", pa.int64())], metadata=metadata)
    with replaced(path) as temporary:
        pq.write_table(
            pa.table([keys, counts], schema=schema),
            temporary,
            compression="zstd",
            use_dictionary=False,
            column_encoding={"key": "DELTA_BINARY_PACKED", "count": "DELTA_BINARY_PACKED"},
            write_page_checksum=True,
        )


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Array, Array]:
    """What describes the table, its keys and its counts. ValueError naming a file that cannot be trusted."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not Path(path).exists():
        raise ValueError(f"counts: {path} does not exist")
    try:
        table = pq.read_table(path, page_checksum_verification=True, memory_map=False)
        described = json.loads((table.schema.metadata or {}).get(b"recallscope", b"{}"))
        keys, counts = (table.column(name).to_numpy() for name in ("key", "count"))
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise ValueError(f"{path}: damaged, or not a count table: {error}") from error
    if not isinstance(described, dict) or described.pop("format", None) != _FORMAT:
        raise ValueError(f"{path}: not a count table of the format {_FORMAT}")
    checksum = described.pop("checksum", None)
    if {name: type(value) for name, value in described.items()} != _FIELDS:
        raise ValueError(f"{path}: the description must have the fields {', '.join(_FIELDS)}, got {described}")
    if keys.dtype != np.uint64 or counts.dtype != np.int64 or (keys[1:] <= keys[:-1]).any() or (counts < 0).any():
        raise ValueError(f"{path}: keys must be increasing uint64 and counts int64 of at least 0")
    if checksum != _checksum(described, keys, counts):
        raise ValueError(f"{path}: damaged, the checksum does not fit the content")
    return described, keys, counts


def _checksum(described: dict[str, Any], keys: Array, counts: Array) -> int:
    """crc32 of all of it: Parquet's own covers the pages, but neither their headers nor the description."""
    about = json.dumps([described[name] for name in _FIELDS]).encode()
    parts = (about, np.ascontiguousarray(keys).data, np.ascontiguousarray(counts).data)
    return reduce(lambda before, part: zlib.crc32(part, before), parts, 0)
