"""The information limit of a mean over several tests of recall, its inverse, and which measured rows lie above it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from recallscope.bounds import accuracy_limit, answer_bits
from recallscope.bounds._checks import probability

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, Any]
Tests = Sequence[Mapping[str, Any]]

SAMPLING = 5.0
"""Standard deviations of a share of n answers that a measured accuracy may lie above the limit by chance."""


def mean_accuracy_limit(state_bits: ArrayLike, tests: Tests) -> np.ndarray:
    """Highest mean over MQAR tests of the accuracy that any model with a state of so many bits can have.

    `tests` are rows with `pairs` and `vocabulary` (of which half are values, drawn without replacement), and
    `demand_bits`, the entropy of the answers, where it is known already. The mean of `accuracy_limit` over them: each
    test is bounded for itself, so no model exceeds the mean, and it is 1 from the largest demand on. A state that grows
    with the text counts as after the longest test, which allows the shorter ones more than they have.
    """
    limits = [
        accuracy_limit(state_bits, test["pairs"], test["vocabulary"] // 2, test["demand_bits"])
        for test in with_demand(tests)
    ]
    return np.mean(limits, 0)


def needed_bits(accuracy: ArrayLike, tests: Tests) -> np.ndarray:
    """Recalled bits: the fewest bits of state with which any model can have this mean accuracy on these tests.

    The inverse of `mean_accuracy_limit`, by bisection to 1e-15 of the largest demand. For one test of D pairs of m
    values it is the rate-distortion expression D [log2 m - h(ε) - ε log2(m - 1)] (`recalled_bits`), less
    D log2 m - H because distinct values hold only H bits; 0 where that is negative. For a mean over tests it is the
    least that is certain: how the accuracy is spread over the tests may need more, never less. Raises `ValueError` for
    accuracies outside [0, 1].
    """
    wanted, tests = probability("accuracy", accuracy), with_demand(tests)
    low, high = np.zeros_like(wanted), np.full_like(wanted, max(test["demand_bits"] for test in tests))
    for _ in range(52):
        middle = (low + high) / 2
        enough = mean_accuracy_limit(middle, tests) >= wanted
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.where(wanted <= mean_accuracy_limit(0, tests), 0, high)


def with_demand(tests: Tests) -> list[Row]:
    """The tests with `demand_bits`, the entropy of the answers given the questions, where it was not known."""
    if not tests:
        raise ValueError("tests: at least one row with pairs and vocabulary, got none")
    known = [test.get("demand_bits") for test in tests]
    return [
        dict(test) | {"demand_bits": answer_bits(test["pairs"], test["vocabulary"] // 2) if bits is None else bits}
        for test, bits in zip(tests, known, strict=True)
    ]


def limits_of(table: pa.Table, bits_per_element: float = 32) -> list[Row]:
    """Every measured or published accuracy that has an information limit, with `limit` and whether it lies `above`.

    A row has one if it is of MQAR and its state is known: our own rows hold their test; published ones belong to the
    tests (rows of the metric `examples`) of the same `figure`. `above` allows for what is not known exactly: 5 standard
    deviations of a share of `n` answers, or the error of a digitised point in accuracy and state. An element may hold
    `bits_per_element`; with fewer than it is stored in, a row above is no mistake, but shows that more of it is used.
    """
    if not bits_per_element > 0:
        raise ValueError(f"bits_per_element: above 0, got {bits_per_element}")
    rows = table.to_pylist()
    groups: dict[tuple[Any, ...], tuple[Tests, list[Row]]] = {}  # rows of the same tests share one curve
    for row in rows:
        if row["metric"] != "accuracy" or row["value"] is None or not row.get("state_elements"):
            continue
        tests = tests_of_figure(rows, row.get("figure")) if row["kind"] == "published" else [row]
        if row["kind"] == "derived" or not tests or any(test.get("task") != "MQAR" for test in tests):
            continue
        key = tuple((test["pairs"], test["vocabulary"]) for test in tests)
        groups.setdefault(key, (tests, []))[1].append(row)
    return [row for tests, own in groups.values() for row in _limited(own, tests, bits_per_element)]


def _limited(rows: list[Row], tests: Tests, bits: float) -> list[Row]:
    states = [row["state_elements"] * bits * (1 + (row.get("state_error") or 0)) for row in rows]
    limits = mean_accuracy_limit(states, tests).tolist()
    return [
        row | {"limit": limit, "above": _least(row, limit) > limit} for row, limit in zip(rows, limits, strict=True)
    ]


def tests_of_figure(rows: Sequence[Row], figure: str | None) -> list[Row]:
    """The rows that say what a published figure was tested on."""
    return [row for row in rows if row["metric"] == "examples" and row.get("figure") == figure]


def _least(row: Row, limit: float) -> float:
    """The accuracy, less what it may be too high by."""
    if row["kind"] == "published":
        return row["value"] if row["low"] is None else row["low"]
    return row["value"] - SAMPLING * math.sqrt(limit * (1 - limit) / row["n"])
