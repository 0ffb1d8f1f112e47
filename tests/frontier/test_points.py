"""Rows to points: what is joined, what is refused; and readings along the frontier by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from recallscope.bounds import accuracy_limit, recalled_bits
from recallscope.evidence import evidence
from recallscope.frontier import cost_at, frontier_figure, frontiers, price_of_step, quality_at, to_limit, volume
from recallscope.published import published_table
from sweep_tables import TABLE


def row(subject: str, metric: str, value: Any, unit: str = "1", **more: Any) -> dict[str, Any]:
    return {"subject": subject, "metric": metric, "value": value, "unit": unit, "kind": "measured"} | more


def rows(*triples: tuple[str, float, float], **more: Any) -> list[dict[str, Any]]:
    return [row(name, "accuracy", quality, parameters=cost, **more) for name, cost, quality in triples]


THREE = rows(("a", 100, 0.2), ("b", 1000, 0.6), ("c", 10_000, 0.7), ("d", 2000, 0.5))


def one(table: list[dict[str, Any]], quality: str = "accuracy", cost: str = "parameters", **ways: Any):
    (found,) = frontiers(evidence(table), quality, cost, **ways)
    return found


def test_readings_are_straight_lines_over_log_cost():
    found = one(THREE)
    assert [point.subject for point in found.points] == ["a", "b", "d", "c"]
    assert [point.subject for point in found.best] == ["a", "b", "c"]
    assert [point.verdict for point in found.points] == [*["on the frontier"] * 2, "dominated", "on the frontier"]
    middle = math.sqrt(100 * 1000)
    assert quality_at(found, middle) == pytest.approx((0.4,) * 3)
    assert quality_at(found, 99) == (None, None, None) and quality_at(found, 1e9) == (0.7, 0.7, 0.7)
    assert cost_at(found, 0.4) == pytest.approx((middle,) * 3)
    assert cost_at(found, 0.1) == pytest.approx((100,) * 3) and cost_at(found, 0.71) == (None, None, None)
    assert price_of_step(found)[:2] == [pytest.approx((10 ** (0.01 / rise),) * 3) for rise in (0.4, 0.1)]
    assert price_of_step(found)[2] == (None, None, None)
    assert volume(found) == pytest.approx((0.2 + 0.6,) * 3)  # two decades, reference (10,000, 0)
    assert volume(found, (20_000, 0.1), log_cost=False)[0] == pytest.approx(900 * 0.1 + 9000 * 0.5 + 10_000 * 0.6)


def test_directions_turn_every_reading():
    turned = [row(r["subject"], "loss", 1 - r["value"], speed=1 / r["parameters"]) for r in THREE]
    found = one(turned, "loss", "speed", cost_better="higher")
    assert {point.subject for point in found.best} == {"a", "b", "c"}
    assert quality_at(found, 1 / math.sqrt(1e5))[0] == pytest.approx(0.6)
    assert cost_at(found, 0.6)[0] == pytest.approx(1 / math.sqrt(1e5))
    prices = price_of_step(found)  # slowest first: from a worse loss to none better
    assert [point.subject for point in found.best] == ["a", "b", "c"] and prices[0][0] == pytest.approx(
        10 ** -(0.01 / 0.4)
    )
    assert volume(found)[0] == pytest.approx(0.4)  # from b to the speed of c, up to the loss of a


def test_intervals_enclose_every_reading():
    rng = np.random.default_rng(0)
    table = rows(*[(str(k), 10.0 ** (k + 1), 0.2 + 0.15 * k) for k in range(5)])
    table = [r | {"low": r["value"] - 0.1, "high": r["value"] + 0.05} for r in table]
    found, asked = one(table), (30.0, 1000.0, 5e4)
    said = [quality_at(found, cost) for cost in asked]
    for _ in range(200):
        drawn = [r | {"value": rng.uniform(r["low"], r["high"]), "low": None, "high": None} for r in table]
        heights = np.maximum.accumulate([r["value"] for r in drawn])
        for cost, (_, low, high) in zip(asked, said, strict=True):
            value = np.interp(math.log10(cost), [1, 2, 3, 4, 5], heights)
            assert low is not None and high is not None and low - 1e-12 <= value <= high + 1e-12
        size = volume(one(drawn), (1e5, 0))[0]
        _, low, high = volume(found, (1e5, 0))
        assert size is not None and low is not None and high is not None and low <= size <= high
    price = price_of_step(found)[0]
    assert price[0] == pytest.approx(10 ** (0.01 / 0.15)) and price[2] is None  # the two are not told apart
    assert price[1] == pytest.approx(10 ** (0.01 / 0.3))


def test_a_digitised_state_has_an_interval_too():
    table = [
        row("a", "accuracy", 0.5, state_bytes=100.0, state_error=0.1),
        row("b", "accuracy", 0.5, state_bytes=105.0),
    ]
    points = one(table, cost="state_bytes").points
    assert (points[0].cost.low, points[0].cost.high) == pytest.approx((90, 110))
    assert [p.verdict for p in points] == ["undecided", "undecided"] and [p.best for p in points] == [True, False]


def test_costs_are_joined_by_subject_and_setting():
    table = [
        row("a", "perplexity", 8.0, scale="1B", slice="all"), row("a", "perplexity", 9.0, scale="2B", slice="all"),
        row("a", "latency", 3.0, "ms", scale="1B", batch=1), row("a", "latency", 5.0, "ms", scale="2B", batch=1),
        row("b", "perplexity", 7.0, scale="1B", slice="all"),
    ]  # fmt: skip
    found = one(table, "perplexity", "latency")
    assert [(p.cost.value, p.quality.value) for p in found.points] == [(3.0, 8.0), (5.0, 9.0)]
    assert found.unknown == 1 and found.cost.setting == "batch 1" and found.quality.setting == "slice all"
    printed = [r | {"kind": "published", "table": r["metric"]} for r in table]
    with pytest.raises(ValueError, match="cost: no row of 'latency' has the subject and setting of a row of 'perplex"):
        frontiers(evidence(printed), "perplexity", "latency")  # two tables are two experiments
    with pytest.raises(ValueError, match=r"several, to choose from as :column=value: batch 1; batch 2"):
        frontiers(evidence([*table, row("a", "latency", 4.0, "ms", scale="1B", batch=2)]), "perplexity", "latency")
    assert (
        len(one([*table, row("a", "latency", 4.0, "ms", scale="1B", batch=2)], "perplexity", "latency:batch=1").points)
        == 2
    )


def test_tests_are_never_compared_and_seeds_become_one_point():
    table = [*rows(("a", 10, 0.5), task="x"), *rows(("a", 10, 0.9), task="y"), *rows(("b", 20, 0.6), task="x")]
    assert [(f.quality.setting, len(f.points)) for f in frontiers(evidence(table), cost="parameters")] == [
        ("x", 2), ("y", 1),
    ]  # fmt: skip
    seeds = [r | {"seed": s, "value": 0.1 * s} for s in (1, 2, 6) for r in rows(("a", 10, 0))]
    (point,) = one(seeds).points
    assert (point.quality.value, point.quality.low, point.quality.high) == pytest.approx((0.3, 0.1, 0.6))


def test_sweeps_are_their_best_rates_and_have_a_limit():
    found = {f.quality.setting: f for f in frontiers(TABLE, "accuracy", "state_bytes")}
    assert next(iter(found)) == "MQAR, vocabulary 64, mean of 2 tests of 4 to 8 pairs"  # the most tests first
    single = found["MQAR, vocabulary 64, 8 pairs in 64 tokens"]
    point = next(p for p in single.points if p.subject == "gla:heads=1,chunk=8")
    assert (point.quality.value, point.quality.low, point.quality.high) == pytest.approx((0.35, 0.25, 0.45))
    assert point.cost.value == 4 * 4096
    ((gap, factor),) = [x for x in to_limit(single, [point]) if x]
    assert gap == pytest.approx(float(accuracy_limit(4096 * 32, 8, 32)) - 0.35)
    spare = 8 * 5 - math.log2(math.perm(32, 8))
    assert factor == pytest.approx(4096 * 32 / (float(recalled_bits(0.35, 8, 32)) - spare))
    assert to_limit(one(THREE)) == [None] * 3


def test_duplicates_and_missing_numbers():
    twice = one([*THREE, *THREE])
    assert len(twice.points) == 4  # the same row said again
    both = one([*THREE, *rows(("a", 100, 0.3))])
    assert len(both.points) == 5  # another number is another model
    holes = [*THREE, *rows(("e", 5, float("nan")), ("f", 6, None), ("g", float("nan"), 0.9))]  # type: ignore[arg-type]
    assert [p.subject for p in one(holes).points] == ["a", "b", "d", "c"] and one(holes).unknown == 1
    assert one(rows(("a", 1, 0.5))).points[0].verdict == "on the frontier"


def test_published_tables_have_frontiers():
    table = published_table("based_table1")
    found = one(table.to_pylist(), "perplexity:slice=AR", "throughput:phase=generation")
    assert {p.kind for p in found.points} == {"published"} and len(found.points) == 12 and found.cost.better == "higher"
    best = max(found.points, key=lambda p: p.cost.value)
    assert (best.subject, best.cost.value, best.cost.low) == ("Based", 47.23, pytest.approx(47.225))
    assert "Table 1" in str(best.cost.source)


def test_the_figure_draws_every_point_and_escapes_names():
    table = [*rows(("<b>&", 10, 0.5)), *rows(("mamba", 20, 0.6), kind="published")]
    figure: Any = frontier_figure(one(table))
    assert [trace.name for trace in figure.data] == ["frontier", "other", "state space, published"]
    assert figure.data[1].hovertext[0].startswith("&lt;b&gt;&amp;<br>accuracy 0.5")
    assert figure.data[2].marker.symbol.endswith("-open") and not figure.data[1].marker.symbol.endswith("-open")
    assert figure.layout.xaxis.type == "log"


@pytest.mark.parametrize(
    ("table", "arguments", "message"),
    [
        (THREE, ("speed", "parameters"), "quality: one of accuracy; got 'speed'"),
        (
            THREE,
            ("accuracy", "speed"),
            r"cost: a metric or column that rows of 'accuracy' have, such as parameters; got",
        ),
        (THREE, ("accuracy:", "parameters"), "quality: METRIC or METRIC:column=value"),
        (THREE, ("accuracy:nope=1", "parameters"), "where: a column, one of"),
        (THREE, ("accuracy:parameters=7", "parameters"), "quality: no row of 'accuracy' with a number matches"),
        ([row("a", "taste", 1.0, parameters=3)], ("taste", "parameters"), "whether more or less of 'taste' is better"),
        ([row("a", "accuracy", 1.0, spoons=3)], ("accuracy", "spoons"), "more or less of 'spoons' is better"),
        (THREE, ("accuracy", "parameters", "up"), "quality better: higher or lower, got 'up'"),
        (
            [*THREE, row("z", "accuracy", 50.0, "%")],
            ("accuracy", "parameters"),
            "quality: one unit on an axis, got 1, %",
        ),
        (rows(("a", 0, 0.5)), ("accuracy", "parameters"), "cost: above 0, got 0 for 'a'"),
        ([row("a", "accuracy", 0.5), row("b", "latency", 1.0, "ms")], ("accuracy", "latency"), "no row of 'latency'"),
        (
            [row("a", "accuracy", 0.5), row("a", "latency", 1.0, "ms"), row("a", "latency", 2.0, "ms")],
            ("accuracy", "latency"),
            r"one value of latency \(ms\) for each model, got 1 and 2 for 'a'",
        ),
        ([], ("accuracy", "parameters"), "quality: one of no metric, the table is empty"),
    ],
)
def test_bad_input(table, arguments, message):
    with pytest.raises(ValueError, match=message):
        frontiers(evidence(table), *arguments)
    found = one(THREE)
    for call in (lambda: quality_at(found, 0), lambda: price_of_step(found, 0), lambda: volume(found, (0, 0))):
        with pytest.raises(ValueError, match="a finite number above 0, got 0"):
            call()
