"""Every notebook runs from top to bottom in a clean kernel, and is committed without outputs."""

from __future__ import annotations

import warnings
from pathlib import Path

import nbformat
import pytest

FIGURES = {
    "frontier": 2, "recall_vs_state": 6, "reproduce_papers": 3, "scaling_and_budgets": 5, "slice_perplexity": 3,
    "state_vs_recall": 2,
}  # fmt: skip
NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def test_all_notebooks_are_known():
    assert [path.stem for path in NOTEBOOKS] == sorted(FIGURES)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_from_top_to_bottom(path, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the Jupyter machinery, not of the notebook
        from nbclient import NotebookClient

        notebook = nbformat.read(path, as_version=4)
        assert not any(cell.get("outputs") for cell in notebook.cells), "strip the outputs before committing"
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not any(output["output_type"] == "error" for output in outputs)
    assert sum("application/vnd.plotly.v1+json" in output.get("data", {}) for output in outputs) == FIGURES[path.stem]
