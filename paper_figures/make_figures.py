"""All figures of this folder, with their tables, and `README.md`, which says what each shows and what of it holds.

    python paper_figures/make_figures.py [FOLDER]     # figures into FOLDER, else beside this file
    python paper_figures/make_figures.py --readme     # README.md alone

A script is a figure: `based_figure2.py` has `REMADE`, what the paper shows, `table()`, from stored evidence, and
`figure(table)`. The rows of evidence are those of `recallscope sweep`, or made by the scripts that end in `_rows.py`.
One whose `EVIDENCE` is not there yet is not drawn, and `README.md` says what would fill it. Figures of papers are
written as SVG too where kaleido and a browser are at hand.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import pyarrow as pa
from recallscope.reproduction import entry_lines, statements_of, verdict_line, write_figure
from recallscope.reproduction.images import write_svgs

HERE = Path(__file__).parent
OWN = ("recall_vs_state", "state_vs_recall")
"""Figures of no paper."""
REMADE = (
    "zoology_table1", "zoology_figure1", "zoology_figure2", "zoology_distances", "zoology_pairs",
    "based_figure1", "based_figure2", "based_figure3", "based_figure4", "based_table1", "based_table6",
    "jrt_table1", "jrt_table2", "jrt_figure2", "jrt_figure3", "jrt_table5", "jrt_prefill",
    "in_context_language", "chinchilla_refit", "gamma_against_beta", "recall_law", "copy_curves", "budgets",
)  # fmt: skip


def script(name: str) -> ModuleType:
    """A script of this folder as a module."""
    spec = importlib.util.spec_from_file_location(f"paper_figures_{name}", HERE / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ready(name: str) -> bool:
    """Whether the rows that a script draws are there."""
    return getattr(script(name), "EVIDENCE", HERE).exists()


def readme(tables: dict[str, pa.Table]) -> str:
    """The text of `README.md` from the tables of all scripts."""
    summary, entries = [], []
    for name, table in tables.items():
        remade, rows = script(name).REMADE, statements_of(table.to_pylist())
        summary.append(f"| [{remade.figure}](#{anchor(remade.figure)}) | `{name}.py` | {verdict_line(remade, rows)} |")
        entries += entry_lines(remade, f"{name}.py", rows)
    for name in REMADE:
        if name not in tables:
            remade = script(name).REMADE
            summary.append(f"| {remade.figure} | `{name}.py` | open, no rows yet: {remade.fill} |")
    own = [f"| none: our own | `{name}.py` | {(first_line(name))} |" for name in OWN]
    return "\n".join([*HEAD, *summary, *own, "", *entries]).rstrip() + "\n"


HEAD = (
    "# Figures of the papers, and what of them holds here",
    "",
    "`make figures` draws all of them from stored evidence into this folder: a page (HTML) and its table (JSON Lines)",
    "each, and SVG where `kaleido` (1 or later, `pip install -e '.[figures]'`) and a Chrome or Chromium are at hand.",
    "This file is generated (`python paper_figures/make_figures.py --readme`), every number in it recomputed from the",
    "tables.",
    "",
    "A statement is something that the paper shows; whether it holds here is decided by the criterion in its line, not",
    'by eye. Published values are hollow in the figures, own ones filled. "Printed numbers only": nothing was measured',
    "here, the paper's tables were checked against each other. A dash: not a number in print, and not read off a",
    "picture. Beside each verdict stands the number of its first statement.",
    "",
    "| figure | script | verdict |",
    "| --- | --- | --- |",
)


def anchor(title: str) -> str:
    return "".join(c for c in title.lower() if c.isalnum() or c in " -").replace(" ", "-")


def first_line(name: str) -> str:
    """What a script says of itself, up to the first colon or full stop."""
    text = ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text())) or ""
    return text.splitlines()[0].rstrip(".")


def written(module: ModuleType, folder: Path) -> pa.Table:
    return write_figure(str(module.__file__), module.table(), module.figure, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=HERE, help="of the figures; else beside this file")
    parser.add_argument("--readme", action="store_true", help="README.md alone")
    asked = parser.parse_args()
    names = [name for name in REMADE if ready(name)]
    if asked.readme:
        tables = {name: script(name).table() for name in names}
    else:
        folder = asked.folder
        tables = {name: written(script(name), folder) for name in names}
        for name in OWN:
            script(name).main(folder)
        print(write_svgs({folder / f"{name}.svg": script(name).figure(table) for name, table in tables.items()}))
    (HERE / "README.md").write_text(readme(tables), encoding="utf-8")


if __name__ == "__main__":
    main()
