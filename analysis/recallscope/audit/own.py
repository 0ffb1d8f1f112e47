"""A user's own table, as CSV or JSON Lines, with the columns of the published ones."""

from __future__ import annotations

import csv
import json
import math
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from recallscope.audit.findings import Row

NEEDED = ("subject", "metric", "value")
COUNTS = ("n", "training_tokens", "parameters", "t", "length", "batch", "width", "key_width", "further_elements")
NUMBERS = (*COUNTS, "low", "high", "state_bytes", "state_error", "bytes_per_element")
WORDS = {"true": True, "false": False}


def read_table(path: str | Path) -> list[Row]:
    """Rows of a CSV file with a header, or of JSON Lines, one cell a row.

    Needed are `subject`, `metric` and `value`; then whatever the checks use: `slice` (`all`, `AR`, `other`),
    `reference`, `scale`, `training_tokens`, `task`, `phase`, `row` (what belongs together in print; by default subject,
    scale and training tokens), `unit`, `architecture`, `t`, `state_bytes`, `claim`, ... Without `low` and `high` a
    number lies within half of its last printed decimal, so 2.50 should be written 2.50: in CSV, or as a string. An
    empty value is a missing one. `table` is the file's name. Raises `ValueError` for files that cannot be read, missing
    columns, and values that are no numbers, naming the line.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"table: {path} cannot be read ({error})") from None
    if path.suffix.lower() not in (".csv", ".jsonl"):
        raise ValueError(f"table: a published name, or a file that ends in .csv or .jsonl, got {path}")
    raw = _csv(path, lines) if path.suffix.lower() == ".csv" else _jsonl(path, lines)
    if not raw:
        raise ValueError(f"table: {path} has no rows")
    return [_row(path, number, row) for number, row in raw]


def _csv(path: Path, text: str) -> list[tuple[int, Row]]:
    reader = csv.DictReader(text.splitlines(), restkey="")
    rows = []
    for row in reader:
        if "" in row or None in row.values():
            raise ValueError(
                f"table: {path}, line {reader.line_num}: {len(reader.fieldnames or ())} cells, as in the header"
            )
        rows.append((reader.line_num, row))
    return rows


def _jsonl(path: Path, text: str) -> list[tuple[int, Row]]:
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            row = json.loads(line, parse_float=str, parse_int=str) if line.strip() else None
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"table: {path}, line {number} is not JSON ({error})") from None
        if row is not None and not isinstance(row, dict):
            raise ValueError(f"table: {path}, line {number}: an object with {', '.join(NEEDED)}, got {line[:40]}")
        rows += [(number, row)] if row is not None else []
    return rows


def _row(path: Path, number: int, raw: Row) -> Row:
    where = f"table: {path}, line {number}"
    missing = [name for name in NEEDED if name not in raw]
    if missing:
        raise ValueError(f"{where}: {', '.join(NEEDED)} are needed, {', '.join(missing)} missing")
    row: Row = {name: _value(where, name, cell) for name, cell in raw.items() if cell not in ("", None)}
    if not row.get("subject") or not row.get("metric"):
        raise ValueError(f"{where}: subject and metric in words, got {raw['subject']!r} and {raw['metric']!r}")
    row = {"value": None} | row
    if row["value"] is not None:
        row = _with_rounding(str(raw["value"]), row)
        low, high = row.get("low", row["value"]), row.get("high", row["value"])
        if not low <= row["value"] <= high:
            raise ValueError(f"{where}: low, high on both sides of the value, got {low} to {high} for {row['value']}")
        if row["metric"] == "perplexity" and low <= 0:
            raise ValueError(f"{where}: a perplexity is above 0, got {raw['value']}")
    named = [str(raw[name]) for name in ("subject", "scale", "training_tokens") if raw.get(name) not in ("", None)]
    defaults = {"unit": "1", "kind": "published", "source": str(path), "table": path.stem, "row": " ".join(named)}
    return {name: row.get(name) for name in ("low", "high", "flag")} | defaults | row


def _with_rounding(text: str, row: Row) -> Row:
    """`low` and `high` from the last printed decimal, where neither is given; counts are exact."""
    if "low" in row or "high" in row or row["metric"] == "examples":
        return row
    value = Decimal(text.replace(",", ""))
    half = Decimal(1).scaleb(int(value.as_tuple().exponent)) / 2
    return row | {"low": float(value - half), "high": float(value + half)}


def _value(where: str, name: str, cell: Any) -> Any:
    if isinstance(cell, dict | list):
        raise ValueError(f"{where}: {name} is a number, a text, true or false, got {cell}")
    if name == "value" or name in NUMBERS:
        number = _number(where, name, cell)
        return int(number) if number.is_integer() and name in COUNTS else number
    return WORDS.get(cell, cell) if isinstance(cell, str) else cell


def _number(where: str, name: str, cell: Any) -> float:
    try:
        number = float(Decimal(str(cell).replace(",", "")))
    except InvalidOperation:
        raise ValueError(f"{where}: {name} is a number, got {cell!r}") from None
    if not math.isfinite(number):
        raise ValueError(f"{where}: {name} is a finite number or empty, got {cell!r}")
    return number
