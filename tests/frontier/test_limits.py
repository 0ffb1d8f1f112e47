"""No measured point, ours or published, lies above the information limit; the limit of a mean, and its inverse."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pyarrow as pa
import pytest
from recallscope.evidence import evidence, read_evidence
from recallscope.frontier.limits import limits_of, mean_accuracy_limit, needed_bits
from recallscope.published import published_names, published_table
from sweep_tables import EVIDENCE, rows

PLOTTED = [name for name in published_names() if "state_elements" in published_table(name).column_names]
TESTS = [{"pairs": pairs, "vocabulary": 512} for pairs in (4, 16, 64)]


def committed() -> dict[str, pa.Table]:
    """All committed evidence by name; learning curves are no evidence rows."""
    files = [path for path in sorted(EVIDENCE.glob("*.jsonl")) if not path.stem.endswith("_curves")]
    own = {path.name: read_evidence(path) for path in files}
    return own | {name: published_table(name) for name in PLOTTED}


COMMITTED = committed()


def accuracy_rows(table: pa.Table) -> list[dict[str, Any]]:
    """What should have a limit, counted without the code that gives it one."""
    rows = [row for row in table.to_pylist() if row["metric"] == "accuracy" and row["kind"] != "derived"]
    return [row for row in rows if row.get("state_elements") and (row.get("task") or "MQAR") == "MQAR"]


@pytest.mark.parametrize("bits_per_element", [32, 1])
@pytest.mark.parametrize("name", COMMITTED)
def test_no_committed_point_lies_above_the_information_limit(name: str, bits_per_element: int):
    """At the 32 bits that elements are stored in, and at a single one, where some limits are below 1."""
    found = limits_of(COMMITTED[name], bits_per_element)
    assert len(found) == len(accuracy_rows(COMMITTED[name]))
    assert not [row["subject"] for row in found if row["above"]]
    assert not [row["subject"] for row in found if row["kind"] == "published" and row["value"] > row["limit"]]


def test_there_is_something_to_hold():
    counts = {name: len(limits_of(table)) for name, table in COMMITTED.items()}
    assert counts["recall_vs_state.jsonl"] >= 960 and counts["based_figure2"] == 47 and counts["zoology_tradeoff"] == 36
    assert min(row["limit"] for row in limits_of(COMMITTED["recall_vs_state.jsonl"], 1)) < 0.9


@pytest.mark.parametrize("name", ["recall_vs_state.jsonl", *PLOTTED])
def test_a_poisoned_row_is_found(name: str):
    """The best row, with the state of half the bits that it shows to know."""
    rows = COMMITTED[name].to_pylist()
    best = max(accuracy_rows(COMMITTED[name]), key=lambda row: (row["value"], row.get("pairs") or 0))
    demand = math.log2(math.perm(256, 64)) if best["kind"] == "measured" else math.log2(math.perm(4096, 256))
    poisoned = best | {"subject": "poisoned", "state_elements": int(demand / 2 / 32)}
    if best["kind"] == "measured":
        assert best["vocabulary"] == 512 and best["pairs"] <= 64
        poisoned["state_elements"] = int(best["demand_bits"] / 2 / 32)
    found = [row["subject"] for row in limits_of(evidence([*rows, poisoned])) if row["above"]]
    assert found == ["poisoned"]
    right = poisoned | {"state_elements": math.ceil(demand / 32)}  # enough for everything
    assert not any(row["above"] for row in limits_of(evidence([*rows, right])))


def test_what_has_no_limit_is_left_out():
    other = rows(task="SetDisjointness") + rows(metric="loss") + rows(state_elements=None) + rows(kind="derived")
    assert limits_of(evidence(other)) == []
    published = {"subject": "A", "metric": "accuracy", "value": 0.5, "unit": "1", "kind": "published"}
    assert limits_of(evidence([published | {"state_elements": 4, "figure": "without tests"}])) == []
    assert limits_of(evidence([published | {"state_elements": 4}])) == []


def test_errors_of_sampling_and_of_digitising_are_allowed_for():
    (row, *_) = rows()
    state, limit = 10, exact_limit(10, 4, 32)
    spread = math.sqrt(limit * (1 - limit) / 100)
    for deviations, above in ((4.9, False), (5.1, True)):
        own = row | {"value": limit + deviations * spread, "state_elements": state, "n": 100}
        assert [found["above"] for found in limits_of(evidence([own]), bits_per_element=1)] == [above]
    tests = {"subject": "test set", "metric": "examples", "value": 1000, "unit": "examples", "kind": "published"}
    tests |= {"figure": "F", "task": "MQAR", "vocabulary": 64, "length": 32, "pairs": 4}
    point = {"subject": "A", "metric": "accuracy", "unit": "1", "kind": "published", "figure": "F", "state_error": 0.1}
    wide = exact_limit(11, 4, 32)
    for low, above in ((wide - 1e-6, False), (wide + 1e-6, True)):
        published = point | {"value": low + 0.01, "low": low, "state_elements": state}
        assert [found["above"] for found in limits_of(evidence([tests, published]), bits_per_element=1)] == [above]


def exact_limit(state: float, pairs: int, values: int) -> float:
    """The accuracy at which Fano's inequality is an equality for distinct values, in 40 digits."""
    with mpmath.workdps(40):
        demand = mpmath.log(math.perm(values, pairs), 2)
        if state >= demand:
            return 1.0
        unknown = (demand - state) / pairs

        def less(p):
            return -p * mpmath.log(p, 2) - (1 - p) * mpmath.log((1 - p) / (values - 1), 2) - unknown

        return float(mpmath.findroot(less, (mpmath.mpf(1) / values, 1 - mpmath.mpf(10) ** -30), solver="anderson"))


@pytest.mark.parametrize("state", [1, 30, 100, 300, 499, 600])
def test_the_limit_of_a_mean_is_the_mean_of_limits(state: float):
    want = np.mean([exact_limit(state, test["pairs"], 256) for test in TESTS])
    assert float(mean_accuracy_limit(state, TESTS)) == pytest.approx(want, abs=1e-12)
    assert mean_accuracy_limit(np.full((2, 3), state), TESTS).shape == (2, 3)


@pytest.mark.parametrize("state", [1, 30, 100, 300, 499])
def test_needed_bits_are_the_state_that_just_allows_the_accuracy(state: float):
    mean = float(np.mean([exact_limit(state, test["pairs"], 256) for test in TESTS]))
    assert float(needed_bits(mean, TESTS)) == pytest.approx(state, rel=1e-9)


@pytest.mark.parametrize("accuracy", [0.1, 0.5, 0.9, 0.999, 1.0])
def test_needed_bits_of_one_test_are_the_rate_distortion_expression(accuracy: float):
    pairs, values = 64, 256
    with mpmath.workdps(40):
        wrong = 1 - mpmath.mpf(accuracy)
        surprise = -sum(p * mpmath.log(p, 2) for p in (1 - wrong, wrong) if p)
        spare = pairs * mpmath.log(values, 2) - mpmath.log(math.perm(values, pairs), 2)
        want = pairs * (mpmath.log(values, 2) - surprise - wrong * mpmath.log(values - 1, 2)) - spare
    assert float(needed_bits(accuracy, TESTS[-1:])) == pytest.approx(max(float(want), 0), rel=1e-10)


def test_needed_bits_at_the_ends():
    assert needed_bits([0.0, 1 / 256], TESTS).tolist() == [0, 0]
    assert float(needed_bits(1.0, TESTS)) == pytest.approx(math.log2(math.perm(256, 64)), rel=1e-12)
    assert float(needed_bits(1.0, [{"pairs": 4, "vocabulary": 512, "demand_bits": 20.0}])) == pytest.approx(20)


def test_bad_input():
    with pytest.raises(ValueError, match="tests: at least one row with pairs and vocabulary, got none"):
        needed_bits(0.5, [])
    with pytest.raises(ValueError, match=r"accuracy: from 0 to 1, got 1\.2"):
        needed_bits(1.2, TESTS)
    with pytest.raises(ValueError, match="state_bits: at least 0, got -1"):
        mean_accuracy_limit(-1, TESTS)
    with pytest.raises(ValueError, match="bits_per_element: above 0, got 0"):
        limits_of(evidence([]), 0)


def test_limits_need_no_torch():
    import subprocess
    import sys

    code = "import sys, recallscope.frontier.limits; sys.exit(bool({'torch', 'plotly'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent).returncode == 0
