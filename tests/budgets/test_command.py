"""`recallscope budget` and `train budgets`: answers, JSON, the page of regions, refusals; and the figures."""

from __future__ import annotations

import json

import pytest
from recallscope import plots
from recallscope.budgets import METHODS, Budgets, known, point_rows, region_rows
from recallscope.budgets.protocol import Protocol
from recallscope.cli import main
from recallscope.evidence import evidence, read_evidence
from recallscope.reproduction.specialised_models import specialised_models_statements


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    return stopped.value.code  # type: ignore[return-value]


def budget(capsys, *arguments: str) -> tuple[str, dict]:
    assert call("budget", *arguments, "--json") == 0
    text, _, last = capsys.readouterr().out.rstrip().rpartition("\n")
    return text, json.loads(last)


def test_an_answer_has_method_perplexity_costs_and_changes(capsys):
    text, found = budget(capsys, "--generic", "650", "--specialise", "650", "--domains", "6")
    assert found["method"] == "SLM-pn" and found["kind"] == "published" and found["unit"] == "GPU hours"
    assert found["ranked"][0]["perplexity"] == pytest.approx(16.95) and found["ranked"][0]["total"] == pytest.approx(
        600.12
    )
    assert "perplexity 16.95" in text and "600 + 6 x 0.02 = 600.1 GPU hours" in text
    assert "  domains up to 5: SLM-is" in text and "  specialisation training from 780 GPU hours: SLM-is" in text
    assert (
        "needs parameters at inference 7.71e+08" in text and "  generic training below 100 GPU hours: SLM-nopt" in text
    )
    pairs = {pair["method"]: pair["domains"] for pair in found["break_even"]}
    assert pairs == {}  # SLM, SLM-mix and SLM-nopt cost as much for each domain
    text, found = budget(capsys, "--generic", "650", "--specialise", "650", "--domains", "5")
    assert "perplexity below 16.9" in text and found["break_even"][0] == {
        "method": "SLM-pn",
        "domains": pytest.approx(600 / 129.98),
    }


def test_budgets_that_no_method_meets_say_which_binds(capsys):
    text, found = budget(capsys, "--inference", "1e6")
    assert found["method"] is None and "no method of the evidence meets these budgets" in text
    assert "binding; enough alone: parameters at inference 1.26e+08" in text and found["enough_alone"] == {
        "inference": 126e6
    }
    text, found = budget(capsys, "--inference", "1e6", "--tokens", "10")
    assert "several budgets bind: none is enough alone" in text


def test_the_page_of_regions_has_every_method_of_its_rows(capsys, tmp_path):
    assert call("budget", "--specialise", "650", "--out", str(tmp_path / "made" / "regions.html")) == 0
    page = (tmp_path / "made" / "regions.html").read_text()
    assert "SLM-is" in page and "asked" in page and "64,000,000 tokens a domain" in page


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["budget", "--generic=-1"], "generic_training: finite, at least 0"),
        (["budget", "--domains", "0"], "domains: at least 1, got 0"),
        (["budget", "--evidence", "none.jsonl"], "evidence: published, own (in a checkout), a file or a folder"),
        (["budget", "--out", f"{__file__}/x.html"], "test_command.py is a file; name a folder"),
        (["train", "budgets", "--out", "run", "--domain", "pepys"], "domain: NAME=PATH, each name once, got 'pepys'"),
        (["train", "budgets", "--out", "run", "--seeds", "0"], "seeds: at least 1, got 0"),
        (["train", "budgets", "--out", "run", "--domain", "own=none.txt"], "text: none.txt does not exist"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call(*arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and message in lines[0], lines
    assert not list(tmp_path.iterdir())


def test_bad_protocols():
    small = Protocol().small
    with pytest.raises(ValueError, match="sizes: multiples of a step's 1024 tokens, at least one pass, got 1000, 1"):
        Protocol(sizes=((1000, 1),))
    with pytest.raises(ValueError, match="small, large: models of the same context and vocabulary"):
        Protocol(large=type(small)(64, 8, small.layers, 12, context=256))


def test_a_run_of_ones_own_is_evidence_for_answers(run, capsys):
    text, found = budget(capsys, "--evidence", str(run), "--domains", "2")
    assert found["unit"] == "FLOPs" and found["kind"] == "measured" and found["method"] in METHODS
    assert "one seed" in text


def test_figures_show_print_hollow_and_own_filled(run):
    rows = [row for name in ("published", str(run)) for row in point_rows(known(name))]
    table = evidence(rows + specialised_models_statements(rows))
    figure = plots.perplexity_against_budgets(table)
    symbols = {trace.marker.symbol.endswith("-open"): trace for trace in figure.data}  # type: ignore[attr-defined]
    assert set(symbols) == {True, False}
    shown = {trace.name for trace in figure.data if trace.showlegend}  # type: ignore[attr-defined]
    assert shown == set(METHODS)
    own = [trace for trace in figure.data if not trace.marker.symbol.endswith("-open")]  # type: ignore[attr-defined]
    last = [trace for trace in own if trace.name == "SLM-d" and len(trace.x) == 2][-1]  # type: ignore[attr-defined]
    assert list(last.x) == [64, 128]  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="table: rows of point_rows"):
        plots.perplexity_against_budgets(evidence([]))


def test_regions_follow_the_answers_and_need_rows():
    table = region_rows(known("published"), Budgets(650, 650, 126e6, 1_000_000), 5)
    rows = {
        (row["domains"], row["specialisation_tokens"]): row
        for row in table.to_pylist()
        if row["generic_training"] > 650
    }
    assert rows[5, 1_000_000]["subject"] == "SLM-is" and rows[6, 1_000_000]["subject"] == "SLM-pn"
    assert rows[5, 1_000_000]["value"] is None and rows[6, 8_000_000]["value"] == pytest.approx(14.21)
    figure = plots.region_figure(table, (6, 650, 900_000))
    names = [trace.name for trace in figure.data if trace.showlegend is not False]  # type: ignore[attr-defined]
    assert {"SLM-is", "SLM-pn", "SLM-mix", "asked"} <= set(names)
    with pytest.raises(ValueError, match="table: at least one row of region_rows"):
        plots.region_figure(evidence([]))


def test_statements_of_print_and_of_own_points(run):
    rows = [row for name in ("published", str(run)) for row in point_rows(known(name))]
    found = {row["subject"]: row for row in specialised_models_statements(rows)}
    assert all(row["holds"] for row in found.values() if row["basis"] == "print" and row["published"] is not None)
    ratio = next(row for what, row in found.items() if "SLM / SLM-nopt" in what)
    value = {
        (row["subject"], row["specialisation_tokens"]): row["value"]
        for row in rows
        if row["kind"] == "derived" and row["longest"]
    }
    ratios = [value["SLM", tokens] / value["SLM-nopt", tokens] for tokens in (64, 128)]
    assert ratio["value"] == pytest.approx(max(ratios)) and ratio["holds"] == (max(ratios) < 1)
    assert ratio["published"] == pytest.approx(
        12.0 / 17.6, abs=2e-2
    )  # the largest of 18.22/227.1, 14.80/45.6, 12.00/17.6


def test_rows_of_evidence_name_their_command(run):
    sources = {row["source"] for row in read_evidence(run / "rows.jsonl").to_pylist()}
    assert sources == {"recallscope.budgets.run_budgets"}
