"""The committed n-gram rows of in-context language learning: reproduced by a run, and near the published ones."""

from __future__ import annotations

import runpy
from math import hypot
from pathlib import Path

import pytest
from recallscope.evidence import read_evidence

FIGURES = Path(__file__).parents[2] / "paper_figures"
ROWS = read_evidence(FIGURES / "evidence" / "in_context_language.jsonl").to_pylist()
MEASURED = {(r["subject"], r["metric"], r["first"]): r for r in ROWS if r["kind"] == "measured"}
PUBLISHED = [r for r in ROWS if r["kind"] == "published"]


def half(row):
    """Half the interval, which is symmetric."""
    assert row["value"] == pytest.approx((row["low"] + row["high"]) / 2, abs=2e-6)
    return (row["high"] - row["low"]) / 2


def test_committed_rows_agree_with_a_small_run():
    script = runpy.run_path(str(FIGURES / "in_context_language_rows.py"))
    again = script["measured"](prompts=150, seed=1)
    assert len(again) == len(MEASURED) == 3 * 2 * 2
    for row in again:
        committed = MEASURED[row["subject"], row["metric"], row["first"]]
        error = hypot(half(row), half(committed)) / 1.96
        assert abs(row["value"] - committed["value"]) < 4 * error
        assert half(row) == pytest.approx(half(committed) * (committed["n"] / 150) ** 0.5, rel=0.35)
        same = ("task", "vocabulary", "length", "unit", "kind", "source", "chance", "demand_bits")
        assert {name: row[name] for name in same} == {name: committed[name] for name in same}


def test_published_ngrams_are_near_the_measured():
    """Lines are the largest of six test sets of the authors: up to three of their standard errors above the mean."""
    published = [row for row in PUBLISHED if row["subject"] in ("2-gram", "3-gram")]
    assert len(published) == 8
    for row in published:
        committed = MEASURED[row["subject"], row["metric"], row["first"]]
        assert abs(row["value"] - committed["value"]) < 0.005 + 3 * half(committed) / 1.96


def test_published_rows_name_their_source():
    subjects = {row["subject"] for row in PUBLISHED}
    models = {"Transformer", "Hyena", "Linear Transformer", "LSTM", "Mamba", "RetNet", "H3", "RWKV", "S4D"}
    assert subjects == models | {"2-gram", "3-gram"}
    for row in PUBLISHED:
        assert "2401.12973" in row["source"] and half(row) == pytest.approx(0.005, abs=1e-6)
        assert (row["training_examples"] is None) == (row["flag"] == "the largest of six test sets")
    for metric, sizes in (("accuracy", 6), ("total variation", 5)):
        plotted = [r for r in PUBLISHED if r["metric"] == metric and r["subject"] in models and r["first"] is None]
        assert len(plotted) == sizes * 9 - 1  # the linear transformer has no point at 20,000
        keys = {(row["subject"], row["training_examples"]) for row in plotted}
        assert len(keys) == len(plotted) and ("Linear Transformer", 20_000) not in keys
