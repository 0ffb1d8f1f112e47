"""Based (arXiv 2402.18668), Figure 2: models of the same options, published and trained here, and what agrees."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from recallscope.reproduction.statements import Row, Spread, rank_correlation, spread, statement
from recallscope.training.sweeps.plots.points import accuracy_rows, best_points

if TYPE_CHECKING:
    import pyarrow as pa

SAME = ("key_width", "window", "state_size")
"""Options that two models must share to be compared."""
LEAD, WINDOW = "based", "sliding_window"


def own_points(swept: pa.Table) -> list[Row]:
    """Every two-layer model of a sweep at its best rate: mean over tests and seeds, `options` and `by_seed`."""
    rows = [row for row in accuracy_rows(swept, None) if row["layers"] == 2]
    points = []
    for point in best_points(rows):
        own = [row for row in rows if row["subject"] == point["subject"] and row["rate"] == point["rate"]]
        by_seed = [np.mean([row["value"] or 0 for row in own if row["seed"] == seed]) for seed in point["seeds"]]
        points.append(point | {"options": json.loads(own[0]["options"]), "by_seed": [float(v) for v in by_seed]})
    return points


def published_points(published: pa.Table) -> list[Row]:
    """Points of the figure whose shape is known, with `mixer`, `options` and `width`."""
    points = []
    for row in published.to_pylist():
        if row["metric"] == "accuracy" and row["value"] is not None and row["architecture"]:
            mixer, _, tail = row["architecture"].partition(":")
            options = {
                name: int(text) for name, _, text in (p.partition("=") for p in tail.split(",")) if text.isdigit()
            }
            points.append(row | {"mixer": mixer, "options": options, "width": options["width"]})
    return points


def matched(published: pa.Table, swept: pa.Table) -> list[tuple[Row, Row]]:
    """Published and own point of one mixer with equal `SAME`; of several widths the one nearest to ours."""
    pairs = []
    for own in own_points(swept):
        same = [row for row in published_points(published) if row["mixer"] == own["mixer"] and _same(row, own)]
        if same:
            pairs.append((min(same, key=lambda row: abs(row["width"] - own["width"])), own))
    return pairs


def _same(one: Row, other: Row) -> bool:
    return all(one["options"].get(name) == other["options"].get(name) for name in SAME)


def based_figure2_statements(published: pa.Table, swept: pa.Table) -> list[Row]:
    """Order of the models, attention on top, more state is better, Based above the window, and how high they come.

    `published` is the table `based_figure2`, `swept` rows of a sweep. Sizes of the tests differ, so accuracies are
    compared by rank and by order, not by value. Raises `ValueError` if fewer than 3 models are in both.
    """
    pairs = matched(published, swept)
    printed, own = [row["value"] for row, _ in pairs], [point["value"] for _, point in pairs]
    found, n = rank_correlation(printed, own)
    seeds = range(min(len(point["by_seed"]) for _, point in pairs))
    single = [rank_correlation(printed, [point["by_seed"][k] for _, point in pairs])[0].value or 0 for k in seeds]
    rows = [
        statement("rank correlation of accuracy over models in both", found, found.low is not None and found.low > 0,
                  "its interval is above 0", n=n),
        statement("the same with one seed a model, lowest", Spread(min(single)), min(single) > 0, "above 0", n=n),
    ]  # fmt: skip
    return [*rows, _best(pairs), _rising(pairs), _above(published, swept), _half(pairs)]


def _best(pairs: list[tuple[Row, Row]]) -> Row:
    (row, own), = ((row, own) for row, own in pairs if own["mixer"] == "attention")  # fmt: skip
    best = own["value"] == max(point["value"] for _, point in pairs)
    return statement("accuracy of attention", spread(own), best, "the best of the models in both",
                     published=spread(row), n=own["n"])  # fmt: skip


def _rising(pairs: list[tuple[Row, Row]]) -> Row:
    """Steps from one state to the next larger one of a mixer, by what the published and our own points do."""
    steps: dict[str, list[bool]] = {"published": [], "own": []}
    for mixer in dict.fromkeys(own["mixer"] for _, own in pairs):
        line = sorted((p for p in pairs if p[1]["mixer"] == mixer), key=lambda pair: pair[1]["state"])
        for (row, own), (next_row, next_own) in pairwise(line):
            steps["published"].append(next_row["value"] > row["value"])
            steps["own"].append(next_own["value"] > own["value"])
    up, printed = (100 * float(np.mean(steps[name])) for name in ("own", "published"))
    return statement("steps to a larger state of one mixer that raise accuracy", Spread(up), up == 100, "all of them",
                     published=Spread(printed), unit="%", n=len(steps["own"]))  # fmt: skip


def leads(points: list[Row]) -> list[float]:
    """How far each Based point is above the sliding windows at its state, interpolated over the logarithm of the state.

    Beyond the largest window its accuracy counts on; left of the smallest there is nothing to compare with.
    """
    line = sorted((row for row in points if row["mixer"] == WINDOW), key=lambda row: row["state"])
    state, value = [np.log2(row["state"]) for row in line], [row["value"] for row in line]
    based = [row for row in points if row["mixer"] == LEAD and np.log2(row["state"]) >= state[0]]
    return [float(row["value"] - np.interp(np.log2(row["state"]), state, value)) for row in based]


def _above(published: pa.Table, swept: pa.Table) -> Row:
    printed = leads([row | {"state": row["state_elements"]} for row in published_points(published)])
    own = leads(own_points(swept))
    share, of = (100 * float(np.mean([lead > 0 for lead in one])) for one in (own, printed))
    return statement("Based above the sliding window at equal state, of its points", Spread(share), share == 100,
                     "all of them", published=Spread(of), unit="%", n=len(own))  # fmt: skip


def _half(pairs: list[tuple[Row, Row]]) -> Row:
    share = 100 * float(np.mean([own["value"] >= row["value"] / 2 for row, own in pairs]))
    return statement("models with at least half of their published accuracy", Spread(share), share == 100,
                     "all of them", unit="%", n=len(pairs))  # fmt: skip
