"""A run on Daft's workers opens no socket to anywhere, and Daft reports nothing; see tests/test_no_network.py."""

from __future__ import annotations

import shutil
import sys

import pytest
from test_no_network import ADDRESS, traced

pytest.importorskip("daft")


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace on PATH")
def test_daft_opens_no_socket(tmp_path):
    (tmp_path / "text.txt").write_text("the cat sat on the mat and the cat sat again\n" * 8)
    words = "slice attention hyena --text text.txt --out run --engine daft --workers 2".split()
    code, calls = traced([sys.executable, "-m", "recallscope.cli", *words], tmp_path)
    assert code == 0 and (tmp_path / "run" / "report.html").is_file()
    assert not ADDRESS.findall(calls), calls
