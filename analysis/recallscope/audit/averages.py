"""Averages, and cells that are printed twice."""

from __future__ import annotations

from recallscope.audit.findings import Row, finding, groups, known
from recallscope.audit.intervals import cell, mean

PLACES = (
    "value", "low", "high", "kind", "source", "trust", "flag", "table", "row", "figure", "reference", "corpus",
    "parameters", "n", "assumes",
)  # fmt: skip
"""Columns that say where a number stands, not what it is of."""


def averages(rows: list[Row]) -> list[Row]:
    """JRT (arXiv 2407.05483) Table 1, column Average, and Table 2, column Avg.: the mean of the row's cells.

    A row of the metric `average accuracy` without a `task` is the mean of all `accuracy` cells with the same `table`
    and `row`; one with a task is of tasks that stand elsewhere. A row with a missing cell is passed over.
    """
    found = []
    for own in groups(rows, "table", "row"):
        cells = [row for row in own if row["metric"] == "accuracy"]
        for average in known(own, "average accuracy"):
            if len(cells) > 1 and not average.get("task") and all(row["value"] is not None for row in cells):
                note = f"mean of {len(cells)} cells"
                value = mean([cell(row) for row in cells])
                found.append(finding("average", average, value, cell(average), average["unit"], note))
    return found


def repeats(rows: list[Row]) -> list[Row]:
    """A number printed in two tables is the same (Zoology 1 and 2; JRT 1 and 14, 3 and 11, both halves of 5).

    Two cells of different tables are the same if they agree in everything that is not where they stand.
    """
    found = []
    for first, *others in groups(
        [row for row in rows if row["value"] is not None and not row.get("claim")], *_settings(rows)
    ):
        for row in others:
            if row.get("table") != first.get("table"):
                note = f"first printed in {first.get('table')}, {first.get('row')}"
                found.append(finding("printed twice", row, cell(first), cell(row), row["unit"], note))
    return found


def speeds(rows: list[Row]) -> list[Row]:
    """Based Table 1, columns prefill and generation: how long a model was trained does not change how fast it is.

    Rows of one `subject`, `scale` and `phase` print the same throughput. Where the other number stands at another scale
    of the same model too, the note says so: it was copied.
    """
    found = []
    speeds = known(rows, "throughput")
    for first, *others in groups(speeds, "table", "subject", "scale", "phase"):
        for row in others:
            twins = [one for one in speeds if one["value"] == row["value"] and one.get("scale") != row.get("scale")]
            twins = [one for one in twins if one["subject"] == row["subject"]]
            note = f"{first.get('row')} has another" if row["value"] != first["value"] else ""
            note += f"; it is the number of {twins[0].get('row')}" if note and twins else ""
            found.append(finding("throughput, whatever the training", row, cell(first), cell(row), row["unit"], note))
    return found


def _settings(rows: list[Row]) -> list[str]:
    return [name for name in dict.fromkeys(name for row in rows for name in row) if name not in PLACES]
