"""What the tests of Triton kernels share: where they run, in which precision, and another Python to run them in."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what deterministic products need on a GPU
INSTALLED = importlib.util.find_spec("triton") is not None
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() and not INTERPRETED else "cpu"
DTYPES = [torch.float32, torch.float16] if INTERPRETED else [torch.bfloat16, torch.float16]
ROOT = Path(__file__).parents[1]
runs = pytest.mark.skipif(not (INSTALLED and (INTERPRETED or DEVICE == "cuda")), reason="run in a child, interpreted")


def child(arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Another Python: how Triton treats kernels is settled when it is imported."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "TRITON_INTERPRET"))}
    path = os.pathsep.join(str(ROOT / name) for name in ("analysis", "kernels", "tests"))
    call = [sys.executable, "-W", "ignore", *arguments]
    return subprocess.run(call, env=kept | {"PYTHONPATH": path} | environment, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(autouse=True)
def filled_with_nan():
    """What torch allocates without a value is NaN."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def counted_products(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Gets 2 M N K of every product that the interpreter executes from now on, from the matrices themselves."""
    from triton.runtime.interpreter import InterpreterBuilder

    counted: list[int] = []
    create = InterpreterBuilder.create_dot

    def create_dot(self, a, b, *rest):
        counted.append(2 * a.data.size * b.data.shape[-1])
        return create(self, a, b, *rest)

    monkeypatch.setattr(InterpreterBuilder, "create_dot", create_dot)
    return counted
