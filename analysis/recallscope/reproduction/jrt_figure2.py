"""JRT (arXiv 2407.05483), Figure 2: which token do two sets share, read in order and not, by which set comes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recallscope.reproduction.seeds import points_over, rows_at_best_rate
from recallscope.reproduction.statements import Row, Spread, statement

if TYPE_CHECKING:
    import pyarrow as pa

ORDERS = {"based": "causal", "jrt": "not causal"}


def jrt_figure2_points(swept: pa.Table) -> list[Row]:
    """Accuracy of every model over the tests with the smaller set first (`sets`) and with the larger first (`turned`),
    and what lies between the two, seed by seed (metric `difference`). Sizes are the same both ways."""
    rows = rows_at_best_rate(swept)
    halves = {"sets": [row for row in rows if row["first"] < row["second"]],
              "turned": [row for row in rows if row["first"] > row["second"]]}  # fmt: skip
    if not all(halves.values()):
        raise ValueError("swept: tests with either set first, got only one way round")
    sides = {name: points_over(own, panel=name) for name, own in halves.items()}
    points = [*sides["sets"], *sides["turned"]]
    for one, other in zip(*sides.values(), strict=True):
        gaps = [a - b for a, b in zip(one["by_seed"], other["by_seed"], strict=True)]
        points.append(one | {
            "metric": "difference", "panel": "difference", "value": float(np.mean(gaps)), "low": min(gaps),
            "high": max(gaps), "by_seed": gaps,
        })  # fmt: skip
    return [point | {"order": ORDERS[point["mixer"]]} for point in points]


def jrt_figure2_statements(points: list[Row]) -> list[Row]:
    """In order, the larger set first is harder; without a causal mask the order matters less, and recall is better.

    `points` are those of `jrt_figure2_points`; models are compared at equal state.
    """
    by = {(p["panel"], p["order"], p["state_elements"]): p for p in points}
    states = sorted({state for _, order, state in by if order == "causal"}
                    & {state for _, order, state in by if order == "not causal"})  # fmt: skip
    if not states:
        raise ValueError("points: causal and not causal models of one state, got none")
    gaps = {order: [by["difference", order, state] for state in states] for order in ORDERS.values()}
    harder = 100 * float(np.mean([gap["low"] > 0 for gap in gaps["causal"]]))
    pairs = list(zip(*gaps.values(), strict=True))
    less = 100 * float(np.mean([abs(other["value"]) < abs(own["value"]) for own, other in pairs]))
    found = [
        statement("causal: states at which the larger set first is harder", Spread(harder), harder == 100,
                  "all of them, with every seed", unit="%", n=len(states)),
        statement("states at which the order matters less without a causal mask", Spread(less), less == 100,
                  "all of them", unit="%", n=len(states)),
    ]  # fmt: skip
    for panel, words in (("turned", "larger"), ("sets", "smaller")):
        above = [by[panel, "not causal", s]["low"] > by[panel, "causal", s]["high"] for s in states]
        lead = [by[panel, "not causal", s]["value"] - by[panel, "causal", s]["value"] for s in states]
        found.append(statement(f"{words} set first: lead without a causal mask, mean over states",
                               Spread(float(np.mean(lead)), min(lead), max(lead)), all(above),
                               "above at every state, worst and best seeds apart", n=len(states)))  # fmt: skip
    return found
