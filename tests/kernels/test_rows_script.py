"""`paper_figures/kernels_rows.py`, tried on a CPU: rows, pages, and one line where there is no GPU."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from recallscope.evidence import read_evidence

SCRIPT = Path(__file__).parents[2] / "paper_figures" / "kernels_rows.py"


def run(monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    runpy.run_path(str(SCRIPT), run_name="__main__")


def test_small_on_a_cpu(tmp_path, monkeypatch, capsys):
    run(monkeypatch, "--device", "cpu", "--small", "--budget", "0.001", "--out", str(tmp_path))
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(said["rows"]) == {"calibration", "based", "suite-fwd", "suite-bwd", "suite-decode"}
    for name, count in said["rows"].items():
        rows = read_evidence(tmp_path / f"{name}.jsonl").to_pylist()
        assert len(rows) == count
        for row in rows:
            made = row["kind"] == "derived" or row["commit"] or row["version"]
            assert made and row["source"] == "python paper_figures/kernels_rows.py --device cpu --small --budget 0.001"
    errors = [
        r["value"] for r in read_evidence(tmp_path / "suite-fwd.jsonl").to_pylist() if r["metric"] == "relative_error"
    ]
    assert len(errors) == 14 and all(0 < error <= 3e-6 for error in errors)
    pages = {path.stem for path in tmp_path.glob("*.html")}
    assert pages == {f"{name}{kind}" for name in said["rows"] if name != "calibration" for kind in ("", "-roofline")}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu(monkeypatch):
    with pytest.raises(SystemExit, match="kernels_rows: device: there is no GPU that torch can use; cpu, got 'cuda'"):
        run(monkeypatch)
