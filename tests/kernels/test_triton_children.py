"""What needs another Python: the interpreter's suite, and compilation ahead of time for sm_90."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from triton_cases import DEVICE, INSTALLED, INTERPRETED, child

pytestmark = [
    pytest.mark.skipif(not INSTALLED, reason="triton is not installed"),
    pytest.mark.skipif(INTERPRETED, reason="this is the child"),
]
SUITE = [str(Path(__file__).with_name(f"test_{name}_triton.py")) for name in ("based", "decode")]
ROWS = [
    {"keep": True},
    {"kernel": "decode"},
    {"kernel": "matrix_decode", "delta": True, "decay": True},
    {"kernel": "matrix_decode", "key_width": 256, "value_width": 512, "delta": True, "decay": True},
]


@pytest.mark.skipif(DEVICE == "cuda", reason="they run here")
def test_the_interpreter_suite():
    done = child(["-m", "pytest", "-q", "-p", "no:cacheprovider", *SUITE], TRITON_INTERPRET="1")
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout[-3000:] + done.stderr[-2000:]


def test_compiled_for_hopper():
    """Nothing spilled; Based at K = 16, V = 64, chunks of 64, bfloat16, with states in and out: products by wgmma."""
    done = child(["-m", "recallscope_kernels.profiling.compiled", json.dumps(ROWS)])
    assert done.returncode == 0, done.stderr[-2000:]
    forward, *steps = (json.loads(line) for line in done.stdout.splitlines())
    assert forward["wgmma"] >= 60 and forward["mma_sync"] <= 8 and forward["shared_bytes"] <= 113 * 1024
    for row in (forward, *steps):
        assert row["target"] == "sm_90" and row["registers"] <= 255
        assert row["spill_store_bytes"] == row["spill_load_bytes"] == row["stack_bytes"] == 0
    assert len(steps) == 3 and max(row["registers"] for row in steps) <= 128
