"""Published rows as text for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]

OWN = ("value", "low", "high", "kind", "source", "trust", "flag", "row", "table", "reference", "assumes")
"""Columns that stand elsewhere than in the setting of a row, or not at all."""


def format_list(rows: Sequence[Row]) -> str:
    """One line for each table: its cells, how many of them are flagged, how they are known, and where they stand."""
    lines = [("table", "cells", "flagged", "trust", "source")]
    for name in dict.fromkeys(row["table"] for row in rows):
        own = [row for row in rows if row["table"] == name]
        flagged = sum(row["flag"] is not None for row in own)
        trust = ", ".join(dict.fromkeys(row["trust"].partition(":")[0] for row in own))
        lines.append((name, str(len(own)), str(flagged or ""), trust, _common_source(own)))
    return aligned(lines, right=(1, 2))


def format_rows(rows: Sequence[Row]) -> str:
    """One line for each cell, with the columns of the setting that are not the same in all; flags below."""
    if not rows:
        return "no rows"
    flags = list(dict.fromkeys(row["flag"] for row in rows if row.get("flag")))
    names = dict.fromkeys(name for row in rows for name in row if name not in OWN)
    shown = [name for name in names if len({row.get(name) for row in rows}) > 1] or ["subject"]
    lines = [("value", "", *shown)]
    for row in rows:
        mark = f"[{flags.index(row['flag']) + 1}]" if row.get("flag") else ""
        lines.append((printed(row), mark, *("" if row.get(name) is None else text(row[name]) for name in shown)))
    same = {name: rows[0][name] for name in names if name not in shown and rows[0].get(name) is not None}
    head = [_common_source(rows), ", ".join(f"{name} {text(value)}" for name, value in same.items()), ""]
    return "\n".join(
        [*head, aligned(lines, right=(0,)), "", *(f"[{i}] {flag}" for i, flag in enumerate(flags, 1))]
    ).rstrip()


def printed(row: Row) -> str:
    """The number with as many decimals as its rounding has; nothing for a cell without one."""
    value, low, high = row["value"], row.get("low"), row.get("high")
    if value is None:
        return "-"
    if low is None or high is None:
        return text(value)
    half = (high - low) / 2
    return f"{value:,.{next((d for d in range(6) if half > 0.45 * 10**-d), 6)}f}"


def text(value: Any) -> str:
    """A cell of a setting: counts with separators, other numbers as short as they are exact."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}" if abs(value) < 1e7 else f"{value:g}"
    return str(value)


def aligned(lines: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Lines of cells as columns, two blanks apart."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    padded = (
        (
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
    return "\n".join("  ".join(line).rstrip() for line in padded)


def _common_source(rows: Sequence[Row]) -> str:
    """What the sources of all rows begin with, up to a comma."""
    same = []
    for parts in zip(*(row["source"].split(", ") for row in rows), strict=False):
        if len(set(parts)) > 1:
            break
        same.append(parts[0])
    return ", ".join(same)
