"""`paper_figures/kernels_rows.py`, tried on a CPU: rows and pages, going on after a stop, and one line of bad input."""

from __future__ import annotations

import json
import os
import runpy
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from profile_cases import roofs_of
from recallscope.evidence import evidence, read_evidence
from recallscope.profiling.suite import groups as planned
from recallscope.profiling.suite import measuring
from recallscope.profiling.suite.groups import Plan
from recallscope_kernels.ops import OPERATORS, Shape
from recallscope_kernels.profiling import Setting, device_facts
from recallscope_kernels.profiling.measure import DeviceLost

SCRIPT = Path(__file__).parents[2] / "paper_figures" / "kernels_rows.py"
COMMAND = "python paper_figures/kernels_rows.py --device cpu --small --budget 0.001"
FEW = ("linear_attention", "attention", "based")
calibrating = import_module("recallscope.profiling.suite.calibration")


@pytest.fixture(autouse=True)
def quick_roofs(monkeypatch):
    monkeypatch.setattr(calibrating, "measured_roofs", roofs_of)


@pytest.fixture
def few(monkeypatch):
    """Three operators, one length: what is tried is the script; `test_profiling_suite` has all operators."""
    table = {name: OPERATORS[name] for name in FEW}
    monkeypatch.setattr(planned, "OPERATORS", table)
    monkeypatch.setattr(planned, "SMALL", Plan(2, 64, 1, (32,), (), (32,), (32,), (32, 48), (1, 2), (32,)))


def run(monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    runpy.run_path(str(SCRIPT), run_name="__main__")


def small(monkeypatch, folder: Path, *more: str) -> None:
    run(monkeypatch, "--device", "cpu", "--small", "--budget", "0.001", "--out", str(folder), *more)


def rows_of(folder: Path, name: str) -> list[dict]:
    return read_evidence(folder / f"{name}.jsonl").to_pylist()


def test_small_on_a_cpu_and_again(tmp_path, monkeypatch, capsys, few):
    small(monkeypatch, tmp_path)
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(said["rows"]) == {"calibration", "based", "suite"} and said["left"] == 0
    for name, count in said["rows"].items():
        rows = rows_of(tmp_path, name)
        assert len(rows) == count
        for row in rows:
            assert row["kind"] == "derived" or row["commit"] or row["version"]
            assert row["source"] == COMMAND and row["device"] == device_facts().name
    suite = rows_of(tmp_path, "suite")
    errors = [row["value"] for row in suite if row["metric"] == "relative_error"]
    assert len(errors) == 20 and all(0 < error <= 3e-6 for error in errors)  # 4 implementations run here, in 5 groups
    empty = [row for row in suite if row["metric"] == "seconds" and row["value"] is None]
    assert empty and all(row["flag"] for row in empty)  # no library of a GPU is here
    assert any("not installed" in row["flag"] for row in empty)
    assert {path.name for path in tmp_path.glob("*.html")} == set(said["pages"])
    assert set(said["pages"]) == {"based-fwd.html", "suite-fwd.html", "suite-bwd.html", "suite-decode.html"}
    before = {name: (tmp_path / f"{name}.jsonl").read_bytes() for name in said["rows"]}
    monkeypatch.setattr(measuring, "measure", lambda subjects, *given: subjects and 1 / 0)  # nothing is measured again
    small(monkeypatch, tmp_path)
    assert {name for name in before if (tmp_path / f"{name}.jsonl").read_bytes() == before[name]} >= {"calibration"}
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["rows"] == said["rows"]


def test_it_goes_on_where_it_was_stopped(tmp_path, monkeypatch, capsys, few):
    small(monkeypatch, tmp_path, "--minutes", "1e-9")
    said = capsys.readouterr().out.splitlines()
    assert said[-2] == "6 groups are left, from based fwd, B = 1, T = 32 on: the same command goes on"
    assert json.loads(said[-1])["left"] == 6 and json.loads(said[-1])["rows"]["calibration"] == 5
    begun = (tmp_path / "calibration.jsonl").read_bytes()
    real, made = measuring.measure, []

    def killed(*given):
        if made:
            raise KeyboardInterrupt
        made.append(given[0])
        return real(*given)

    monkeypatch.setattr(measuring, "measure", killed)
    with pytest.raises(KeyboardInterrupt):
        small(monkeypatch, tmp_path)
    based = (tmp_path / "based.jsonl").read_bytes()
    with open(tmp_path / "suite.jsonl", "w") as file:
        file.write('{"subject": "cut o')  # by a machine that went away
    monkeypatch.setattr(measuring, "measure", real)
    small(monkeypatch, tmp_path)
    assert (tmp_path / "calibration.jsonl").read_bytes() == begun
    after = [row for row in rows_of(tmp_path, "based") if row["value"] is not None]
    assert after == [row for row in evidence(map(json.loads, based.splitlines())).to_pylist() if row["value"]]
    assert {row["mode"] for row in rows_of(tmp_path, "suite")} == {"fwd", "bwd", "decode"}


def test_a_lost_gpu_begins_anew_without_what_brought_it_down(tmp_path, monkeypatch, few):
    def lost(*given):
        setting = Setting("based", Shape(1, 32, 2, 16, 64), "fwd", "float32", "cpu")
        raise DeviceLost(setting, RuntimeError("CUDA error: an illegal memory access was encountered\nand more"))

    started = []

    def execv(program, words):
        started.append(words)
        raise SystemExit

    monkeypatch.setattr(measuring, "measure", lost)
    monkeypatch.setattr(os, "execv", execv)
    with pytest.raises(SystemExit):
        small(monkeypatch, tmp_path, "--minutes", "5", "--fresh")
    (words,) = started
    assert words[:2] == [sys.executable, str(SCRIPT)] and "--fresh" not in words and words[-1].startswith("--begun=")
    found = {row["subject"]: row for row in rows_of(tmp_path, "based")}
    assert list(found) == ["based"] and found["based"]["flag"] == "CUDA error: an illegal memory access was encountered"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu(monkeypatch, tmp_path):
    with pytest.raises(SystemExit, match="kernels_rows: device: there is no GPU that torch can use; cpu, got 'cuda'"):
        run(monkeypatch, "--out", str(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--minutes", "0"], "kernels_rows: minutes: above 0, got 0"),
        (["--budget", "-1"], "kernels_rows: budget: above 0, got -1"),
        (["--draw", "/nowhere"], "kernels_rows: paths: /nowhere/calibration.jsonl cannot be read"),
    ],
)
def test_bad_input(monkeypatch, tmp_path, arguments, message):
    with pytest.raises(SystemExit, match=message):
        run(monkeypatch, "--device", "cpu", "--out", str(tmp_path), *arguments)
