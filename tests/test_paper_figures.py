"""Every script of paper_figures draws from its committed evidence alone."""

from __future__ import annotations

import runpy
from pathlib import Path

from recallscope.evidence import read_evidence

FIGURES = Path(__file__).parents[1] / "paper_figures"


def test_recall_against_state_is_drawn(tmp_path):
    runpy.run_path(str(FIGURES / "recall_vs_state.py"))["main"](tmp_path / "out")
    pages = sorted(page.name for page in (tmp_path / "out").glob("*.html"))
    assert pages == [
        f"recall_vs_state_{name}.html" for name in ("curves", "pairs", "rate", "seeds", "state", "state_64_tokens")
    ]
    for name in ("state", "state_64_tokens"):
        assert "information limit" in (tmp_path / "out" / f"recall_vs_state_{name}.html").read_text()
    assert (tmp_path / "out" / "plotly.min.js").exists()


def test_state_against_recall_is_drawn_with_its_table(tmp_path):
    runpy.run_path(str(FIGURES / "state_vs_recall.py"))["main"](tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["plotly.min.js", "state_vs_recall.html", "state_vs_recall.jsonl"]
    rows = read_evidence(tmp_path / "out" / "state_vs_recall.jsonl").to_pylist()
    assert {row["kind"] for row in rows} == {"derived", "measured", "published"}
    assert {row["metric"] for row in rows} == {"accuracy", "bit efficiency"}
    assert all(row["source"] and row["unit"] == "1" and row["state_bits"] > 0 for row in rows)
    page = (tmp_path / "out" / "state_vs_recall.html").read_text()
    assert all(name in page for name in ("information limit", "least squares", "gated_delta_net", "Gated DeltaNet"))
