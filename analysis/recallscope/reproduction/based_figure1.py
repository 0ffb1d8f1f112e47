"""Based (arXiv 2402.18668), Figure 1 centre: recall against the window, of windows, linear attention, and both."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from recallscope.reproduction.printed import claimed
from recallscope.reproduction.seeds import points_over, rows_at_best_rate
from recallscope.reproduction.statements import Row, Spread, spread, statement

if TYPE_CHECKING:
    import pyarrow as pa

MODELS = {
    "based": "linear attention", "sliding_window": "sliding window", "based+sliding_window": "both",
    "attention": "attention",
}  # fmt: skip
ALL = "mean of all tests"


def based_figure1_points(swept: pa.Table) -> list[Row]:
    """Every model of the sweep over all tests, and over the one with the most pairs (`panel`); `window` or None."""
    rows = rows_at_best_rate(swept)
    most = max(row["pairs"] for row in rows)
    hardest = [row for row in rows if row["pairs"] == most]
    panels = {ALL: rows, f"{most} pairs in {hardest[0]['length']} tokens": hardest}
    points = [point for name, own in panels.items() for point in points_over(own, panel=name)]
    longest = max(row["length"] for row in rows)
    return [
        point
        | {"model": MODELS[point["mixer"]], "window": json.loads(point["options"]).get("window"), "longest": longest}
        for point in points
    ]


def based_figure1_statements(points: list[Row]) -> list[Row]:
    """Both together lead each alone at every window, a window alone needs to be large, and both come near attention.

    `points` are those of `based_figure1_points`; the mean of all tests counts. Raises `ValueError` without a window of
    which both models are there.
    """
    own = [point for point in points if point["panel"] == ALL]
    both, alone = (_by_window(own, name) for name in ("both", "sliding window"))
    windows = sorted(both.keys() & alone.keys())
    if not windows:
        raise ValueError(f"points: a window of 'both' and 'sliding window', got {sorted(both)} and {sorted(alone)}")
    (linear,) = (point for point in own if point["model"] == "linear attention")
    leads = [100 * float(np.mean([both[w]["low"] > than[w]["high"] for w in windows]))
             for than in (alone, dict.fromkeys(windows, linear))]  # fmt: skip
    rises = [alone[after]["value"] > alone[before]["value"] for before, after in pairwise(windows)]
    gain = Spread(alone[windows[-1]]["value"] - alone[windows[0]]["value"])
    rule = "all of them, worst and best seeds apart"
    return [
        statement("windows at which both lead the window alone", Spread(leads[0]), leads[0] == 100, rule, unit="%",
                  n=len(windows)),
        statement("windows at which both lead linear attention alone", Spread(leads[1]), leads[1] == 100, rule,
                  unit="%", n=len(windows)),
        statement("window alone, accuracy of the largest less that of the smallest", gain,
                  all(rises) if rises else None, "rises with every larger window", n=len(windows)),
        *_of_attention(own, [both[w] for w in windows]),
    ]  # fmt: skip


def _by_window(points: list[Row], model: str) -> dict[int, Row]:
    return {point["window"]: point for point in points if point["model"] == model}


def _of_attention(points: list[Row], both: list[Row]) -> list[Row]:
    """Both at small windows in % of attention, if it is there: a 16th to an 8th of the longest test, as published."""
    attention = [point for point in points if point["model"] == "attention"]
    small = [row for row in both if row["longest"] / 16 <= row["window"] <= row["longest"] / 8]
    if not attention or not small:
        return []
    printed = claimed("based_claims", "Based, window 64 to 128", "recall accuracy in % of attention")
    share = 100 * float(np.mean([row["value"] for row in small])) / spread(attention[0]).value  # type: ignore[operator]
    words = " and ".join(str(row["window"]) for row in small)
    return [statement(f"both with windows of {words} tokens, in % of attention", Spread(share),
                      share >= printed.value, "at least as published", published=printed, unit="%",  # type: ignore[operator]
                      n=len(small))]  # fmt: skip
