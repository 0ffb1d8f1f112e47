"""Accuracy of recall against one number of the task or the model: pairs, window, state, parameters, sizes of sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recallscope import look
from recallscope.reproduction.plots.drawing import Row, draw, panels, powers_of_two, rows_with, whole_ticks
from recallscope.training.sweeps.plots.drawing import ACCURACY_RANGE, draw_chance_line, named_once, short_names

if TYPE_CHECKING:
    import pyarrow as pa
    from plotly.graph_objects import Figure

ALONE = {"linear attention": "linear attention", "sliding window": "sliding window", "both": "hybrid",
         "attention": "attention"}  # fmt: skip
MAPS = {
    "Taylor": "linear attention", "ELU + 1": "gated linear attention", "ReLU": "delta rule", "identity": "state space",
    "cosFormer": "recurrent", "Performer": "other",
}  # fmt: skip
"""Seven maps of one family need colours of their own: those of other families."""
ORDERS = {"causal": "linear attention", "not causal": "hybrid"}
TESTS = {"sets": "smaller set first", "turned": "larger set first", "difference": "smaller first, less larger first"}


def recall_by_pairs(table: pa.Table) -> Figure:
    """Zoology, Appendix F: accuracy against the number of pairs, a line for each model, whiskers over seeds."""
    rows = rows_with(table, "accuracy", "pairs")
    figure, names = panels([_tests(rows)], 620), short_names(r["subject"] for r in rows)
    families = {name: look.family(name.partition(":")[0]) for name in names.values()}
    for name, style in look.styles(names.values(), families).items():
        draw(figure, [row for row in rows if names[row["subject"]] == name], name, style, 1, "pairs")
    chance = {row["pairs"]: row["chance"] for row in rows}
    draw_chance_line(figure, sorted(chance), [chance[pairs] for pairs in sorted(chance)])
    powers_of_two(figure, chance)
    figure.update_xaxes(title="key-value pairs")
    return figure.update_yaxes(range=ACCURACY_RANGE, title="accuracy, mean over seeds")


def _tests(rows: list[Row]) -> str:
    lengths = [row["length"] for row in rows]
    return f"MQAR, tests of {min(lengths)} to {max(lengths)} tokens"


def accuracy_against_window(table: pa.Table) -> Figure:
    """Based, Figure 1 centre: windows alone, with linear attention, and linear attention and attention as lines."""
    rows = rows_with(table, "accuracy", "model", "panel")
    titles = list(dict.fromkeys(row["panel"] for row in rows))
    windows = sorted({row["window"] for row in rows if row["window"]})
    figure = panels(titles, 500)
    for column, title in enumerate(titles, 1):
        for name, style in look.styles(ALONE, ALONE).items():
            own = [row for row in rows if (row["panel"], row["model"]) == (title, name)]
            if own and own[0]["window"] is None:  # no window: the same at every one
                own = [own[0] | {"window": window} for window in (windows[0], windows[-1])]
            draw(figure, own, name, style, column, "window")
    powers_of_two(figure, windows)
    figure.update_xaxes(title="window, tokens")
    figure.update_yaxes(range=ACCURACY_RANGE).update_yaxes(title="accuracy, mean over seeds", col=1)
    return named_once(figure)


def accuracy_by_feature_map(table: pa.Table) -> Figure:
    """Based, Figure 3: accuracy with the most pairs against the state and against the parameters, a line for each map.

    Two lines of Taylor features differ in the width of keys. Whiskers go from the worst to the best seed.
    """
    rows = rows_with(table, "accuracy", "feature_map", "state_elements", "parameters")
    names = list(dict.fromkeys(row["feature_map"] for row in rows))
    figure = panels(["by state", "by parameters"], 500)
    families = {name: next(family for word, family in MAPS.items() if name.startswith(word)) for name in names}
    for column, x in enumerate(("state_elements", "parameters"), 1):
        for name, style in look.styles(names, families).items():
            draw(figure, [row for row in rows if row["feature_map"] == name], name, style, column, x)
        figure.update_xaxes(title=x.replace("state_", "state, "), row=1, col=column, **whole_ticks(r[x] for r in rows))
    figure.update_yaxes(rangemode="tozero").update_yaxes(title=_most_pairs(rows), col=1)
    return named_once(figure)


def _most_pairs(rows: list[Row]) -> str:
    return f"accuracy, {rows[0]['pairs']} pairs in {rows[0]['length']} tokens"


def accuracy_of_sets(table: pa.Table) -> Figure:
    """JRT, Figure 2: set disjointness against the state, in order (causal) and not, by which set comes first."""
    rows = rows_with(table, "accuracy", "order", "state_elements") + rows_with(table, "difference", "order")
    figure = panels(list(TESTS.values()), 480)
    for column, panel in enumerate(TESTS, 1):
        for order, style in look.styles(ORDERS, ORDERS).items():
            own = [row for row in rows if (row["order"], row["panel"]) == (order, panel)]
            draw(figure, own, order, style, column, "state_elements")
    figure.update_xaxes(title="state, elements", **whole_ticks(row["state_elements"] for row in rows))
    figure.update_yaxes(title="accuracy, mean over tests and seeds", col=1)
    return named_once(figure)
