"""Figures of papers: every script writes its table, its numbers are those of the evidence, the README is current."""

from __future__ import annotations

import json
import math
import runpy
from pathlib import Path

import numpy as np
import pytest
import recallscope
from recallscope.evidence import evidence, read_evidence

FIGURES = Path(__file__).parents[2] / "paper_figures"
MAKE = runpy.run_path(str(FIGURES / "make_figures.py"))
SLICED = ("zoology_table1", "zoology_figure1", "zoology_distances")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, list[dict]]:
    """Rows of the table that each script of a paper's figure has written into a folder, and the folder's pages."""
    folder, names = tmp_path_factory.mktemp("figures"), [name for name in MAKE["REMADE"] if MAKE["ready"](name)]
    for name in names:
        MAKE["written"](MAKE["script"](name), folder)
        assert '"x":' in (folder / f"{name}.html").read_text()  # something is drawn
    assert (folder / "plotly.min.js").exists()
    return {name: read_evidence(folder / f"{name}.jsonl").to_pylist() for name in names}


def raw(name: str) -> list[dict]:
    """Rows of evidence without the code under test."""
    return [json.loads(line) for line in (FIGURES / "evidence" / f"{name}.jsonl").read_text().splitlines()]


def printed(name: str) -> list[dict]:
    folder = Path(recallscope.__file__).parent / "published"
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def said(rows: list[dict], what: str) -> dict:
    """The one statement whose words begin like this."""
    (row,) = (row for row in rows if row["metric"] == "statement" and row["subject"].startswith(what))
    return row


def swept() -> dict[str, float]:
    """Mean accuracy over tests and seeds of each subject at the rate that validates best."""
    by_subject: dict[str, dict[float, list[dict]]] = {}
    for row in raw("recall_vs_state"):
        by_subject.setdefault(row["subject"], {}).setdefault(row["rate"], []).append(row)
    best = {name: max(rates.values(), key=lambda own: np.mean([row["validation"] or 0 for row in own]))
            for name, rates in by_subject.items()}  # fmt: skip
    return {name: float(np.mean([row["value"] or 0 for row in own])) for name, own in best.items()}


def test_every_script_of_a_figure_is_made():
    others = {"make_figures", *MAKE["OWN"]}
    scripts = {path.stem for path in FIGURES.glob("*.py") if not path.stem.endswith("_rows")} - others
    assert scripts == set(MAKE["REMADE"])
    assert all(len((FIGURES / f"{name}.py").read_text().splitlines()) < 100 for name in scripts)


def test_options_are_not_taken_for_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["make_figures.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        MAKE["main"]()
    assert not ended.value.code
    with pytest.raises(ValueError, match="folder: a path, got the option --html"):
        MAKE["written"](MAKE["script"]("gamma_against_beta"), "--html")
    assert not list(tmp_path.iterdir())


def test_the_readme_is_current(made):
    text = (FIGURES / "README.md").read_text()
    tables = {name: evidence(rows) for name, rows in made.items()}
    assert text == MAKE["readme"](tables), "python paper_figures/make_figures.py --readme"
    for name, rows in made.items():
        decided = [row["holds"] for row in rows if row["metric"] == "statement" and row.get("holds") is not None]
        section = next(part for part in text.split("\n## ") if f"\n`{name}.py` · " in part)
        word = "reproduced" if all(decided) else "partly" if any(decided) else "not"
        assert f"**{word} (" in section and f"{sum(decided)} of {len(decided)} statements hold" in section
        assert section.count("| yes |") == sum(decided) and section.count("| no |") == len(decided) - sum(decided)


def test_eight_figures_have_own_rows_with_their_spread(made):
    def spread(row: dict) -> bool:
        return row["kind"] == "measured" and row["low"] is not None and row["low"] < row["high"]

    own = {name for name, rows in made.items() if any(spread(row) for row in rows)}
    assert len(own) >= 8, own
    assert all(row["source"] for name in own for row in made[name] if row["kind"] == "measured")


def test_a_figure_without_rows_says_what_fills_it(made):
    text = (FIGURES / "README.md").read_text()
    for name in set(MAKE["REMADE"]) - set(made):
        script = MAKE["script"](name)
        assert not script.EVIDENCE.exists() and script.EVIDENCE.name == f"{name}.jsonl"
        assert f"`{name}.py` | open, no rows yet: {script.REMADE.fill} |" in text


def test_based_figure2_is_compared_with_the_published_models_of_the_same_options(made):
    value, cells = swept(), {row.get("architecture"): row["value"] for row in printed("based_figure2")}
    pairs = {
        "attention:width=64,heads=1": "attention:heads=1,rope",
        "hyena:width=64,layers=2": "hyena",
        "h3:width=64,state_size=16,taps=1,layers=2": "h3:state_size=16",
        **{f"based:width=64,heads=1,key_width={k},symmetric=True": f"based:heads=1,key_width={k}" for k in (8, 16, 24)},
        **{f"sliding_window:width=128,heads=1,window={w}": f"sliding_window:window={w}," for w in (8, 16, 32, 64, 128)},
    }
    # What a sweep has not finished is not compared.
    subjects = {name: [s for s in value if f"{s},".startswith(start)] for name, start in pairs.items()}
    own = [value[found[0]] for found in subjects.values() if found]
    pairs = {name: found[0] for name, found in subjects.items() if found}
    assert len(pairs) >= 8
    ranks = [np.argsort(np.argsort(v)) for v in (own, [cells[name] for name in pairs])]
    rho = float(np.corrcoef(ranks[0], ranks[1])[0, 1])
    half = 1.959963984540054 * math.sqrt((1 + rho**2 / 2) / (len(own) - 3))
    row = said(made["based_figure2"], "rank correlation of accuracy")
    limits = [math.tanh(math.atanh(rho) + sign * half) for sign in (-1, 1)]
    assert [row["n"], row["value"], row["low"], row["high"]] == pytest.approx([len(own), rho, *limits])
    assert row["holds"] == (limits[0] > 0)
    half_of = np.mean([v >= cells[name] / 2 for name, v in zip(pairs, own, strict=True)])
    assert said(made["based_figure2"], "models with at least half")["value"] == pytest.approx(100 * half_of)
    assert said(made["based_figure2"], "accuracy of attention")["value"] == pytest.approx(own[0])
    drawn = [row for row in made["based_figure2"] if row["metric"] == "accuracy"]
    assert sum(row["kind"] == "published" for row in drawn) == 47 and not any(row.get("rule") for row in drawn)
    assert {row["subject"]: row["value"] for row in drawn if row["kind"] == "measured"} == pytest.approx(value)


def test_zoology_figure2_has_the_best_of_all_rates(made):
    rows = [row for row in raw("recall_vs_state") if row["subject"] == "hyena:length=256" and row["length"] == 64]
    by_rate = [
        [row["value"] for row in rows if row["pairs"] == 8 and row["rate"] == rate]
        for rate in {r["rate"] for r in rows}
    ]
    seeds = max(by_rate, key=np.mean)
    row = said(made["zoology_figure2"], "Hyena, width 64, N = 64")
    assert [row["value"], row["low"], row["high"]] == pytest.approx([np.mean(seeds), min(seeds), max(seeds)])
    assert row["published"] == 0.52 and row["holds"] == (row["value"] >= 0.26)
    own = [row for row in made["zoology_figure2"] if row["metric"] == "accuracy" and row["kind"] == "measured"]
    assert {(row["length"], row["pairs"]) for row in own} == {(64, 8), (128, 32), (256, 64)}
    assert len(made["zoology_figure2"]) - len(own) == 80 + sum(
        row["metric"] == "statement" for row in made["zoology_figure2"]
    )


def test_zoology_table1_has_gaps_and_shares_of_the_printed_perplexities(made):
    cells = {
        (row["row"], row["slice"]): row["value"] for row in printed("zoology_table1") if row["metric"] == "perplexity"
    }
    gaps = {(row["row"], row["slice"]): row for row in made["zoology_table1"] if row["metric"] == "gap"}
    for name in ("Hyena 355M", "RWKV 125M"):
        scale = name.split()[1]
        for part in ("AR", "other"):
            gap = math.log(cells[name, part] / cells[f"Attention {scale}", part])
            assert gaps[name, part]["value"] == pytest.approx(gap) and gaps[name, part]["low"] < gap
    share = (
        7.0174
        * gaps["Hyena 355M", "AR"]["value"]
        / math.log(cells["Hyena 355M", "all"] / cells["Attention 355M", "all"])
    )
    both = {
        row["kind"]: row["value"]
        for row in made["zoology_table1"]
        if row["metric"] == "share of gap" and row["row"] == "Hyena 355M"
    }
    assert both["derived"] == pytest.approx(share, abs=0.01) and both["published"] == 98.2
    own = next(row for row in raw("bigram_slices") if row["metric"] == "share of gap" and row["subject"] == "hyena")
    row = said(made["zoology_table1"], "share of the gap on AR hits, hyena")
    assert (row["value"], row["published"], row["holds"]) == (own["value"], 82, own["low"] > 50)
    assert said(made["zoology_table1"], "printed shares of the gap")["value"] == 87.5


def test_zoology_figure1_and_distances_are_those_of_the_slices(made):
    rows = raw("bigram_slices")
    gap = {(r["subject"], r["slice"], r["count_low"]): r for r in rows if r["metric"] == "difference in loss"}
    loss = {(r["subject"], r["slice"], r["count_low"]): r["value"] for r in rows if r["metric"] == "loss"}
    for (model, part, low), row in gap.items():
        assert row["value"] == pytest.approx(loss[model, part, low] - loss["attention", part, low], abs=1e-9)
    bins = [
        low
        for low in sorted({low for *_, low in gap})
        if all(gap["hyena", part, low]["n"] >= 100 for part in ("repeated", "new"))
    ]
    ranks = np.argsort(np.argsort([gap["hyena", "repeated", low]["value"] for low in bins]))
    row = said(made["zoology_figure1"], "hyena: rank correlation")
    assert row["value"] == pytest.approx(np.corrcoef(ranks, range(len(bins)))[0, 1]) and row["n"] == len(bins)
    larger = [gap["hyena", "repeated", low]["value"] > gap["hyena", "new", low]["value"] for low in bins]
    assert said(made["zoology_figure1"], "hyena: bins")["value"] == pytest.approx(100 * np.mean(larger))
    repeats = {row["distance_high"]: row["value"] for row in rows if row["metric"] == "repeated bigrams"}
    assert {row["documents"] for row in rows} == {30}
    assert all("30 held-out documents" in MAKE["script"](name).REMADE.here for name in SLICED)
    near = sum(value for high, value in repeats.items() if high < 128) / sum(repeats.values())
    assert said(made["zoology_distances"], "repeats within 127")["value"] == pytest.approx(100 * near)


def test_jrt_gains_are_differences_of_the_printed_cells(made):
    cells = {(row["row"], row.get("task")): row["value"] for row in printed("jrt_table1")}
    gains = {(row["model"], row["task"]): row["value"] for row in made["jrt_table1"] if row["metric"] == "gain"}
    assert len(gains) == 16 * 7 and len(cells) == 2 * len(gains)
    for (model, task), gain in gains.items():
        task = None if task == "average" else task
        assert gain == pytest.approx(cells[f"{model}, JRT-Prompt", task] - cells[f"{model}, default", task])
    mean = np.mean([gain for (_, task), gain in gains.items() if task == "average"])
    row = said(made["jrt_table1"], "all 16 rows of Table 1: mean gain")
    assert row["value"] == pytest.approx(mean) and row["published"] == 11.0
    sure = [gain for (_, task), gain in gains.items() if task != "average" and round(gain, 1) > 0.1]
    assert said(made["jrt_table1"], "cells (model and task)")["value"] == pytest.approx(100 * len(sure) / 96)
    time = {row["subject"]: row["value"] for row in printed("jrt_table5_length") if row["length"] == 32768}
    row = said(made["jrt_table5"], "JRT-RNN custom CUDA: prefill faster than FlashAttention-2, batch 16")
    assert row["value"] == pytest.approx(time["FlashAttention-2"] / time["JRT-RNN custom CUDA"])
    average = {row["row"]: row["value"] for row in printed("jrt_table2") if row["metric"] == "average accuracy"}
    row = said(made["jrt_table2"], "JRT-RNN: lead over Based, 360M")
    assert row["value"] == pytest.approx(average["JRT-RNN 360M/30B"] - average["Based 360M/30B"])


def test_ngrams_stand_beside_the_published_ones(made):
    rows = raw("in_context_language")
    own = next(r for r in rows if r["subject"] == "2-gram" and r["metric"] == "accuracy" and r["kind"] == "measured")
    row = said(made["in_context_language"], "accuracy of the 2-gram")
    assert (row["value"], row["published"]) == (own["value"], 0.835)
    error = (own["high"] - own["low"]) / 2 / 1.96
    assert row["holds"] == (0.83 - 3 * error <= own["value"] <= 0.84 + 3 * error)
    assert len([row for row in made["in_context_language"] if row["metric"] == "statement"]) == 6
