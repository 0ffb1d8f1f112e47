"""Figures of sweeps: what is drawn is what the table says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from recallscope import look
from recallscope.evidence import evidence, read_evidence
from recallscope.training.sweeps import plots as _plots
from sweep_tables import CURVES, EVIDENCE, SCORES, TABLE, named, names, rows

plots: Any = _plots  # the traces of a plotly figure have no static types


def test_the_committed_curves_end_where_the_committed_rows_say():
    table = read_evidence(EVIDENCE / "recall_vs_state.jsonl")
    curves = plots.read_curves(EVIDENCE / "recall_vs_state_curves.jsonl")
    ends = {(row["subject"], row["rate"], row["seed"]): row["validation"] for row in table.to_pylist()}
    assert {(row["subject"], row["rate"], row["seed"]): row["curve"][-1][2] for row in curves} == ends


# ---- width, pairs, length


def test_width_figure_joins_what_differs_in_width_alone():
    figure = plots.accuracy_against_width(TABLE, {"pairs": 4})
    line = named(figure, "gla:heads=1")
    assert list(line.x) == [32, 64] and list(line.y) == pytest.approx([0.5, 0.7])
    assert list(named(figure, "gla:heads=4").x) == [64]
    assert {"attention", "attention:layers=1", "chance"} <= set(names(figure))
    assert list(figure.layout.xaxis.tickvals) == [32, 64]
    assert figure.layout.xaxis.title.text == "model width, channels"
    assert figure.layout.yaxis.title.text == "accuracy, MQAR of 32 tokens, 4 pairs"


def test_pairs_figure():
    figure = plots.accuracy_against_pairs(TABLE, ["attention:heads=1", "gla:heads=4,chunk=8"])
    assert names(figure) == ["attention", "gla", "chance"]
    assert list(named(figure, "attention").x) == [4, 8] and list(named(figure, "attention").y) == pytest.approx(
        [0.9, 0.45]
    )
    assert named(figure, "attention").error_y.array == pytest.approx((0.1, 0.05))
    assert list(named(figure, "chance").x) == [4, 8] and list(named(figure, "chance").y) == [0.25, 0.125]
    assert figure.layout.xaxis.title.text == "pairs in the context"


def test_length_figure_averages_tests_of_one_length():
    more = [row | {"pairs": 2, "value": 0.0, "chance": 0.5} for row in rows() if row["pairs"] == 4]
    figure = plots.accuracy_against_pairs(evidence(rows() + more), ["attention:heads=1"], x="length")
    assert list(named(figure, "attention").x) == [32, 64]
    assert list(named(figure, "attention").y) == pytest.approx([0.45, 0.45])
    assert list(named(figure, "chance").y) == pytest.approx([0.375, 0.125])
    assert figure.layout.xaxis.title.text == "length of the test, tokens"


# ---- rates, seeds, curves


def test_rate_figure_has_every_rate_and_a_band_over_seeds():
    figure = plots.accuracy_against_rate(TABLE, ["gla:heads=1,chunk=8"], {"pairs": 4})
    band, line, chance = figure.data
    assert list(line.x) == [0.001, 0.01] and list(line.y) == pytest.approx([0.3, 0.7])
    assert list(zip(band.x, band.y, strict=True)) == [(0.001, 0.2), (0.01, 0.5), (0.01, 0.9), (0.001, 0.4)]
    assert band.fill == "toself" and band.legendgroup == line.legendgroup
    assert line.marker.size[1] > line.marker.size[0]  # the rate that validation chose
    assert list(chance.x) == [0.001, 0.01] and list(chance.y) == [0.25, 0.25]
    assert figure.layout.xaxis.type == "log" and figure.layout.xaxis.title.text == "peak learning rate"


def test_seed_spread_ranks_subjects_and_keeps_the_other_rates_pale():
    figure = plots.seed_spread(TABLE, {"pairs": 4})
    order = ["attention:layers=1", "gla:heads=4", "gla:width=32,heads=1", "gla:heads=1", "attention"]
    pale, full = figure.data
    assert list(figure.layout.yaxis.categoryarray) == order == list(full.y)
    assert list(full.x) == pytest.approx([0.05, 0.25, 0.5, 0.7, 0.9])
    assert sorted(pale.y) == sorted(order)
    place = list(pale.y).index("gla:heads=1")
    assert pale.x[place] == pytest.approx(0.3) and pale.error_x.arrayminus[place] == pytest.approx(0.1)
    assert pale.error_x.array[place] == pytest.approx(0.1)
    assert "rate 0.001" in pale.hovertext[place]
    assert full.marker.color[0].endswith(",1)") and pale.marker.color[0].endswith(",0.3)")
    assert figure.layout.shapes[0].x0 == 0.25 and figure.layout.annotations[0].text == "chance"


def test_curves_of_seeds_and_their_mean():
    figure = plots.training_curves(TABLE, CURVES, "attention:heads=1")
    best = "rate 0.001, best on validation"
    thin = [trace for trace in figure.data if trace.legendgroup == best and trace.showlegend is False]
    assert [(tuple(trace.x), tuple(trace.y)) for trace in thin] == [
        ((10, 20, 30), (0.2, 0.4, 0.6)),
        ((10, 20), (0.4, 1.0)),
    ]
    mean = named(figure, best)
    assert list(mean.x) == [10, 20, 30] and list(mean.y) == pytest.approx([0.3, 0.7, 0.8])  # seed 1 had arrived
    assert mean.line.width > thin[0].line.width
    assert list(named(figure, "rate 0.01").y) == [0, 0, 0]  # diverged
    assert list(named(figure, "chance").y) == pytest.approx([0.1875] * 2)
    assert figure.layout.xaxis.title.text == "optimiser steps"
    assert figure.layout.yaxis.title.text == "validation accuracy, mean of 2 tests"


def test_curves_are_read_from_files(tmp_path):
    file = tmp_path / "a.curves.json"
    file.write_text("".join(json.dumps(row) + "\n" for row in CURVES))
    assert [row["seed"] for row in plots.read_curves(file)] == [0, 1, 0, 0]
    file.write_text(file.read_text() + '{"subject": "x"}\n')
    with pytest.raises(ValueError, match=r"a.curves.json, line 5 is not a learning curve \('rate'\)"):
        plots.read_curves(file)


# ---- names, and bad input


FIGURES = [
    plots.accuracy_against_width,
    plots.accuracy_against_pairs,
    plots.accuracy_against_rate,
    plots.seed_spread,
    lambda table: plots.training_curves(table, CURVES, "attention:heads=1"),
]


def test_names_that_look_like_markup_are_shown():
    evil = "gla:heads=<b>1</b>,chunk=8"
    made = rows([evil, "gla:heads=1,chunk=8"], SCORES | {evil: SCORES["gla:heads=4,chunk=8"]})
    table = evidence(made)
    for draw in (plots.accuracy_against_width, plots.accuracy_against_pairs, plots.accuracy_against_rate):
        assert "gla:heads=&lt;b&gt;1&lt;/b&gt;" in names(draw(table))
    assert "gla:heads=&lt;b&gt;1&lt;/b&gt;" in plots.seed_spread(table).layout.yaxis.categoryarray
    curves = [CURVES[-1] | {"subject": evil}]
    text = plots.training_curves(table, curves, evil).to_json()
    assert "<b>" not in text and "\\u003cb\\u003e" not in text and "&lt;b&gt;1" in text


def test_short_names_stay_apart():
    one, two = "gla:heads=1,chunk=8", "gla:chunk=8,heads=1"  # the same options in another order
    table = evidence(rows([one, two], {one: SCORES[one], two: SCORES[one]}))
    assert names(plots.accuracy_against_pairs(table))[:2] == [one, two]


@pytest.mark.parametrize("draw", FIGURES)
def test_tables_without_accuracy(draw):
    with pytest.raises(ValueError, match="table: expected rows of the metric 'accuracy'; got state_bytes"):
        draw(evidence(rows(metric="state_bytes")))
    with pytest.raises(ValueError, match="got no rows"):
        draw(evidence([]))


@pytest.mark.parametrize("draw", FIGURES)
def test_tables_of_two_sweeps(draw):
    with pytest.raises(ValueError, match="several sweeps; choose with 'sweep' one of hand, other"):
        draw(evidence(rows() + rows(sweep="other")))


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"test: columns are subject, .*; got 'paris'"):
        plots.accuracy_against_width(TABLE, {"paris": 4})
    with pytest.raises(ValueError, match="test: pairs is one of 4, 8; got 5"):
        plots.seed_spread(TABLE, {"pairs": 5})
    with pytest.raises(ValueError, match="test: pairs is one of 8; got 4"):
        plots.accuracy_against_width(TABLE, {"length": 64, "pairs": 4})
    with pytest.raises(ValueError, match=r"subjects: expected some of gla:heads=1,chunk=8, .*; got 'gpt'"):
        plots.accuracy_against_rate(TABLE, ["gpt"])
    with pytest.raises(ValueError, match=r"subjects: expected some of .*; got 'gpt'"):
        plots.accuracy_against_pairs(TABLE, ["gpt"])
    for wrong in ("mixer", "colour"):
        with pytest.raises(ValueError, match=f"x: expected one of .*length, pairs.*; got '{wrong}'"):
            plots.accuracy_against_pairs(TABLE, x=wrong)
    with pytest.raises(ValueError, match="subject: curves of attention:heads=1, gla:heads=1,chunk=8; got 'gpt'"):
        plots.training_curves(TABLE, CURVES, "gpt")


def test_dark():
    figure = look.themed(plots.seed_spread(TABLE), dark=True)
    assert figure.layout.template.layout.paper_bgcolor == look.BACKGROUND["dark"]
