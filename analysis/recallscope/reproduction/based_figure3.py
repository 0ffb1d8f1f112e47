"""Based (arXiv 2402.18668), Figure 3: recall by feature map, against state and against parameters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from recallscope.reproduction.seeds import points_over, rows_at_best_rate
from recallscope.reproduction.statements import Row, Spread, statement

if TYPE_CHECKING:
    import pyarrow as pa

NAMES = {
    "elu": "ELU + 1", "relu": "ReLU", "identity": "identity", "cosformer": "cosFormer", "performer": "Performer",
}  # fmt: skip
LEADERS = ("Taylor", "ELU + 1", "ReLU")
"""Those that the paper finds on the frontier."""


def based_figure3_points(swept: pa.Table) -> list[Row]:
    """Every model over the test with the most pairs, as in the figure; `feature_map` names Taylor's keys too."""
    rows = rows_at_best_rate(swept)
    most = max(row["pairs"] for row in rows)
    hardest = [row for row in rows if row["pairs"] == most]
    points = points_over(hardest, pairs=most, length=hardest[0]["length"])
    return [point | {"feature_map": _name(point)} for point in points]


def _name(point: Row) -> str:
    options = json.loads(point["options"])
    return NAMES.get(options.get("feature_map", ""), f"Taylor, keys of {options.get('key_width')}")


def based_figure3_statements(points: list[Row]) -> list[Row]:
    """Taylor, ELU + 1 and ReLU each stand on the frontier of accuracy against state; Taylor needs fewer parameters.

    `points` are those of `based_figure3_points`, by their means over seeds. Raises `ValueError` for a map that is not
    among them.
    """
    from recallscope.frontier.pareto import pareto_set

    best = pareto_set(np.array([[np.log(p["state_elements"]), -p["value"]] for p in points]))
    found = []
    for name in LEADERS:
        own = [on for point, on in zip(points, best, strict=True) if point["feature_map"].startswith(name)]
        if not own:
            raise ValueError(f"points: those of {name}, got none")
        share = Spread(100 * float(np.mean(own)))
        found.append(statement(f"{name}: its points on the frontier of accuracy against state", share, any(own),
                               "at least one", unit="%", n=len(own)))  # fmt: skip
    taylor = [point for point in points if point["feature_map"].startswith("Taylor")]
    others = [point for point in points if not point["feature_map"].startswith("Taylor")]
    beaten = [any(t["parameters"] <= p["parameters"] and t["value"] >= p["value"] for t in taylor) for p in others]
    share = 100 * float(np.mean(beaten))
    return [*found, statement("points of other maps that a Taylor map matches with no more parameters", Spread(share),
                              share > 50, "most: above 50 %", unit="%", n=len(others))]  # fmt: skip
