"""Figures and the rows that they draw; the statements about Chinchilla's refit and Kausik's exponent."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from recallscope.evidence import evidence, read_evidence, write_evidence
from recallscope.plots import constants_of_laws, efficient_exponent_against_beta, residuals_of_fit
from recallscope.reproduction import statements_of, verdict
from recallscope.scaling import fit_loss_law, fit_rows, published_law
from recallscope.scaling.published import LAWS, published_intervals
from recallscope.scaling.tables import RATIO, law_rows, published_rows, residual_rows
from scaling.synthetic import scattered

SCRIPTS = Path(__file__).parents[2] / "paper_figures"


def traces(figure: Any) -> list[Any]:
    return list(figure.data)


@pytest.fixture(scope="module")
def fit():
    sizes, losses = scattered(published_law("besiroglu"), 40, 0.003)
    return fit_loss_law(sizes, losses, starts=40, bootstrap=20)


def test_constants_of_published_and_own_laws_are_drawn(fit):
    rows = published_rows([1e20, 1e24]) + law_rows(fit.law, fit.rows, "ours", [1e20, 1e24])
    figure = constants_of_laws(evidence(rows))
    markers = [trace for trace in traces(figure) if trace.mode == "markers"]
    assert len(markers) == 5 * 4
    beta = {trace.name: trace for trace in markers[-4:]}
    assert beta["Besiroglu et al., refit"].y[0] == 0.3658
    assert beta["Besiroglu et al., refit"].error_y.array[0] == pytest.approx(0.415 - 0.3658)
    assert beta["Hoffmann et al., as printed"].marker.symbol == "circle-open"
    assert not beta["ours"].marker.symbol.endswith("open")
    bands = [trace for trace in traces(figure) if trace.fill == "toself"]
    assert len(bands) == 1 and len(bands[0].x) == 4  # the own law alone has bootstrap rows
    lines = [trace for trace in traces(figure) if trace.mode == "lines" and trace.fill is None]
    assert {trace.name for trace in lines} == {*LAWS.values(), "ours"}


def test_rows_hold_the_printed_intervals_and_optima():
    rows = published_rows([5.76e23])
    ratio = {row["subject"]: row["value"] for row in rows if row["metric"] == RATIO}
    assert [round(ratio[title], 1) for title in LAWS.values()] == [92.6, 58.9, 18.4]
    assert published_intervals("besiroglu")["A"] == (285.214, 743.626)
    assert published_intervals("hoffmann") == {}


def test_residuals_are_drawn_against_tokens_per_parameter(fit):
    (trace,) = traces(residuals_of_fit(evidence(residual_rows(fit, "ours"))))
    assert trace.x[0] == pytest.approx(fit.sizes[1, 0] / fit.sizes[0, 0])
    expected = fit.losses[0] / float(fit.law.loss(*fit.sizes[:, 0]))
    assert trace.y[0] == pytest.approx(expected - 1, abs=1e-4)  # ln x near x - 1


@pytest.mark.parametrize("plot", [constants_of_laws, efficient_exponent_against_beta, residuals_of_fit])
def test_tables_without_the_rows_are_refused(plot):
    row = {"subject": "s", "metric": "other", "value": 1.0, "unit": "1", "kind": "derived"}
    with pytest.raises(ValueError, match="table: rows of"):
        plot(evidence([row]))


def test_the_refit_script_draws_its_table_with_a_fit_of_ones_own(fit, tmp_path):
    script = runpy.run_path(str(SCRIPTS / "chinchilla_refit.py"))
    table = script["table"]()
    rows = statements_of(table.to_pylist())
    assert [row["holds"] for row in rows] == [False, False, True, True, True, True, True]
    assert verdict(rows) == "partly: 5 of 7 statements hold"
    assert rows[3]["value"] == 3  # E, B and β of 1.69, 410.7, 0.28 against 1.769 to 1.871, 1042 to 5810, 0.331 to 0.415
    write_evidence(fit_rows(fit, "ours", resamples=True), tmp_path / "fit.jsonl")
    own = script["table"](str(tmp_path / "fit.jsonl"))
    assert set(own["subject"].to_pylist()) - set(table["subject"].to_pylist()) == {"fit to 40 runs"}
    assert "fit to 40 runs" in {trace.name for trace in script["figure"](own).data}


def test_the_stored_early_stop_is_what_the_code_gives():
    from recallscope.reproduction.chinchilla import END, SCALES, early_stop_rows, synthetic_runs

    stored = [r for r in read_evidence(SCRIPTS / "evidence" / "loss_law.jsonl").to_pylist() if r["metric"] == END]
    again = early_stop_rows(*synthetic_runs(0))
    assert [(r["subject"], r["start"]) for r in stored] == [(r["subject"], r["start"]) for r in again]
    mean, whole, scaled = ([r["value"] for r in again if r["subject"] == name] for name in SCALES)
    before, _, after = ([r["value"] for r in stored if r["subject"] == name] for name in SCALES)
    assert mean == pytest.approx(before, rel=1e-3) and scaled == pytest.approx(after, rel=1e-3)
    # where the sum stops hangs on the last bits of a processor's exponentials: for a = b = 5, 1.000 and 1.143 were seen
    assert all(1 <= one <= 1.001 * other for one, other in zip(whole, mean, strict=True))


def test_the_exponent_script_draws_both_ends_at_every_beta():
    script = runpy.run_path(str(SCRIPTS / "gamma_against_beta.py"))
    table = script["table"]()
    assert [row["holds"] for row in statements_of(table.to_pylist())] == [True, False, False, True, True]
    figure = script["figure"](table)
    refit = next(trace for trace in figure.data if trace.name == "Besiroglu et al., refit")
    assert list(refit.y) == pytest.approx([1 - 2 * 0.3658, 1 - 0.3658])
    assert list(refit.error_x.array) == pytest.approx([0.415 - 0.3658] * 2)
    assert [tuple(shape["y0"] for shape in figure.layout.shapes)] == [(0.44,)]
