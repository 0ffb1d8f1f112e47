"""In-context language learning (arXiv 2401.12973): n-grams of the prompt, read from the plots and measured here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from recallscope.reproduction.statements import Row, Spread, spread, statement

ERRORS = 3.0
"""Standard errors of ours that a published number may lie outside the error of its reading."""


def in_context_language_statements(rows: Iterable[dict[str, Any]]) -> list[Row]:
    """Every published score of an n-gram beside ours, and whether the two are as near as sampling allows.

    `rows` are those of `in_context_language.jsonl`. Where a plot was read for several sizes of the training set, on
    which an n-gram does not depend, the published interval covers all readings.
    """
    rows, found = list(rows), []
    for own in (row for row in rows if row["kind"] == "measured"):
        same = [row for row in rows if row["kind"] == "published" and _place(row) == _place(own)]
        if not same:
            continue
        low, high = min(row["low"] for row in same), max(row["high"] for row in same)
        slack = ERRORS * (own["high"] - own["low"]) / 2 / 1.96
        where = f", first {own['first']} positions" if own["first"] else ""
        found.append(statement(
            f"{own['metric']} of the {own['subject']}{where}", spread(own),
            low - slack <= own["value"] <= high + slack, "within the reading and 3 standard errors of ours",
            published=Spread(sum(row["value"] for row in same) / len(same), low, high), n=own["n"],
        ))  # fmt: skip
    return found


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["subject"], row["metric"], row["first"]
