"""Limit, rules and trained models in bits: the table says what its sources say, the figure what the table says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from recallscope import frontier, look
from recallscope.bounds import accuracy_limit, recalled_bits
from recallscope.bounds.capacity import Memory, predicted_accuracy, simulated_accuracy
from recallscope.evidence import evidence
from recallscope.frontier.rules import rule_points
from recallscope.frontier.state_vs_recall import LIMIT, state_vs_recall
from sweep_tables import DEMAND, TABLE, rows

TESTS = [
    {"subject": "test set", "metric": "examples", "value": 1000, "unit": "examples", "kind": "published",
     "figure": "F", "task": "MQAR", "vocabulary": 64, "length": length, "pairs": pairs}
    for length, pairs in ((32, 4), (64, 8))
]  # fmt: skip
POINT = {
    "subject": "Mamba <1>", "metric": "accuracy", "value": 0.5, "low": 0.49, "high": 0.51, "unit": "1",
    "kind": "published", "figure": "F", "state_elements": 100, "state_error": 0.02, "source": "A & B",
    "trust": "digitised", "flag": "shift left out",
}  # fmt: skip


@pytest.fixture(scope="module")
def both() -> pa.Table:
    return state_vs_recall(evidence([*rows(), *TESTS, POINT]))


def metric(table: pa.Table, name: str, **which: Any) -> list[dict[str, Any]]:
    found = [row for row in table.to_pylist() if row["metric"] == name]
    return [row for row in found if all(row[key] == value for key, value in which.items())]


def test_sweeps_and_figures_of_the_same_tests_share_a_setting(both: pa.Table):
    assert set(both["setting"].to_pylist()) == {"MQAR, vocabulary 64, mean of 2 tests of 4 to 8 pairs"}
    one = state_vs_recall(TABLE, {"pairs": 8})
    assert set(one["setting"].to_pylist()) == {"MQAR, vocabulary 64, 8 pairs in 64 tokens"}
    assert not metric(one, "accuracy", kind="published")


def test_a_trained_model_is_its_best_rate_with_its_seeds():
    table = state_vs_recall(TABLE, {"pairs": 8}, bits_per_element=16)
    (row,) = metric(table, "accuracy", subject="gla:heads=1,chunk=8")
    assert (row["value"], row["low"], row["high"]) == pytest.approx((0.35, 0.25, 0.45))  # half of 0.5 to 0.9
    assert (row["state_elements"], row["bits_per_element"], row["state_bits"]) == (4096, 16, 65536)
    spare = 8 * 5 - DEMAND[8]  # distinct values
    (bits,) = metric(table, "bit efficiency", subject="gla:heads=1,chunk=8")
    for name, accuracy in (("value", 0.35), ("low", 0.25), ("high", 0.45)):
        assert bits[name] == pytest.approx((float(recalled_bits(accuracy, 8, 32)) - spare) / 65536, rel=1e-9)
    assert bits["recalled_bits"] == row["recalled_bits"] == pytest.approx(bits["value"] * 65536)
    assert bits["demand_bits"] == DEMAND[8] and bits["kind"] == "measured" and bits["rate"] == 0.01


def test_a_published_point_keeps_its_error_trust_and_flag(both: pa.Table):
    (row,) = metric(both, "bit efficiency", kind="published")
    assert (row["state_bits"], row["source"], row["trust"], row["flag"]) == (3200, *map(POINT.get, _WORDS))

    def mean_limit(state: float) -> float:
        return float(np.mean([accuracy_limit(state, pairs, 32, DEMAND[pairs]) for pairs in (4, 8)]))

    assert mean_limit(row["recalled_bits"]) == pytest.approx(0.5, abs=1e-12)
    assert mean_limit(row["low"] * 3200 * 1.02) == pytest.approx(0.49, abs=1e-12)
    assert mean_limit(row["high"] * 3200 * 0.98) == pytest.approx(0.51, abs=1e-12)


_WORDS = ("source", "trust", "flag")


def test_the_limit_is_drawn_from_the_smallest_state_to_the_largest(both: pa.Table):
    limit, efficiency = (metric(both, name, subject=LIMIT) for name in ("accuracy", "bit efficiency"))
    states = [row["state_bits"] for row in limit]
    assert min(states) <= min(both["state_bits"].to_pylist()) and max(states) == max(both["state_bits"].to_pylist())
    for row, other in zip(limit[::7], efficiency[::7], strict=True):
        want = np.mean([accuracy_limit(row["state_bits"], pairs, 32, DEMAND[pairs]) for pairs in (4, 8)])
        assert row["value"] == pytest.approx(float(want), rel=1e-12)
        assert other["value"] == pytest.approx(min(1, DEMAND[8] / row["state_bits"]), rel=1e-12)
    assert max(row["value"] for row in metric(both, "bit efficiency")) <= 1


def test_rules_are_the_predictions_of_the_same_memories(both: pa.Table):
    rules = metric(both, "accuracy", kind="derived")
    names = dict.fromkeys(row["rule"] for row in rules if row["rule"])
    assert list(names) == ["additive", "delta", "least squares", "window", "softmax cache", "n-gram table"]
    first = next(row for row in rules if row["rule"] == "additive")
    assert (first["key_width"], first["state_elements"], first["state_bits"]) == (16, 256, 8192)
    assert first["value"] == pytest.approx(np.mean(predicted_accuracy(Memory("additive", 16, 16, 32), [4, 8])))
    cache = next(row for row in rules if row["rule"] == "softmax cache")
    assert (cache["state_elements"], cache["state_bits"]) == (8 * 32, 8 * 32)  # 8 pairs of two times 16, of 1 bit
    table = next(row for row in rules if row["rule"] == "n-gram table")
    assert (table["places"], table["state_bits"]) == (2, 2 * 5)  # ids of 32 values
    window = [row for row in rules if row["rule"] == "window"]
    assert [row["state_bits"] for row in window] == [row["places"] * 128 * 32 for row in window]
    kept = [(min(1, row["places"] / 4) + min(1, row["places"] / 8)) / 2 for row in window]
    assert [row["value"] for row in window] == pytest.approx([share + (1 - share) / 32 for share in kept])


def test_rules_grow_until_they_recall_all_and_say_where_they_were_not_measured():
    points = rule_points([{"pairs": 64, "vocabulary": 4096}])
    for rule in ("additive", "window", "softmax cache"):
        own = [point for point in points if point["rule"] == rule]
        values = [point["value"] for point in own]
        assert values == sorted(values) and values[-1] >= 0.999 and max(values[:-1], default=0) < 0.999
    assert {bool(point["flag"]) for point in points if point["rule"] == "additive"} == {True}  # 2,048 values
    assert not any(point["flag"] for point in points if point["rule"] in ("window", "n-gram table"))
    small = rule_points([{"pairs": 8, "vocabulary": 512}])
    assert not any(point["flag"] for point in small if (point["key_width"] or 0) <= 64)
    with pytest.raises(ValueError, match="tests: of one vocabulary, got 2"):
        rule_points([{"pairs": 8, "vocabulary": 512}, {"pairs": 8, "vocabulary": 64}])


@pytest.mark.parametrize("rule", ["additive", "least squares"])
@pytest.mark.parametrize("pairs", [64, 256])
def test_rules_hold_where_only_the_figure_uses_them(rule: str, pairs: int):
    """4,096 values, more than the grid of the predictions has: within the same 0.03 of the rule itself, simulated."""
    memory = Memory(rule, 64, 64, 4096)
    assert predicted_accuracy(memory, pairs) == pytest.approx(simulated_accuracy(memory, pairs, 60).accuracy, abs=0.03)


def test_bad_tables():
    for table in (evidence([]), evidence(rows(task="SetDisjointness")), evidence([POINT])):
        with pytest.raises(ValueError, match=r"table: rows of accuracy on MQAR with state_elements, .* got none"):
            state_vs_recall(table)
    with pytest.raises(ValueError, match="bits_per_element: at least 1, got 0"):
        state_vs_recall(TABLE, bits_per_element=0)
    with pytest.raises(ValueError, match="pairs is one of 4, 8; got 5"):
        state_vs_recall(TABLE, {"pairs": 5})
    with pytest.raises(ValueError, match="table: rows of state_vs_recall, got none"):
        frontier.state_vs_recall_figure(TABLE)


def test_the_figure_has_two_panels_for_each_setting(both: pa.Table):
    single = state_vs_recall(TABLE, {"pairs": 4})
    figure: Any = frontier.state_vs_recall_figure(pa.concat_tables([both, single], promote_options="permissive"))
    assert len({trace.xaxis for trace in figure.data}) == 4
    assert [note.text for note in figure.layout.annotations] == list(
        dict.fromkeys(both["setting"].to_pylist() + single["setting"].to_pylist())
    )
    shown = [trace.name for trace in figure.data if trace.showlegend]
    assert len(shown) == len(set(shown)) and shown[0] == LIMIT
    assert {"additive", "gla", "attention, cannot bind", "Mamba &lt;1&gt;"} <= set(shown)
    assert figure.layout.xaxis.type == figure.layout.yaxis3.type == "log" and figure.layout.yaxis.type is None


def test_the_figure_draws_limits_as_lines_and_published_points_hollow(both: pa.Table):
    figure: Any = frontier.state_vs_recall_figure(both)
    traces = {(trace.name, trace.yaxis): trace for trace in figure.data}
    limit, rule = traces[LIMIT, "y"], traces["delta", "y"]
    assert limit.mode == rule.mode == "lines" and limit.line.dash == "dot"
    published, own = traces["Mamba &lt;1&gt;", "y"], traces["gla", "y"]
    assert published.marker.symbol == "square-open" and own.marker.symbol == "triangle-up"
    assert own.marker.color == look.FAMILIES["gated linear attention"].color
    assert list(published.x) == [3200] and list(published.y) == [0.5]
    assert published.error_y.array == pytest.approx((0.01,))
    assert published.hovertext[0].startswith("Mamba &lt;1&gt;<br>accuracy 0.500 [0.490, 0.510]<br>recalled ")
    assert published.hovertext[0].endswith(
        "3,200 bits, 100 elements of 32 bits<br>A &amp; B<br>digitised<br>shift left out"
    )
    assert list(own.x) == sorted(own.x)


def test_points_without_recalled_bits_are_not_on_the_logarithmic_axis(both: pa.Table):
    nothing = evidence(rows(value=0.0))
    figure: Any = frontier.state_vs_recall_figure(state_vs_recall(nothing))
    below = [trace.name for trace in figure.data if trace.yaxis == "y2"]
    assert "gla" not in below and LIMIT in below
    drawn: Any = frontier.state_vs_recall_figure(both)
    assert all(math.isfinite(math.log(y)) for trace in drawn.data if trace.yaxis == "y2" for y in trace.y)
