"""Rows of some documents out of a Parquet file, reading only the row groups that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def read_rows(path: Path, columns: Sequence[str] | None = None, documents: Sequence[int] | None = None) -> pa.Table:
    """The `columns` (default: all) of the rows whose `document` is one of those wanted (default: all rows).

    Page checksums are verified where the file has them. Raises what `UNREADABLE` lists for a file that is cut off
    or damaged. Neither pyarrow's filters nor the statistics of a file are used: with a damaged description of a column
    the ones wait for ever, and the others end the process (pyarrow 26.0).
    """
    with _opened(path) as file:
        names = list(columns) if columns is not None else list(file.schema_arrow.names)
        if documents is None:
            return file.read(names, use_threads=False)
        wanted = np.unique(np.asarray(documents, dtype=np.int64))
        read = list(dict.fromkeys([*names, "document"]))
        status = path.stat()
        parts = [file.schema_arrow.empty_table().select(read)]
        for group, (low, high) in enumerate(_ranges(path, status.st_size, status.st_mtime_ns)):
            if ((wanted >= low) & (wanted <= high)).any():
                table = file.read_row_group(group, columns=read, use_threads=False)
                parts.append(table.filter(pa.array(np.isin(table["document"].to_numpy(), wanted))))
        return pa.concat_tables(parts).select(names)


def _opened(path: Path) -> pq.ParquetFile:
    return pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False)


@lru_cache(maxsize=64)
def _ranges(path: Path, size: int, changed: int) -> list[tuple[int, int]]:
    """First and last document of each row group, read once from the column itself; an empty group holds (0, -1)."""
    found = []
    with _opened(path) as file:
        for group in range(file.num_row_groups):
            held = file.read_row_group(group, columns=["document"], use_threads=False)["document"].to_numpy()
            found.append((int(held.min()), int(held.max())) if len(held) else (0, -1))
    return found
