"""The one table shape for every number: what it is of, how it was got, and from where."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from recallscope.checks import parsed
from recallscope.disk import replaced

COLUMNS = {
    "subject": pa.string(), "metric": pa.string(), "value": pa.float64(), "unit": pa.string(),
    "low": pa.float64(), "high": pa.float64(), "n": pa.int64(),
    "kind": pa.string(), "source": pa.string(), "trust": pa.string(), "flag": pa.string(),
}  # fmt: skip
REQUIRED = ("subject", "metric", "value", "unit", "kind")
KINDS = ("published", "measured", "derived")


def evidence(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as an Arrow table: the columns of `COLUMNS`, then one column for each knob of the settings.

    A row holds `subject`, `metric`, `value` (None: missing), `unit` and `kind` (`published`, `measured`, `derived`);
    `low`, `high` and `n` where there is an interval; `source`, `trust`, `flag`; and any further keys, its setting (`t`,
    `batch`, `seed`, `device`, ...). What a row lacks is null. Raises `ValueError` for a row without the five, or of
    another kind.
    """
    rows = [dict(row) for row in rows]
    for i, row in enumerate(rows):
        missing = [name for name in REQUIRED if name not in row]
        if missing:
            raise ValueError(f"rows[{i}]: {', '.join(REQUIRED)} are required, {', '.join(missing)} missing")
        if row["kind"] not in KINDS:
            raise ValueError(f"rows[{i}]: kind is one of {', '.join(KINDS)}, got {row['kind']!r}")
    knobs = dict.fromkeys(name for row in rows for name in row if name not in COLUMNS)
    kinds = COLUMNS | dict.fromkeys(knobs)
    return pa.table({name: _column(name, [row.get(name) for row in rows], kind) for name, kind in kinds.items()})


def _column(name: str, values: list[Any], kind: pa.DataType | None) -> pa.Array:
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, UnicodeEncodeError, OverflowError) as error:
        what = f"{kind} in every row" if kind else "values of one kind"
        raise ValueError(f"rows: {name}: {what}, got others ({str(error).splitlines()[0]})") from None


def write_evidence(table: pa.Table, path: str | Path) -> None:
    """Write as JSON Lines, nulls left out, so that it diffs; under a temporary name, then renamed."""
    with replaced(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for row in table.to_pylist():
            file.write(json.dumps({k: v for k, v in row.items() if v is not None or k == "value"}) + "\n")


def read_evidence(*paths: str | Path) -> pa.Table:
    """Evidence of one or more JSON Lines files as one table; a broken line is named."""
    rows = []
    for path in paths:
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"paths: {path} cannot be read ({error})") from None
        for number, line in enumerate(text.splitlines(), 1):
            row = parsed(line, f"paths: {path}, line {number}")
            if not isinstance(row, dict):
                raise ValueError(f"paths: {path}, line {number}: an object with {', '.join(REQUIRED)}, got {line[:40]}")
            rows.append(row)
    return evidence(rows)


def origin() -> dict[str, str]:
    """Columns that say what made a measured row: `commit` or `version` of this toolkit, `python`, and `time` (UTC)."""
    return {**_code(), "python": platform.python_version(), "time": datetime.now(UTC).isoformat(timespec="seconds")}


@cache
def _code() -> dict[str, str]:
    """The commit of a checkout (`-dirty` with changes on top); elsewhere the installed version."""
    here = Path(__file__).resolve().parent
    try:
        call = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12", "--match="]
        found = subprocess.run(call, capture_output=True, text=True, timeout=10).stdout.strip()
        ours = subprocess.run(["git", "-C", str(here), "ls-files", "evidence.py"], capture_output=True, timeout=10)
        if found and ours.stdout:  # the checkout of this file, not one that the installation lies in
            return {"commit": found}
    except (OSError, subprocess.TimeoutExpired):
        pass
    return {"version": version("recallscope")}
