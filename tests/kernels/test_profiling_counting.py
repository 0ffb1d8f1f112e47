"""The child process under Nsight Compute, with a program in the place of Nsight Compute."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from profile_cases import DENIED, PRODUCT, SPIN, UNKNOWN, page
from recallscope_kernels.ops import Shape
from recallscope_kernels.profiling import Setting, count, counted, counters, counting, gpu

SETTINGS = [Setting(name, Shape(1, 8, 1, 16, 16), device="cuda", dtype="bfloat16") for name in ("based", "attention")]
GOOD = page([(SPIN, {}), ("nvjet", PRODUCT), (SPIN, {}), ("a", {"lts__t_bytes.sum": "5"}), (SPIN, {}), ("b", {})])


@pytest.fixture
def ncu(tmp_path, monkeypatch):
    """A program in the place of Nsight Compute, that writes what it is told and keeps how it was called."""
    monkeypatch.setattr(gpu, "capability", lambda device: (9, 0))

    def made(log: str, reasons, without: str = "") -> str:
        told = {"log": log, "out": "noise of a library\n" + "".join(json.dumps({"reason": r}) + "\n" for r in reasons)}
        (tmp_path / "told.json").write_text(json.dumps(told | {"unknown": UNKNOWN, "without": without}))
        program = tmp_path / "ncu"
        program.write_text(
            f"#!{sys.executable}\nimport json, os, sys\nfolder = {str(tmp_path)!r}\n"
            "told = json.load(open(folder + '/told.json'))\n"
            "with open(folder + '/called.jsonl', 'a') as f:\n"
            "    f.write(json.dumps({'argv': sys.argv, 'LC_ALL': os.environ.get('LC_ALL')}) + '\\n')\n"
            "bad = told['without'] and told['without'] in ' '.join(sys.argv)\n"
            "open(sys.argv[sys.argv.index('--log-file') + 1], 'w').write(told['unknown' if bad else 'log'])\n"
            "print('' if bad else told['out'], end='')\nsys.exit(bool(bad))\n"
        )
        program.chmod(0o755)
        return str(program)

    return made


def calls(tmp_path: Path) -> list[dict]:
    return [json.loads(text) for text in (tmp_path / "called.jsonl").read_text().splitlines()]


def test_counting_through_a_child(ncu, tmp_path):
    found = count(SETTINGS, "cuda", ncu=ncu(GOOD, [None, None, None]))
    assert found.calibration == 1 and not found.missing
    assert found.counts[SETTINGS[0]].l2_bytes == 5 and found.counts[SETTINGS[1]].l2_bytes == 0
    (called,) = calls(tmp_path)
    words = called["argv"]
    assert called["LC_ALL"] == "C" and words[words.index("--page") + 1] == "raw" and "--csv" in words
    assert words[words.index("--metrics") + 1].split(",") == counters.names()
    given = json.loads(words[-1])
    assert [Setting.of_json(setting) for setting in given["settings"]] == SETTINGS and given["device"] == "cuda"


def test_a_call_that_cannot_run_is_missing_with_its_reason(ncu):
    log = page([(SPIN, {}), ("nvjet", PRODUCT), (SPIN, {}), ("b", {"lts__t_bytes.sum": "6"})])
    found = count(SETTINGS, "cuda", ncu=ncu(log, [None, "out of memory", None]))
    assert found.missing == {SETTINGS[0]: "out of memory"} and found.counts[SETTINGS[1]].l2_bytes == 6


def test_a_child_that_dies_leaves_the_rest_missing(ncu):
    log = page([(SPIN, {}), ("nvjet", PRODUCT), (SPIN, {}), ("a", {}), (SPIN, {}), ("died here", {})])
    found = count(SETTINGS, "cuda", ncu=ncu(log, [None, None]))
    assert list(found.counts) == SETTINGS[:1] and found.missing[SETTINGS[1]] == "the child process ended before it"


def test_metrics_that_are_not_known_are_left_out_and_not_zero(ncu, tmp_path):
    log = page([(SPIN, {}), ("nvjet", PRODUCT)], names=[name for name in counters.names() if "fp8" not in name])
    found = count([], "cuda", ncu=ncu(log, [None], without="src_fp8"))
    assert found.calibration == 1 and len(calls(tmp_path)) == 2
    assert "fp8" not in " ".join(calls(tmp_path)[1]["argv"])


@pytest.mark.parametrize(
    ("log", "reasons", "message"),
    [
        (DENIED, [], r"counters: not permitted here \(ERR_NVGPUCTRPERM\)"),
        (
            page([(SPIN, {}), ("nvjet", dict.fromkeys(PRODUCT, "1,073,741,824"))]),
            [None],
            r"counters: a 1024³ product has 2,147,483,648 FLOPs, counted 1,073,741,824: not to be trusted",
        ),
        (
            page([(SPIN, {}), ("nvjet", {})], names=[name for name in counters.names() if "hmma_src_bf16" not in name]),
            [None],
            "FLOPs, counted nothing: not to be trusted",
        ),
        (page([(SPIN, {})]), [], "counters: the child process failed: ==PROF== Disconnected from process 4242"),
        (page([(SPIN, {})]), ["out of memory"], "counters: kernels of 0 calls, the known product first, got 1"),
        (page([(SPIN, {}), ("nvjet", PRODUCT)]), [None, None, None], "counters: kernels of 3 calls, .*, got 1"),
    ],
)
def test_nothing_is_reported_that_cannot_be_trusted(ncu, log, reasons, message):
    with pytest.raises(ValueError, match=message):
        count(SETTINGS if len(reasons) == 3 else [], "cuda", ncu=ncu(log, reasons))


def test_bad_input(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="counters: Nsight Compute counts on a GPU, got 'cpu'"):
        count(SETTINGS, "cpu")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"counters: Nsight Compute \(ncu\) is not on the path"):
        count(SETTINGS, "cuda")
    monkeypatch.setattr(gpu, "capability", lambda device: (12, 0))
    with pytest.raises(ValueError, match=r"known by name for compute capability 9\.0, this device has 12\.0"):
        count(SETTINGS, "cuda", ncu="ncu")
    monkeypatch.setattr(gpu, "capability", lambda device: (9, 0))
    with pytest.raises(ValueError, match="counters: /nowhere/ncu cannot be run"):
        count(SETTINGS, "cuda", ncu="/nowhere/ncu")
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec /bin/sleep 20\n")
    slow.chmod(0o755)
    with pytest.raises(ValueError, match=r"counters: Nsight Compute took more than 0\.2 seconds"):
        count(SETTINGS, "cuda", 0.2, ncu=str(slow))


def test_the_child_says_how_each_call_went(monkeypatch, capsys):
    done = []
    monkeypatch.setattr(gpu, "profiled", lambda call, flush: done.append(call))
    monkeypatch.setattr(counted, "_operands", lambda device: (None, lambda: lambda: None))
    settings = [
        Setting("linear_attention:chunked", Shape(1, 8, 1, 16, 16)),
        Setting("linear_attention:fla", Shape(1, 8, 1, 16, 16)),
    ]
    counted.main(settings, "cpu")
    said = counting._said("noise\n" + capsys.readouterr().out)
    assert said[:2] == [None, None] and said[2] and said[2].startswith("implementation: flash-linear-attention")
    assert len(done) == 2


def test_the_child_finds_this_package(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    first, second = counting._path().split(os.pathsep)
    assert (Path(first) / "recallscope_kernels").is_dir() and second == "elsewhere"
