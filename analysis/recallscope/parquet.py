"""Damaged Parquet files: what reading one raises."""

from __future__ import annotations

import pyarrow as pa

UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError)
"""Of pyarrow, for files that are missing, cut off or damaged; the last for names of columns that are no UTF-8."""


def decoded(schema: pa.Schema) -> pa.Schema:
    """The schema, after a look at its names: damaged ones raise only when they are looked at."""
    _ = schema.names
    return schema
