"""A local run opens no socket to anywhere: the system calls of the whole command, traced."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ADDRESS = re.compile(r"(?:connect|sendto|bind)\(.*AF_INET6?\b")


def traced(command: list[str], folder: Path) -> tuple[int, str]:
    log = folder / "calls"
    strace = ["strace", "-f", "-qq", "-e", "trace=connect,sendto,bind,socket", "-o", str(log)]
    environment = os.environ | {"HF_HUB_OFFLINE": "0", "OMP_NUM_THREADS": "1"}  # nothing but the code keeps it off line
    done = subprocess.run([*strace, *command], cwd=folder, env=environment, capture_output=True, timeout=300)
    return done.returncode, log.read_text()


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace on PATH")
def test_a_slice_of_local_text_opens_no_socket(tmp_path: Path):
    (tmp_path / "text.txt").write_text("the cat sat on the mat and the cat sat again\n" * 8)
    command = [
        sys.executable,
        "-m",
        "recallscope.cli",
        "slice",
        "attention",
        "hyena",
        "--text",
        "text.txt",
        "--out",
        "run",
    ]
    code, calls = traced(command, tmp_path)
    assert code == 0 and (tmp_path / "run" / "report.html").is_file()
    assert not ADDRESS.findall(calls), calls


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace on PATH")
def test_the_trace_would_show_one(tmp_path: Path):
    asks = "import socket\ntry: socket.create_connection(('127.0.0.1', 9), 0.2)\nexcept OSError: pass"
    code, calls = traced([sys.executable, "-c", asks], tmp_path)
    assert code == 0 and ADDRESS.findall(calls)
