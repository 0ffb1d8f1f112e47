"""Information limit, memory rules and trained models against state in bits, as one table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from recallscope.evidence import evidence
from recallscope.frontier.limits import mean_accuracy_limit, needed_bits, tests_of_figure, with_demand
from recallscope.frontier.rules import rule_points
from recallscope.training.sweeps.plots.points import Row, Test, accuracy_rows, best_points, measured_rows, tests_of

if TYPE_CHECKING:
    import pyarrow as pa

LIMIT = "information limit"


def state_vs_recall(table: pa.Table, test: Test | None = None, bits_per_element: int = 32) -> pa.Table:
    """What is possible, what memory rules do and what trained models do with a state of so many bits, on MQAR.

    **Bits of state.** A state counts `bits_per_element` for every element, by default the 32 of the float32 in which
    both the sweeps of this toolkit and those of the published figures train and keep it: what is *allocated*. Of
    trained models nobody knows how few bits would do without a loss, so no smaller number is assumed; at b bits an
    element all their bit efficiencies are 32 / b times as large. The 1-bit cache and the n-gram table keep their own
    widths (`rule_points`). The state is the one after the longest of the tests, for all of them.

    **Bit efficiency** is recalled bits / bits of state, the recalled bits being the fewest with which any model could
    be as good (`needed_bits`). A model above the information limit would have more than 1.

    Parameters
    ----------
    table : Table
        Rows of evidence: of sweeps (`accuracy`, each subject at the rate that validates best, mean over seeds, from the
        worst to the best seed), published ones (`published_table`), or both, concatenated.
    test : mapping or None
        Columns that choose the tests of the sweeps, such as `{"pairs": 64}`; None: the mean over all of them. A
        published mean cannot be taken apart.
    bits_per_element : int

    Returns
    -------
    Table
        Two rows, `accuracy` and `bit efficiency` (unit 1), for each point: of the information limit (subject
        `information limit`, kind `derived`), of memory rules (`rule` is set, `derived`), and of trained models
        (`measured`, `published`), with `low`, `high`, `source`, `trust` and `flag`; as setting the tests in words
        (`setting`: models of the same tests belong together), `state_bits`, `state_elements`, `recalled_bits`,
        `demand_bits` (of the largest test). Raises `ValueError` if there is no row of accuracy with a state.
    """
    if bits_per_element < 1:
        raise ValueError(f"bits_per_element: at least 1, got {bits_per_element}")
    settings: dict[str, tuple[list[Row], list[Row]]] = {}
    for tests, points in [*_swept(table, test), *_published(table)]:
        settings.setdefault(setting_title(tests), (tests, []))[1].extend(points)
    if not any(points for _, points in settings.values()):
        raise ValueError("table: rows of accuracy on MQAR with state_elements, of sweeps or published, got none")
    return evidence(
        row | {"setting": title}
        for title, (tests, points) in settings.items()
        for row in _rows(tests, points, bits_per_element)
    )


def _swept(table: pa.Table, test: Test | None) -> Iterator[tuple[list[Row], list[Row]]]:
    """Tests and points of each sweep."""
    own = evidence(row for row in measured_rows(table.to_pylist()) if row.get("task") == "MQAR")
    for sweep in dict.fromkeys(own["sweep"].to_pylist() if own.num_rows else ()):
        rows = accuracy_rows(own, {"sweep": sweep, **(test or {})})
        source = rows[0]["source"]
        yield tests_of(rows), [point | {"source": source} for point in best_points(rows) if point["state"]]


def _published(table: pa.Table) -> Iterator[tuple[list[Row], list[Row]]]:
    """Tests and points of each figure whose tests are known."""
    rows = [row for row in table.to_pylist() if row["kind"] == "published"]
    for figure in dict.fromkeys(row.get("figure") for row in rows):
        tests = tests_of_figure(rows, figure)
        own = [row for row in rows if row.get("figure") == figure and row["metric"] == "accuracy"]
        own = [row for row in own if row["value"] is not None and row.get("state_elements")]
        if tests and all(test["task"] == "MQAR" for test in tests):
            yield tests, [row | {"mixer": row["subject"], "state": row["state_elements"]} for row in own]


def setting_title(tests: list[Row]) -> str:
    pairs = sorted(test["pairs"] for test in tests)
    of = f"MQAR, vocabulary {tests[0]['vocabulary']:,}"
    if len(tests) == 1:
        return f"{of}, {pairs[0]} pairs in {tests[0]['length']:,} tokens"
    return f"{of}, mean of {len(tests)} tests of {pairs[0]} to {pairs[-1]} pairs"


def _rows(tests: list[Row], points: list[Row], bits: int) -> Iterator[Row]:
    tests = with_demand(tests)
    rules = [
        point | {"state_bits": point["state_elements"] * point["bits_per_element"]}
        for point in rule_points(tests, bits)
    ]
    models = [_model(point, bits) for point in points]
    demand = max(test["demand_bits"] for test in tests)
    states = [point["state_bits"] for point in rules + models]
    grid = np.append(np.geomspace(min([demand / 64, *states]), demand, 97), max([demand, *states]))
    limit = mean_accuracy_limit(grid, tests)
    for state, value in zip(grid.tolist(), limit.tolist(), strict=True):
        recalled = min(state, demand)
        row = {"subject": LIMIT, "kind": "derived", "source": "recallscope.frontier.limits.mean_accuracy_limit"}
        yield from _two(row, state, demand, (value, None, None), (recalled, None, None))
    source = {"kind": "derived", "source": "recallscope.bounds.capacity.predicted_accuracy"}
    known = [{"subject": point["rule"], **source} | point for point in rules] + models
    values = [(row["value"], row.get("low"), row.get("high")) for row in known]
    asked = sorted({value for own in values for value in own if value is not None})
    needed = dict(zip(asked, needed_bits(asked, tests).tolist(), strict=True))
    for row, own in zip(known, values, strict=True):
        yield from _two(row, row["state_bits"], demand, own, tuple(needed.get(value) for value in own))


def _model(point: Row, bits: int) -> Row:
    """A trained model without the columns that say nothing here."""
    names = (
        "subject", "kind", "source", "trust", "flag", "value", "low", "high", "n", "mixer", "width", "layers",
        "can_bind", "rate", "figure", "state_bytes", "state_error",
    )  # fmt: skip
    state = {"state_elements": point["state"], "bits_per_element": bits, "state_bits": point["state"] * bits}
    return {name: point.get(name) for name in names} | state


def _two(row: Row, state: float, demand: float, values: Any, needed: Any) -> Iterator[Row]:
    """The row of accuracy and that of bit efficiency, the error of the state included."""
    value, low, high = values
    error = row.get("state_error") or 0
    setting = {"unit": "1", "state_bits": float(state), "recalled_bits": needed[0], "demand_bits": demand}
    yield row | setting | {"metric": "accuracy", "value": value, "low": low, "high": high}
    least = None if low is None else needed[1] / (state * (1 + error))
    most = None if high is None else needed[2] / (state * (1 - error))
    yield row | setting | {"metric": "bit efficiency", "value": needed[0] / state, "low": least, "high": most}
