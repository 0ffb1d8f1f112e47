"""The command line: what it prints, how it fails, and that it starts fast."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from recallscope.cli import main

TEXT = "def f(x):\n    return x + 1\n\n\ndef g(x):\n    return f(x) + 1\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "text").mkdir()
    for k in range(3):
        (tmp_path / "text" / f"{k}.py").write_text(TEXT * (k + 1))
    return tmp_path


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    return stopped.value.code  # type: ignore[return-value]


def test_tag_prints_a_summary_and_writes_one_row_per_token(folder, capsys, bundled):
    assert call("tag", "--text", str(folder / "text"), "--out", str(folder / "tags.parquet"), "--json") == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    tokens = sum(len(t) for t in bundled.encode([TEXT * k for k in (1, 2, 3)]))
    assert summary["documents"] == 3 and summary["tokens"] == tokens
    table = pq.read_table(folder / "tags.parquet")
    assert len(table) == tokens
    assert summary["share repeating, n = 2"] == np.mean(table["distance_2"].to_numpy() > 0)
    assert not list(folder.glob("*.tmp"))


def test_state_and_cost_print_a_table_the_crossing_and_json(capsys):
    names = ["attention:width=64,heads=2", "based:width=64,key_width=4"]
    assert call("state", *names, "--length", "10,1000", "--dtype", "float32", "--json") == 0
    *table, crossing, rows = capsys.readouterr().out.splitlines()
    assert table[2].split() == [names[0], "10", "1,280", "5", "KiB", "1,280", "5", "KiB"]
    assert crossing == f"state elements: {names[0]} = {names[1]} at t = 11.2"  # 21 · 68 / 128
    values = {(r["subject"], r["t"]): r["value"] for r in json.loads(rows) if r["metric"] == "state_bytes"}
    assert values[names[1], 1000] == 4 * 21 * 68
    assert call("cost", *names, "--length", "64", "--batch", "3") == 0
    assert "decode flops" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["slice", "attention", "--text", "x"], "models: at least two"),
        (["slice", "none-a", "none-b"], "model: 'none-a' is not known"),
        (["slice", "a=x.parquet", "b=y.parquet"], "losses: x.parquet does not exist"),
        (["tag", "--text", "missing.txt"], "text: missing.txt does not exist"),
        (["slice", "a", "b", "--window", "1"], "window: at least 2 tokens, got 1"),
        (["state", "nothing"], "architecture: a preset (based-363m, "),
        (["state", "attention", "--length", "many"], "length: whole numbers separated by commas, got 'many'"),
        (["cost", "attention", "--dtype", "int3"], "dtype: one of float32"),
        (["train", "lm", "mamba", "--out", "m"], "model: one of attention, window, hyena, based"),
        (["slice", "attention", "window", "--device", "nope"], "device: cpu, cuda, "),
        (["train", "lm", "attention", "--out", "m", "--device", "nope"], "device: cpu, cuda, "),
        (["train", "task", "attention", "--out", "m", "--device", "nope"], "device: cpu, cuda, "),
        (["zero-shot", "attention", "--set", "vocabulary=64", "--device", "nope"], "device: cpu, cuda, "),
        (["train", "lm", "attention", "--out", f"{__file__}/m"], "test_cli.py is a file; name a folder"),
        (["train", "task", "attention", "--out", __file__], "test_cli.py is a file; name a folder"),
        (["tag", "--out", f"{__file__}/tags.parquet"], "test_cli.py is a file; name a folder"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call(*arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and message in lines[0], lines
    assert not list(tmp_path.iterdir())


def test_help_loads_no_heavy_library():
    code = (
        "import sys\nfrom recallscope.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = ('torch', 'transformers', 'plotly', 'numpy', 'scipy', 'pyarrow', 'sympy')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"
    assert "state" in done.stdout and "cost" in done.stdout
    assert "slice" in done.stdout and "tag" in done.stdout and "train" in done.stdout


def test_import_and_tagging_open_no_socket(folder):
    code = (
        "import socket, sys\n"
        "def refuse(*a, **k):\n    raise AssertionError('a socket was opened')\n"
        "socket.socket.connect = refuse\nsocket.getaddrinfo = refuse\n"
        "import recallscope.slicing.run, transformers\n"
        "from recallscope.slicing.tag_text import tag_text\n"
        f"print(tag_text({str(folder / 'text')!r})['documents'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "3", done.stderr
