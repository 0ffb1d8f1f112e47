"""The table of numbers: shape, round trip, refusals."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest
from recallscope import evidence as module
from recallscope.evidence import COLUMNS, evidence, origin, read_evidence, write_evidence

ROW = {"subject": "based", "metric": "accuracy", "value": 0.5, "unit": "1", "kind": "measured"}


def test_rows_become_columns_and_lacking_values_null():
    table = evidence([ROW | {"seed": 1}, ROW | {"value": None, "n": 3, "device": "cpu"}])
    assert table.column_names == [*COLUMNS, "seed", "device"]
    assert table["value"].to_pylist() == [0.5, None]
    assert table["n"].to_pylist() == [None, 3] and table["seed"].to_pylist() == [1, None]


def test_round_trip(tmp_path):
    table = evidence([ROW | {"seed": 1}, ROW | {"value": None, "device": "cpu"}])
    write_evidence(table, tmp_path / "a.jsonl")
    write_evidence(evidence([ROW]), tmp_path / "b.jsonl")
    assert read_evidence(tmp_path / "a.jsonl").equals(table)
    assert len(read_evidence(tmp_path / "a.jsonl", tmp_path / "b.jsonl")) == 3
    assert not list(tmp_path.glob("*.tmp"))


def test_bad_rows(tmp_path):
    with pytest.raises(ValueError, match=r"rows\[0\]: subject, .* are required, unit missing"):
        evidence([{k: v for k, v in ROW.items() if k != "unit"}])
    with pytest.raises(ValueError, match=r"rows\[1\]: kind is one of published, measured, derived, got 'guess'"):
        evidence([ROW, ROW | {"kind": "guess"}])
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{')
    with pytest.raises(ValueError, match=r"a\.jsonl, line 2 is not JSON"):
        read_evidence(tmp_path / "a.jsonl")
    with pytest.raises(ValueError, match=r"paths: .* cannot be read"):
        read_evidence(tmp_path / "none.jsonl")


def test_rows_say_what_made_them(tmp_path, monkeypatch):
    """Here a commit of this checkout; in an installation the version, whatever checkout it may lie in."""
    here = Path(module.__file__).parent
    made = origin()
    if subprocess.run(["git", "-C", str(here), "rev-parse"], capture_output=True).returncode == 0:
        head = subprocess.run(["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True).stdout
        assert head.startswith(made["commit"].removesuffix("-dirty")) and len(made["commit"]) >= 12
    assert made["python"] == platform.python_version()
    assert abs((datetime.now(UTC) - datetime.fromisoformat(made["time"])).total_seconds()) < 60
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.setattr(module, "__file__", str(tmp_path / "evidence.py"))
    module._code.cache_clear()
    try:
        assert origin()["version"] == version("recallscope") and "commit" not in origin()
    finally:
        monkeypatch.undo()
        module._code.cache_clear()
