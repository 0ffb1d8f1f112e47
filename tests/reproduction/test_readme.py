"""The numbers of the README's table of figures are those of the tables."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "README.md").read_text().split("## The papers' figures, remade")[1].split("\n## ")[0]
MAKE = runpy.run_path(str(ROOT / "paper_figures" / "make_figures.py"))
SAID = {
    "Based 2": ("based_figure2", "rank correlation", "ρ = {value:.2f} [{low:.2f}, {high:.2f}], {n} models"),
    "Zoology 2": ("zoology_figure2", "attention, lowest", "({value:.3f} at least)"),
    "Zoology 1": ("zoology_figure1", "hyena: gap", "{value:.1f} nats [{low:.1f}, {high:.1f}]"),
    "Zoology, Table 1": (
        "zoology_table1",
        "share of the gap on AR hits, hyena",
        "{value:.1f} % [{low:.1f}, {high:.1f}]",
    ),
    "Zoology, distances": ("zoology_distances", "repeats within 127", "{value:.0f} % within 127 tokens"),
}


@pytest.mark.parametrize("figure", SAID)
def test_a_line_says_what_the_table_says(figure):
    name, what, words = SAID[figure]
    (line,) = (line for line in SECTION.splitlines() if line.startswith(f"| {figure}"))
    rows = MAKE["script"](name).table().to_pylist()
    found = [row for row in rows if row["metric"] == "statement"]
    (row,) = (row for row in found if row["subject"].startswith(what))
    assert words.format(**row) in line
    held = [row["holds"] for row in found if row["holds"] is not None]
    assert ("reproduced" if all(held) else "partly" if any(held) else "not") in line


def test_counts_of_the_other_lines():
    for name, words in (
        ("jrt_table1", "partly (3 of 7 statements)"),
        ("jrt_table2", "reproduced (4 of 4)"),
        ("jrt_table5", "reproduced (10 of 10)"),
        ("in_context_language", "reproduced: 6 of 6 scores"),
    ):
        holds = [row["holds"] for row in MAKE["script"](name).table().to_pylist() if row["metric"] == "statement"]
        assert f"{sum(holds)} of {len(holds)}" in words and words in SECTION
