"""Recall against state: what is drawn is what the table says, and no trained model is above the information limit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from recallscope import frontier, look
from recallscope.bounds import accuracy_limit
from recallscope.evidence import evidence, read_evidence
from sweep_tables import DEMAND, EVIDENCE, SCORES, TABLE, named, names, rows

accuracy_against_state: Any = frontier.accuracy_against_state  # the traces of a plotly figure have no static types


def above_the_limit(table: Any) -> list[dict[str, Any]]:
    """Rows better than their state allows, beyond five standard deviations of a share of n answers."""
    found = []
    for row in table.to_pylist():
        limit = accuracy_limit(32 * row["state_elements"], row["pairs"], row["vocabulary"] // 2, row["demand_bits"])
        if row["value"] > limit + 5 * math.sqrt(limit * (1 - limit) / row["n"]):
            found.append(row)
    return found


def test_no_committed_model_is_above_the_limit():
    table = read_evidence(EVIDENCE / "recall_vs_state.jsonl")
    assert table.num_rows and set(table["task"].to_pylist()) == {"MQAR"}
    assert not above_the_limit(table)
    best = max(table.to_pylist(), key=lambda row: row["value"])
    assert above_the_limit(
        evidence([best | {"state_elements": int(best["demand_bits"] // 64)}])
    )  # half of what it needs


def test_state_figure_draws_the_best_rate_with_its_seeds():
    figure = accuracy_against_state(TABLE, {"pairs": 4}, bits_per_element=16)
    line = named(figure, "gla")
    assert list(line.x) == [1024 * 2, 2048 * 2, 4096 * 2]  # bytes, in order of state, not of the table
    assert list(line.y) == pytest.approx([0.25, 0.5, 0.7])
    assert [y + up for y, up in zip(line.y, line.error_y.array, strict=True)] == pytest.approx([0.3, 0.6, 0.9])
    assert [y - down for y, down in zip(line.y, line.error_y.arrayminus, strict=True)] == pytest.approx([0.2, 0.4, 0.5])
    assert line.hovertext[2] == (
        "gla:heads=1,chunk=8<br>accuracy 0.700 [0.500, 0.900]<br>rate 0.01, seeds 0, 1<br>state 4,096 elements"
    )
    assert "rate 0.001" in line.hovertext[0]


def test_whiskers_are_the_worst_and_the_best_seed_of_the_chosen_rate():
    subject = "attention:heads=1"
    table = evidence(rows([subject], {subject: {0.001: (0.1, 0.1, 0.1), 0.01: (0.2, 0.9, 0.7)}}))
    line = named(accuracy_against_state(table, {"pairs": 4}), "attention")
    assert list(line.y) == pytest.approx([0.6])
    assert line.error_y.array == pytest.approx((0.3,)) and line.error_y.arrayminus == pytest.approx((0.4,))
    assert "rate 0.01, seeds 0, 1, 2<br>" in line.hovertext[0]


def test_state_figure_takes_mean_of_tests_and_the_state_of_the_longest():
    figure = accuracy_against_state(TABLE)
    line = named(figure, "attention")
    assert list(line.x) == [8192 * 4] and list(line.y) == pytest.approx([0.9 * 0.75])
    assert "after 64 tokens" in figure.layout.xaxis.title.text
    assert figure.layout.yaxis.title.text == "accuracy, mean of 2 tests"


def test_state_figure_keeps_models_that_cannot_bind_apart():
    figure = accuracy_against_state(TABLE, {"length": 32})
    assert names(figure) == ["gla", "attention", "attention, cannot bind", "information limit", "chance"]
    assert list(named(figure, "attention, cannot bind").y) == pytest.approx([0.05])
    assert named(figure, "attention").line.dash != named(figure, "attention, cannot bind").line.dash
    assert named(figure, "attention").text == ("attention",) and named(figure, "gla").text is None  # alone, and not


def test_state_figure_has_the_look_of_the_families():
    figure = accuracy_against_state(TABLE)
    for mixer, family in (("gla", "gated linear attention"), ("attention", "attention")):
        line, style = named(figure, mixer), look.FAMILIES[family]
        assert (line.marker.color, line.marker.symbol, line.line.color) == (style.color, style.symbol, style.color)


@pytest.mark.parametrize("test, tests", [({"pairs": 4}, [4]), ({"length": 64, "pairs": 8}, [8]), (None, [4, 8])])
def test_state_figure_has_chance_and_limit(test, tests):
    figure = accuracy_against_state(TABLE, test)
    chance, limit = named(figure, "chance"), named(figure, "information limit")
    assert list(chance.y) == pytest.approx([sum(1 / pairs for pairs in tests) / len(tests)] * 2)
    assert chance.line.dash == "dash" and limit.line.dash == "dot" and chance.mode == limit.mode == "lines"
    perfect = np.asarray(limit.x) >= max(DEMAND[pairs] for pairs in tests) / 8
    assert (
        perfect[-2:].all() and (np.asarray(limit.y)[perfect] == 1).all() and (np.asarray(limit.y)[~perfect] < 1).all()
    )
    assert limit.x[-1] == max(x for trace in figure.data[:3] for x in trace.x)
    at = 40
    want = [accuracy_limit(8 * limit.x[at], pairs, 32, DEMAND[pairs]) for pairs in tests]
    assert limit.y[at] == pytest.approx(np.mean(want))


def test_state_figure_of_another_task_draws_the_demand_alone():
    figure = accuracy_against_state(evidence(rows(task="SetDisjointness")), {"pairs": 8})
    limit = named(figure, "information limit")
    assert list(limit.x) == [DEMAND[8] / 8] * 2 and list(limit.y) == [0, 1]


def test_state_axis_counts_in_powers_of_two():
    axis = accuracy_against_state(TABLE, {"pairs": 4}).layout.xaxis
    assert (
        axis.type == "log" and axis.title.text == "state of one sequence after 32 tokens, bytes (32 bits per element)"
    )
    shown = dict(zip(axis.tickvals, axis.ticktext, strict=True))
    assert shown[512.0] == "512 B" and shown[2048.0] == "2 KiB"
    small = accuracy_against_state(TABLE, {"pairs": 4}, bits_per_element=0.01).layout.xaxis
    assert "1/4 B" in small.ticktext


def test_published_points_are_hollow_and_as_they_are():
    row = {"subject": "Mamba <1B>", "metric": "accuracy", "value": 0.5, "unit": "1", "kind": "published"}
    row |= {"source": "A & B, Table 1", "pairs": 4, "state_elements": 512}
    unknown = {**row, "subject": "GLA", "state_elements": None}
    figure = accuracy_against_state(evidence([*rows(), row, unknown]), {"pairs": 4})
    point = named(figure, "Mamba &lt;1B&gt;, published")
    assert list(point.x) == [2048] and list(point.y) == [0.5] and point.error_y.array == (None,)
    assert point.marker.symbol == "square-open" and point.marker.color == look.FAMILIES["state space"].color
    assert point.hovertext == ("Mamba &lt;1B&gt;<br>accuracy 0.500<br>A &amp; B, Table 1<br>state 512 elements",)
    assert not any("GLA" in name for name in names(figure))  # a state that is not known has no place
    assert names(accuracy_against_state(evidence([row]))) == ["Mamba &lt;1B&gt;, published"]


def test_one_sweep_of_several():
    figure = accuracy_against_state(evidence(rows() + rows(sweep="other", value=0.0)), {"sweep": "other"})
    assert list(named(figure, "gla").y) == [0, 0, 0]


def test_names_that_look_like_markup_are_shown():
    evil = "gla:heads=<b>1</b>,chunk=8"
    table = evidence(rows([evil, "gla:heads=1,chunk=8"], SCORES | {evil: SCORES["gla:heads=4,chunk=8"]}))
    text = accuracy_against_state(table).to_json()
    assert "<b>" not in text and "\\u003cb\\u003e" not in text and "&lt;b&gt;1" in text


def test_bad_tables():
    with pytest.raises(ValueError, match="table: expected rows of the metric 'accuracy'; got state_bytes"):
        accuracy_against_state(evidence(rows(metric="state_bytes")))
    with pytest.raises(ValueError, match="got no rows"):
        accuracy_against_state(evidence([]))
    with pytest.raises(ValueError, match="several sweeps; choose with 'sweep' one of hand, other"):
        accuracy_against_state(evidence(rows() + rows(sweep="other")))


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"test: columns are subject, .*; got 'paris'"):
        accuracy_against_state(TABLE, {"paris": 4})
    with pytest.raises(ValueError, match="bits_per_element: above 0, got 0"):
        accuracy_against_state(TABLE, bits_per_element=0)
