"""Statements about the recurrent transformer by hand, its committed evidence, and what is drawn of it."""

from __future__ import annotations

import json
import math
import runpy
from pathlib import Path
from typing import Any

import pytest
from recallscope.evidence import evidence, read_evidence
from recallscope.reproduction.plots.recurrent_transformer import copy_and_text_curves
from recallscope.reproduction.recurrent_transformer import recurrent_transformer_statements
from recallscope.training.recurrent.rows import curve_rows
from recallscope.training.recurrent.runs import reduced_runs

FIGURES = Path(__file__).parents[3] / "paper_figures"
ROWS = read_evidence(FIGURES / "evidence/recurrent_transformer.jsonl").to_pylist()
CURVES = FIGURES / "evidence/recurrent_transformer_curves.jsonl"
PRINTED = [row for row in ROWS if row["kind"] == "published"]
UNIT = "recurrent, forget, w = 1"


def measured(subject: str, task: str, metric: str, *values: float) -> list[dict[str, Any]]:
    row = {"subject": subject, "task": task, "metric": metric, "kind": "measured", "noise": 512}
    return [row | {"seed": seed, "value": value, "finished": value > 0.99} for seed, value in enumerate(values)]


def test_statements_by_hand():
    own = [
        *measured("recurrent, accumulate", "copy", "accuracy", 1.0, 1.0),
        *measured("recurrent, accumulate", "selective copy", "accuracy", 0.995, 0.985),
        *measured(UNIT, "text", "loss", 2.0, 2.25),
        *measured("regular, 1 layer", "text", "loss", 2.25, 2.5, 9.0),
        *measured("regular, 6 layers", "text", "loss", 2.25, 2.0),
    ]
    copy, selective, one, six, parameters, flops, training = recurrent_transformer_statements(own + PRINTED)
    assert (copy["value"], copy["holds"], copy["n"], copy["published"]) == (100, True, 2, 100)
    assert (selective["value"], selective["low"], selective["high"]) == pytest.approx((99, 98.5, 99.5))
    assert not selective["holds"] and selective["published"] == 99.6
    assert selective["subject"].endswith("noise 512 (4,096 in print), 1 of 2 trainings interrupted")
    assert copy["subject"] == "accuracy of copy, noise 512 (4,096 in print)"
    assert (one["value"], one["holds"], one["n"]) == (-0.25, True, 2)
    assert one["published"] == pytest.approx(1.4738 - 1.5697)
    assert (six["value"], six["low"], six["high"], six["holds"]) == (0, -0.25, 0.25, False)
    assert (parameters["value"], parameters["n"], parameters["holds"]) == (50, 8, False)  # four are cut off
    assert (flops["value"], flops["n"], flops["holds"]) == (100, 8, True)
    assert (training["value"], training["n"], training["holds"]) == (0, 2, False)


def test_what_was_not_trained_is_not_stated():
    assert len(recurrent_transformer_statements(PRINTED)) == 3


def test_curves_are_rows(tmp_path: Path):
    line = {"subject": "a", "task": "copy", "seed": 1, "batch": 4, "curve": [[50, 2.5, 2.0, 0.25, 1e-3, 64, 1.5]]}
    (tmp_path / "curves.jsonl").write_text(json.dumps(line) + "\n")
    loss, accuracy = curve_rows(tmp_path / "curves.jsonl")
    assert (loss["metric"], loss["value"], loss["unit"]) == ("validation loss", 2.0, "nats")
    assert (accuracy["metric"], accuracy["value"], accuracy["trained_on"]) == ("validation accuracy", 0.25, 200)
    assert (accuracy["length"], accuracy["seed"], accuracy["source"]) == (64, 1, "curves.jsonl")


def test_the_committed_rows_are_those_of_the_runs():
    """Shapes and costs of today's code; every run that has a test score has its curve, which ends where it ends."""
    runs = {(run.subject, run.task, run.settings.seed): run for run in reduced_runs()}
    lines = [json.loads(line) for line in CURVES.read_text().splitlines()]
    curves = {(line["subject"], line["task"], line["seed"]): line["curve"] for line in lines}
    own = [row for row in ROWS if row["kind"] == "measured" and row["metric"] == "accuracy"]
    assert own and {(row["subject"], row["task"], row["seed"]) for row in own} == set(curves)
    for row in own:
        run = runs[row["subject"], row["task"], row["seed"]]
        assert (row["batch"], row["rate"]) == (run.settings.batch, run.plan.rate)
        assert 0 <= row["value"] <= 1 and row["commit"] and row["source"].startswith("python paper_figures/")
        last = curves[row["subject"], row["task"], row["seed"]][-1]
        assert last[0] == row["steps_taken"]
        assert not row["finished"] or math.isclose(last[3], row["value"], abs_tol=0.05)


def test_the_figure_has_every_run(tmp_path: Path):
    script = runpy.run_path(str(FIGURES / "copy_curves.py"))
    table = script["table"]()
    figure = copy_and_text_curves(table)
    copying = {(row["task"], row["seed"]) for row in curve_rows(CURVES) if row["task"] != "text"}
    text = {(row["subject"], row["seed"]) for row in curve_rows(CURVES) if row["task"] == "text"}
    traces: Any = figure.data
    assert len(traces) == 2 * len(copying) + len(text)
    named = {task for task, _ in copying} | {name for name, _ in text}
    assert sum(trace.showlegend for trace in traces) == len(named)
    with pytest.raises(ValueError, match="table: rows of the metric 'validation accuracy'"):
        copy_and_text_curves(evidence(PRINTED))
