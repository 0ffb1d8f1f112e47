"""Token records as Arrow tables, one after another, whatever holds them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa


def opened(records: Any) -> tuple[pa.Schema, Any]:
    """Schema, and a function from column names to an iterator of tables; a file is read by row group."""
    import pyarrow as pa

    if isinstance(records, Mapping):
        records = pa.table({name: np.asarray(values) for name, values in records.items()})
    if isinstance(records, pa.Table):
        table: pa.Table = records
        return table.schema, lambda names: iter([table.select(names)])
    path = getattr(records, "path", records)
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f"records: a path, Records, an Arrow table or a dict of arrays, got {type(records).__name__}")
    return _opened_file(Path(path))


def _opened_file(path: Path) -> tuple[pa.Schema, Any]:
    import pyarrow.parquet as pq

    from recallscope.parquet import UNREADABLE, decoded

    path = path / "records.parquet" if path.is_dir() else path
    try:
        schema = decoded(pq.read_schema(path))
    except UNREADABLE as error:
        raise ValueError(f"records: cannot read {path} as Parquet: {error}") from None

    def groups(names: list[str]) -> Iterator[pa.Table]:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                try:
                    yield file.read_row_group(group, columns=names, use_threads=False)
                except UNREADABLE as error:
                    raise ValueError(f"records: {path}, row group {group} is damaged: {error}") from None

    return schema, groups
