"""What one check says of one number, as a row of evidence."""

from __future__ import annotations

import math
from typing import Any

from recallscope.audit.intervals import Cell, apart

Row = dict[str, Any]

VERDICTS = ("disagrees", "open", "agrees", "computed")
"""Beyond rounding; not to be decided from what is there; within rounding; nothing printed to compare with."""


def finding(
    check: str,
    row: Row,
    found: Cell | None,
    against: Cell | None,
    unit: str,
    note: str = "",
    assumes: str | None = None,
) -> Row:
    """A row of kind `derived`: `value`, `low`, `high` recomputed, `against` and its interval, `off` between the two.

    `against` is the printed number, or what most rows agree on; where it is not bounded it has no bound.
    `off` is how far the intervals are apart, 0 if they meet: then the verdict is `agrees`. What disagrees under an
    assumption is `open`.
    """
    off = apart(found, against) if found and against else None
    if off is None:
        verdict = "computed" if found and against is None else "open"
    else:
        verdict = "agrees" if off == 0 else "open" if assumes else "disagrees"
    value, low, high = found or (None, None, None)
    of, of_low, of_high = (None if bound is None or math.isinf(bound) else bound for bound in against or [None] * 3)
    if assumes:
        note = f"{note}; assumes {assumes}" if note else f"assumes {assumes}"
    return {
        "subject": row["subject"], "metric": check, "value": value, "unit": unit, "low": low, "high": high,
        "kind": "derived", "source": row.get("source"), "verdict": verdict, "against": of, "against_low": of_low,
        "against_high": of_high, "off": off, "note": note or None, "table": row.get("table"), "row": row.get("row"),
        "of": row["metric"],
    }  # fmt: skip


def groups(rows: list[Row], *columns: str) -> list[list[Row]]:
    """Rows that are equal in these columns, in the order of their first."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row.get(name) for name in columns), []).append(row)
    return list(found.values())


def known(rows: list[Row], metric: str) -> list[Row]:
    """Rows of a metric that have a number."""
    return [row for row in rows if row["metric"] == metric and row["value"] is not None]
