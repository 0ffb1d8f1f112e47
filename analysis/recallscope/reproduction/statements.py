"""Statements of a paper beside what is found here, as rows of evidence, and the verdict that follows from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Row = dict[str, Any]

STATEMENT = "statement"
"""Metric of a row that holds a statement."""


class Spread(NamedTuple):
    """A value and its interval; None for what is not known."""

    value: float | None
    low: float | None = None
    high: float | None = None


def spread(row: Mapping[str, Any]) -> Spread:
    """Value and interval of a row of evidence."""
    return Spread(row["value"], row["low"], row["high"])


def statement(
    what: str,
    found: Spread,
    holds: bool | None,
    rule: str,
    *,
    published: Spread | None = None,
    unit: str = "1",
    n: int | None = None,
    basis: str = "own",
) -> Row:
    """One thing that a paper shows, as a row of kind `derived`.

    `holds` is whether `rule`, the criterion in words, is met here;
    None: not to be decided. `basis` is `own` for what was measured here, `print` for what was recomputed from printed
    numbers alone.
    """
    value, low, high = found
    printed, printed_low, printed_high = published or Spread(None)
    where = "the rows of this table" if basis == "own" else "printed numbers"
    return {
        "subject": what, "metric": STATEMENT, "value": value, "unit": unit, "low": low, "high": high, "n": n,
        "kind": "derived", "source": f"recallscope.reproduction, from {where}", "published": printed,
        "published_low": printed_low, "published_high": printed_high, "holds": holds, "rule": rule, "basis": basis,
    }  # fmt: skip


def statements_of(rows: Iterable[Mapping[str, Any]]) -> list[Row]:
    """The rows of a table that are statements."""
    return [dict(row) for row in rows if row["metric"] == STATEMENT]


def verdict(rows: Iterable[Mapping[str, Any]]) -> str:
    """`reproduced` if every decided statement holds, `not` if none does, else `partly`; with how many of how many.

    Rows that are no statements play no part. Raises `ValueError` without a decided statement.
    """
    own = [row for row in statements_of(rows) if row.get("holds") is not None]
    if not own:
        raise ValueError("rows: at least one statement that is decided, got none")
    held = sum(row["holds"] for row in own)
    word = "reproduced" if held == len(own) else "partly" if held else "not"
    return f"{word}: {held} of {len(own)} statements hold"


def rank_correlation(x: Sequence[float], y: Sequence[float], level: float = 0.95) -> tuple[Spread, int]:
    """Spearman's ρ (ties have their mean rank) with its interval, and the number of pairs.

    The interval is tanh(artanh ρ ± z sqrt((1 + ρ²/2) / (n - 3))): Bonett and Wright, Psychometrika 65, 2000. It
    is over the pairs, as if they were drawn from more of their kind, and says nothing of the error of each. None below
    5 pairs, and where ρ is 1 or -1. Raises `ValueError` for fewer than 3 pairs or unequal lengths.
    """
    from scipy.stats import norm, spearmanr

    if len(x) != len(y) or len(x) < 3:
        raise ValueError(f"x, y: equally many values, at least 3, got {len(x)} and {len(y)}")
    result: Any = spearmanr(x, y)
    found = float(result.statistic)
    if len(x) < 5 or abs(found) >= 1 - 1e-12:
        return Spread(found), len(x)
    half = float(norm.ppf((1 + level) / 2)) * math.sqrt((1 + found**2 / 2) / (len(x) - 3))
    middle = math.atanh(found)
    return Spread(found, math.tanh(middle - half), math.tanh(middle + half)), len(x)
