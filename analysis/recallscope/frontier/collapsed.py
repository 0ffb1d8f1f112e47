"""Rows of seeds, rates and tests to one row a model: what one point stands for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from recallscope.evidence import evidence
from recallscope.frontier.axes import TEST, setting
from recallscope.frontier.limits import tests_of_figure
from recallscope.frontier.state_vs_recall import setting_title
from recallscope.training.sweeps.best import best_of

Row = dict[str, Any]

ORIGIN = ("commit", "version", "python", "torch", "time", "command")
"""Columns that say when and with what a row was made; they never tell two models apart."""


def collapsed(rows: Sequence[Row], metrics: Iterable[str], every: Sequence[Row] | None = None) -> list[Row]:
    """Rows of the metrics, one for each model and test, with `setting` in words and `tests` (pairs, vocabulary).

    Of a sweep (rows with `sweep`, `rate` and `validation`) a model is a subject at the rate that validates best, its
    value the mean over seeds, `low` and `high` the worst and the best seed; there is a row for each test, and one for
    the mean over all of them where they are of one task. Its state is that after the longest of these tests. Other rows
    that differ in `seed` alone become their mean in the same way. A published figure whose tests are known (rows of the
    metric `examples`, looked for in `every`) is a mean over those. Rows without a number are left out.
    """
    wanted, every = set(metrics), rows if every is None else every
    rows = [
        row for row in rows if row["metric"] in wanted and row["value"] is not None and row["value"] == row["value"]
    ]
    swept = [row for row in rows if _swept(row)]
    others = [_named(row, every) for row in rows if not _swept(row)]
    return [*_sweeps(swept), *_over_seeds(others)]


def _swept(row: Row) -> bool:
    return row["kind"] != "published" and all(row.get(name) is not None for name in ("sweep", "rate", "validation"))


def _named(row: Row, every: Sequence[Row]) -> Row:
    tests = tests_of_figure(every, row.get("figure")) if row["kind"] == "published" and row.get("figure") else []
    tests = tests if tests and row.get("pairs") is None else [row]
    known = all(test.get("task") == "MQAR" and test.get("pairs") and test.get("vocabulary") for test in tests)
    words = setting_title(tests) if known and not row.get("setting") else setting(row)
    return row | {"setting": words, "tests": _pairs(tests) if known else ()}


def _pairs(tests: Iterable[Row]) -> tuple[tuple[int, int], ...]:
    return tuple(sorted((test["pairs"], test["vocabulary"]) for test in tests))


def _sweeps(rows: Sequence[Row]) -> Iterator[Row]:
    for sweep, metric in dict.fromkeys((row["sweep"], row["metric"]) for row in rows):
        own = [row for row in rows if row["sweep"] == sweep and row["metric"] == metric]
        tests: dict[tuple[Any, ...], list[Row]] = {}
        for row in own:
            tests.setdefault(tuple(row.get(name) for name in TEST), []).append(row)
        subsets = list(tests.values())
        if len(subsets) > 1 and len({row.get("task") for row in own}) == 1:
            subsets = [own, *subsets]
        for subset in subsets:
            yield from _best(subset, metric)


def _best(rows: Sequence[Row], metric: str) -> Iterator[Row]:
    """One row a subject, over the tests of these rows."""
    tests = list({tuple(row.get(name) for name in TEST): row for row in rows}.values())
    known = all(test.get("task") == "MQAR" and test.get("pairs") and test.get("vocabulary") for test in tests)
    one = setting(rows[0]) if len(tests) == 1 else f"{rows[0].get('task')}, mean of {len(tests)} tests"
    test = {"setting": setting_title(tests) if known else one, "tests": _pairs(tests) if known else ()}
    kept = ("source", "sweep", "mixer", "width", "layers", "parameters", *ORIGIN)
    for point in best_of(evidence(rows), metric).to_pylist():
        own = [row for row in rows if row["subject"] == point["subject"]]
        states = [row["state_elements"] for row in own if row.get("state_elements") is not None]
        flag = "cannot bind a key to its value" if own[0].get("can_bind") is False else None
        number = {name: point[name] for name in ("subject", "metric", "value", "low", "high", "n", "unit", "kind")}
        origin = {name: own[0].get(name) for name in kept}
        yield number | origin | test | {"flag": flag, "state_elements": max(states, default=None)}


def _over_seeds(rows: Sequence[Row]) -> Iterator[Row]:
    """Rows that differ in seed and origin alone as their mean; `low` and `high` are then of seeds."""
    left_out = {"seed", "value", "low", "high", "n", "seconds", "validation", *ORIGIN}
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        key = tuple((name, value) for name, value in row.items() if name not in left_out and value is not None)
        groups.setdefault(key, []).append(row)
    for own in groups.values():
        if len({row.get("seed") for row in own}) == len(own) > 1:
            values = [row["value"] for row in own]
            spread = {"value": sum(values) / len(own), "low": min(values), "high": max(values), "n": len(own)}
            yield own[0] | spread | {"seed": None}
        else:
            yield from (row | {"seed": None} for row in own)
