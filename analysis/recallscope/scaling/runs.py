"""Runs from a table on disk: a loss and sizes per run, from CSV, Parquet, JSON Lines or rows of evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recallscope.scaling.law import Floats

Row = dict[str, Any]


@dataclass(frozen=True)
class Runs:
    """Sizes by name and losses of runs, each `[n]`."""

    sizes: dict[str, Floats]
    losses: Floats


def runs_of(
    rows: Sequence[Mapping[str, Any]],
    sizes: Mapping[str, str],
    *,
    loss: str = "loss",
    flops: str | None = None,
    where: Sequence[str] = (),
) -> Runs:
    """Sizes and losses of rows: `sizes` names the column of each size, `{"N": "parameters", "D": "training_tokens"}`.

    Rows of evidence, which have `metric` and `value`, are those of the metric `loss`; else `loss` is a column. With
    `flops`, a column of training FLOPs, D is FLOPs / (6 N). `where` keeps the rows that match all of its conditions
    (`column=value`, see `recallscope.published.matching`). Raises `ValueError` for columns that are missing, rows
    without a number, and where nothing is left.
    """
    from recallscope.published import matching
    from recallscope.scaling.allocation import TRAINING

    kept: list[Row] = matching([dict(row) for row in rows], where) if where else [dict(row) for row in rows]
    if kept and "metric" in kept[0] and "value" in kept[0]:
        metrics = list(dict.fromkeys(row["metric"] for row in kept))
        kept = [row | {loss: row["value"]} for row in kept if row["metric"] == loss]
        if not kept:
            raise ValueError(f"loss: one of the metrics {', '.join(map(str, metrics))}, got {loss!r}")
    if not kept:
        raise ValueError("table: rows of runs, got none")
    columns = dict(sizes) | ({"D": flops} if flops else {})
    if flops and "N" not in columns:
        raise ValueError("flops: tokens are FLOPs / (6 N), so a column for N is needed")
    found = {name: _column(kept, column) for name, column in columns.items()}
    if flops:
        found["D"] = found["D"] / (TRAINING * found["N"])
    return Runs(found, _column(kept, loss))


def without_highest(runs: Runs, count: int) -> Runs:
    """The runs without the `count` highest losses, as the refit of Hoffmann's runs leaves out five.

    Raises `ValueError` for a negative count, or one that leaves nothing.
    """
    if not 0 <= count < len(runs.losses):
        raise ValueError(f"drop_highest: from 0 to {len(runs.losses) - 1} of the runs, got {count}")
    keep = np.sort(np.argsort(runs.losses, kind="stable")[: len(runs.losses) - count])
    return Runs({name: column[keep] for name, column in runs.sizes.items()}, runs.losses[keep])


def read_runs(path: str | Path) -> list[Row]:
    """Rows of a `.csv`, `.tsv`, `.parquet` or `.jsonl` file; `ValueError` for other kinds and what cannot be read."""
    from pyarrow import csv, parquet

    from recallscope.parquet import UNREADABLE

    path = Path(path)
    kind = path.suffix.lower()
    try:
        if kind in (".csv", ".tsv"):
            options = csv.ParseOptions(delimiter="\t" if kind == ".tsv" else ",")
            return csv.read_csv(path, parse_options=options).to_pylist()
        if kind == ".parquet":
            return parquet.read_table(path).to_pylist()
        if kind == ".jsonl":
            return _lines(path)
    except UNREADABLE as error:
        raise ValueError(f"table: {path} cannot be read ({str(error).splitlines()[0]})") from None
    raise ValueError(f"table: a .csv, .tsv, .parquet or .jsonl file, got {path}")


def _lines(path: Path) -> list[Row]:
    import json

    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"table: {path}, line {number} is not JSON ({error})") from None
        if not isinstance(row, dict):
            raise ValueError(f"table: {path}, line {number} is not an object")
        rows.append(row)
    return rows


def _column(rows: Sequence[Row], name: str) -> Floats:
    known = dict.fromkeys(column for row in rows for column in row)
    if name not in known:
        raise ValueError(f"table: no column {name!r}; there are {', '.join(known)}")
    values = []
    for number, row in enumerate(rows, 1):
        try:
            values.append(float(row[name]))
        except (KeyError, TypeError, ValueError):
            got = repr(row.get(name)) if row.get(name) is not None else "nothing"
            raise ValueError(f"table: a number for {name!r} in every row, got {got} in row {number}") from None
    return np.array(values)
