"""JRT (arXiv 2407.05483), Figure 3: recall and other tokens by training count, rare recall by distance."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from recallscope.reproduction.bigram_frequency import FEWEST, GAP
from recallscope.reproduction.statements import Row, Spread, rank_correlation, statement

WINDOW = 64
"""Tokens that the bundled `window` and the window layers of the bundled `based` see."""


def jrt_figure3_statements(rows: Iterable[dict[str, Any]]) -> list[Row]:
    """For each model its gap to attention: on far recall by training count and against other tokens; by distance.

    `rows` are those of `jrt_slices.jsonl`, bins of which hold 100 tokens or more. Of models with a window: whether the
    gap on rare recall is larger beyond it, bin by bin, by their intervals. The longest distance of a bin counts.
    """
    own = [row for row in rows if row["metric"] == GAP and row["n"] >= FEWEST]
    found = []
    for model in dict.fromkeys(row["subject"] for row in own):
        far, other, near = (_bins(own, model, name) for name in ("recall by frequency", "other", "recall by distance"))
        fall, n = rank_correlation(list(far), [row["value"] for row in far.values()])
        both = sorted(far.keys() & other.keys())
        larger = 100 * float(np.mean([far[low]["value"] > other[low]["value"] for low in both]))
        found += [
            statement(f"{model}: rank correlation of the gap on far recall with the training count", fall,
                      fall.high is not None and fall.high < 0, "its interval is below 0", n=n),
            statement(f"{model}: bins of the count in which the gap is larger on far recall than on other tokens",
                      Spread(larger), larger == 100, "all of them", unit="%", n=len(both)),
        ]  # fmt: skip
        if model != "hyena":
            found.append(_beyond(model, list(near.values())))
    return found


def _bins(rows: list[Row], model: str, panel: str) -> dict[int, Row]:
    own = [row for row in rows if (row["subject"], row["slice"]) == (model, panel)]
    low = "distance_low" if panel == "recall by distance" else "count_low"
    return {row[low]: row for row in sorted(own, key=lambda row: row[low])}


def _beyond(model: str, rows: list[Row]) -> Row:
    """Smallest gap beyond the window less the largest within it, and whether the intervals keep them apart."""
    within, beyond = ([row for row in rows if (row["distance_low"] >= WINDOW) == far] for far in (False, True))
    if not within or not beyond:
        raise ValueError(f"rows: bins of the distance on both sides of {WINDOW} tokens for {model!r}, got too few")
    step = min(row["value"] for row in beyond) - max(row["value"] for row in within)
    apart = min(row["low"] for row in beyond) > max(row["high"] for row in within)
    return statement(
        f"{model}: least gap on rare recall from {WINDOW} tokens on, less the largest nearer", Spread(step), apart,
        "all intervals beyond the window are above all within it", unit="nats", n=sum(row["n"] for row in rows),
    )  # fmt: skip
