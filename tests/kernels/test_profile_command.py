"""`recallscope profile` and `recallscope roofline`: rows, figures, and one line for bad input."""

from __future__ import annotations

import json

import pytest
from profile_cases import roofs_of
from recallscope import evidence
from recallscope.cli import main
from recallscope_kernels import profiling


@pytest.fixture(autouse=True)
def quick_roofs(monkeypatch):
    monkeypatch.setattr(profiling, "measured_roofs", roofs_of)


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    return stopped.value.code  # type: ignore[return-value]


@pytest.mark.parametrize("mode", ["fwd", "bwd", "decode"])
def test_profile(mode, tmp_path, capsys):
    out = tmp_path / "made" / "rows.jsonl"
    arguments = [
        "profile",
        "based",
        "linear_attention:chunked",
        "--length",
        "8,16",
        "--shape",
        "H=1,V=16",
        "--mode",
        mode,
    ]
    assert call(*arguments, "--budget", "0.01", "--out", str(out), "--json") == 0
    *lines, last = capsys.readouterr().out.splitlines()
    rows = evidence.read_evidence(out).to_pylist()
    assert sum(row["metric"] == "seconds" for row in rows) == 6 and {row["mode"] for row in rows} == {mode, None}
    assert rows[0]["source"] == f"recallscope {' '.join(arguments)} --budget 0.01 --json"
    assert len(json.loads(last)["rows"]) == 6 * (10 if mode == "decode" else 9)
    assert any(line.startswith("attention") for line in lines)
    assert {path.name for path in out.parent.iterdir()} == {"rows.jsonl", "rows.html"}
    page = out.with_suffix(".html").read_text()
    assert page.count("Plotly.newPlot") >= 2 and "<pre>" in page and "of practical" in page
    if mode == "fwd":
        assert call("roofline", str(out), "--out", str(tmp_path / "roofs.jsonl")) == 0
        assert "ridge" in capsys.readouterr().out and (tmp_path / "roofs.html").exists()


def test_batches_and_energy(tmp_path, capsys):
    out = tmp_path / "page.html"
    arguments = ["profile", "linear_attention", "--length", "8,16", "--batch", "1,2", "--shape", "H=1,V=16"]
    assert call(*arguments, "--mode", "decode", "--budget", "0.001", "--energy", "--out", str(out)) == 0
    said = capsys.readouterr()
    rows = [row for row in evidence.read_evidence(tmp_path / "page.jsonl").to_pylist() if row.get("mode")]
    assert {(row["batch"], row["t"]) for row in rows} == {(1, 8), (1, 16), (2, 8), (2, 16)}
    speed = [row for row in rows if row["metric"] == "tokens_per_second" and row["batch"] == 2]
    seconds = [row for row in rows if row["metric"] == "seconds" and row["batch"] == 2]
    assert [row["value"] for row in speed] == [pytest.approx(2 / row["value"]) for row in seconds]
    assert ", B = 2" in said.out and out.exists()
    assert "energy: no counter of this CPU can be read" in said.err or any(row["metric"] == "joules" for row in rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["profile", "based", "--counters"], "counters: Nsight Compute counts on a GPU, got 'cpu'"),
        (["profile", "based", "--length", "99999999999"], "shape: fewer than 2**31 elements a tensor, got "),
        (["profile", "based", "--batch", "1,x"], "batch: whole numbers of at least 1, separated by commas, got '1,x'"),
        (["profile", "based", "--out", "rows.csv"], "out: a file that ends in .jsonl or .html, got 'rows.csv'"),
        (["profile", "nothing"], "operator: one of based, jrt_prefix, attention, "),
        (["profile", "based:magic"], "operator: based has chunked, triton, "),
        (["profile", "based", "--mode", "train"], "mode: one of fwd, bwd, decode, got 'train'"),
        (["profile", "based", "--shape", "T=3"], "shape: B, H, K or V = a whole number of at least 1"),
        (["profile", "based", "--length", "0"], "length: whole numbers of at least 1, separated by commas, got '0'"),
        (["profile", "based", "--dtype", "int8"], "dtype: one of float32, bfloat16, float16, float64, got 'int8'"),
        (["profile", "based", "--device", "nope"], "device: cpu, cuda or cuda:1, got 'nope'"),
        (["profile", "based", "--budget", "0"], "budget: seconds above 0, got 0.0"),
        (["profile", "based", "--peer", "attention:cudnn"], "implementation: flash or math on cpu, got 'cudnn'"),
        (["profile", "delta_rule:fla"], "implementation: flash-linear-attention "),
        (["profile", "based", "--out", f"{__file__}/rows.jsonl"], "test_profile_command.py is a file; name a folder"),
        (["roofline", "--dtype", "int8"], "dtype: one of float32, bfloat16, float16, float64, got 'int8'"),
        (["roofline", "missing.jsonl"], "paths: missing.jsonl cannot be read"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments, message, capsys):
    assert call(*arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and message in lines[0], lines
