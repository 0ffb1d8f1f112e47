"""What needs another Python: the interpreter's suite, and compilation ahead of time for sm_90."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import pytest
from triton_cases import DEVICE, INSTALLED, INTERPRETED, child

pytestmark = [
    pytest.mark.skipif(not INSTALLED, reason="triton is not installed"),
    pytest.mark.skipif(INTERPRETED, reason="this is the child"),
]
NAMES = ("based_triton", "based_backward_triton", "jrt_prefix_triton", "decode_triton", "short_convolution")
SUITE = [str(Path(__file__).with_name(f"test_{name}.py")) for name in NAMES]
OLD = "ignore:Conversion of an array with ndim > 0:DeprecationWarning"  # the interpreter of Triton 3.6, with NumPy 2.3
NEW = INSTALLED and tuple(map(int, version("triton").split(".")[:2])) >= (3, 9)
ROWS = [
    {"keep": True},
    {"kernel": "based_backward", "part": "query", "keep": True},
    {"kernel": "based_backward", "part": "key"},
    {"kernel": "based_encode"},
    {"kernel": "based_encode", "part": "asked"},
    {"kernel": "short_convolution"},
    {"kernel": "short_convolution", "part": "backward", "silu": True},
    {"kernel": "short_convolution", "part": "step", "silu": True},
    {"kernel": "decode"},
    {"kernel": "matrix_decode", "delta": True, "decay": True},
    {"kernel": "matrix_decode", "key_width": 256, "value_width": 512, "delta": True, "decay": True},
]


@pytest.mark.skipif(DEVICE == "cuda", reason="they run here")
def test_the_interpreter_suite():
    done = child(["-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", OLD, *SUITE], TRITON_INTERPRET="1")
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout[-3000:] + done.stderr[-2000:]


def test_compiled_for_hopper():
    """Nothing spilled but for keys, by Triton 3.9; Based at K = 16, V = 64, chunks of 64, bfloat16: products by wgmma.

    Triton 3.6 spills 40 bytes for queries. Spills are not the measure: 8 warps spill little for keys, but issue twice
    as much. An H200's memory needs 1,220 cycles for a chunk of the forward kernel (320 bytes a token, 16.8 a
    cycle and multiprocessor), and 4,700 for a step of the decoding kernel.
    """
    done = child(["-m", "recallscope_kernels.profiling.compiled", json.dumps(ROWS)])
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    products, steps = rows[:5], rows[5:]
    for row, wgmma, cycles in zip(products, (34, 50, 65, 10, 10), (1600, 1750, 2300, 420, 560), strict=True):
        assert row["wgmma"] >= wgmma and row["mma_sync"] <= 16 and row["shared_bytes"] <= 113 * 1024
        assert row["issue_cycles"] <= cycles and not row["serialized"] and 0 < row["loop_waits"] <= row["wgmma"]
    assert rows[8]["kernel"] == "based_decode_kernel" and rows[8]["issue_cycles"] <= 1000
    for row in rows:
        assert row["target"] == "sm_90" and row["registers"] <= 255
        if NEW and row["kernel"] != "based_key_gradient_kernel":
            assert row["spill_store_bytes"] == row["spill_load_bytes"] == row["stack_bytes"] == 0
        assert row["spill_store_bytes"] <= 450
    assert len(steps) == 6 and max(row["registers"] for row in steps) <= 224
    forward, backward = steps[
        :2
    ]  # of the short convolution, 16 and 4 tokens of 256 channels: memory takes 970, 365 cycles
    assert forward["issue_cycles"] <= 400 and backward["issue_cycles"] <= 350
