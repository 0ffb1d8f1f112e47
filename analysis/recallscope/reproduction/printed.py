"""What printed numbers say of each other: claims recomputed from tables, and gains as differences of cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from recallscope.audit import audit
from recallscope.reproduction.statements import Row, Spread, spread, statement

if TYPE_CHECKING:
    import pyarrow as pa

PROMPTS = ("default", "JRT-Prompt")


def claimed(table: str, subject: str, metric: str, to: Callable[[float], float] = float) -> Spread:
    """A claim of a published table, with its rounding; `to` turns it into another unit."""
    from recallscope.published import published_table

    rows = published_table(table).to_pylist()
    found = [row for row in rows if (row["subject"], row["metric"]) == (subject, metric)]
    if len(found) != 1:
        raise ValueError(f"metric: one claim of {table} on {subject!r}, got {metric!r}, which {len(found)} have")
    return Spread(*(None if found[0][name] is None else to(found[0][name]) for name in ("value", "low", "high")))


def claim_statements(name: str, *words: str) -> list[Row]:
    """Claims of a published table as `recallscope.audit` recomputes them; with `words`, those that name one of them."""
    rows = []
    for row in audit(name).to_pylist():
        claim = row["metric"].removeprefix("claim: ")
        if not words or any(word in claim for word in words):
            holds = {"agrees": True, "disagrees": False}.get(row["verdict"])
            published = Spread(row["against"], row["against_low"], row["against_high"])
            rows.append(statement(
                f"{row['subject']}: {claim}", spread(row), holds, "equal within rounding" + _note(row),
                published=published, unit=row["unit"], basis="print",
            ))  # fmt: skip
    return rows


def _note(row: dict[str, Any]) -> str:
    return f" ({row['note']})" if row["note"] else ""


def gain_rows(published: pa.Table) -> list[Row]:
    """JRT, Table 1: accuracy with JRT-Prompt less that with the default prompt, for each model and task, in points.

    `published` is `jrt_table1`. The average is the difference of the printed averages; a cell that is flagged there
    gives the flag to its difference. `low` and `high` carry the rounding of both cells.
    """
    cells: dict[tuple[str, str], dict[str, Row]] = {}
    for row in published.to_pylist():
        task = row["task"] or "average"
        model = row["row"].rpartition(", ")[0]
        cells.setdefault((model, task), {})[row["prompt"]] = row
    rows = []
    for (model, task), pair in cells.items():
        before, after = (pair[prompt] for prompt in PROMPTS)
        flags = [row["flag"] for row in (before, after) if row["flag"]]
        rows.append({
            "subject": before["subject"], "metric": "gain", "value": after["value"] - before["value"], "unit": "points",
            "low": after["low"] - before["high"], "high": after["high"] - before["low"], "kind": "derived",
            "source": after["source"] + " less default", "trust": after["trust"], "flag": flags[0] if flags else None,
            "task": task, "model": model, "scale": before["scale"], "training_tokens": before["training_tokens"],
        })  # fmt: skip
    return rows


def gain_statements(rows: list[Row]) -> list[Row]:
    """How many models gain, on average and task by task, and whether printed averages are those of their cells."""
    average = [row for row in rows if row["task"] == "average"]
    single = [row for row in rows if row["task"] != "average"]
    # A printed gain of 0.1 may be none: its low is 0, in floating point a little above or below.
    more, each = (100 * sum(row["low"] > 1e-9 for row in own) / len(own) for own in (average, single))
    right = [row["verdict"] == "agrees" for row in audit("jrt_table1").to_pylist() if row["metric"] == "average"]
    share = 100 * sum(right) / len(right)
    return [
        statement("models whose average gains", Spread(more), more == 100, "all of them", unit="%",
                  n=len(average), basis="print"),
        statement("cells (model and task) that gain", Spread(each), each == 100, "all of them", unit="%",
                  n=len(single), basis="print"),
        statement("printed averages that are the mean of their six cells", Spread(share), share == 100, "all of them",
                  unit="%", n=len(right), basis="print"),
    ]  # fmt: skip
