"""Every script of paper_figures draws from its committed evidence alone."""

from __future__ import annotations

import runpy
from pathlib import Path

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
