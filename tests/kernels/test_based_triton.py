"""The Triton kernel: interpreted, against the float64 reference, and counted; and compiled ahead of time for sm_90."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from kernel_cases import LENGTHS, assert_close, gradients, make, poisoned, some_state
from recallscope_kernels import based, based_decode
from recallscope_kernels.ops import Shape, operands
from recallscope_kernels.ops.based import based_cost, based_reference
from recallscope_kernels.ops.based.packing import pack, unpack
from torch.utils.flop_counter import FlopCounterMode

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what deterministic products need on a GPU
INSTALLED = importlib.util.find_spec("triton") is not None
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() and not INTERPRETED else "cpu"
DTYPES = [torch.float32, torch.float16] if INTERPRETED else [torch.bfloat16, torch.float16]
ROOT = Path(__file__).parents[2]
runs = pytest.mark.skipif(not (INSTALLED and (INTERPRETED or DEVICE == "cuda")), reason="run in a child, interpreted")


def child(arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Another Python: how Triton treats kernels is settled when it is imported."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "TRITON_INTERPRET"))}
    path = os.pathsep.join(str(ROOT / name) for name in ("analysis", "kernels", "tests"))
    call = [sys.executable, "-W", "ignore", *arguments]
    return subprocess.run(call, env=kept | {"PYTHONPATH": path} | environment, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.skipif(not INSTALLED, reason="triton is not installed")
@pytest.mark.skipif(INTERPRETED or DEVICE == "cuda", reason="the tests below run here")
def test_the_interpreter_suite():
    done = child(["-m", "pytest", "-q", "-p", "no:cacheprovider", __file__], TRITON_INTERPRET="1")
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout[-3000:] + done.stderr[-2000:]


@pytest.fixture
def filled_with_nan():
    """What torch allocates without a value is NaN."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@runs
@pytest.mark.usefixtures("filled_with_nan")
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize(("dtype", "time"), [*((DTYPES[0], t) for t in LENGTHS), (DTYPES[1], 65), (DTYPES[1], 130)])
def test_outputs_and_states(dtype, time, with_state):
    given = [poisoned(u).to(DEVICE) for u in make("based", time, dtype)]
    state = some_state("based", dtype).to(DEVICE) if with_state else None
    got = based(*given, initial_state=state, output_final_state=True, implementation="triton")
    want = based_reference(*given, initial_state=state)
    assert got[0].dtype == dtype
    assert_close("outputs", got[0], want[0], dtype)
    assert_close("state", got[1], want[1], dtype)  # type: ignore[arg-type]


@runs
@pytest.mark.usefixtures("filled_with_nan")
def test_gradients():
    state = some_state("based", DTYPES[0]).to(DEVICE)
    given = [u.to(DEVICE).requires_grad_() for u in (*make("based", 65, DTYPES[0]), state)]
    exact = [u.detach().double().requires_grad_() for u in given]
    got = based(*given[:3], initial_state=given[3], output_final_state=True, implementation="triton")
    want = based_reference(*exact[:3], initial_state=exact[3])
    for pair in zip(gradients(got, given), gradients(want, exact), strict=True):
        assert_close("gradient", *pair, DTYPES[0])


@runs
def test_nothing_is_kept_that_nobody_asked_for():
    given = operands("based", Shape(1, 65, 1, 16, 16), DTYPES[0], DEVICE)
    o, state = based(*given, implementation="triton")
    assert state is None
    assert torch.equal(o, based(*given, output_final_state=True, implementation="triton")[0])


@runs
@pytest.mark.parametrize("value", [16, 64, 128])
def test_value_widths_and_scales(value):
    given = operands("based", Shape(1, 70, 2, 16, value), DTYPES[0], DEVICE)
    got = based(*given, scale=0.3, output_final_state=True, implementation="triton")
    want = based_reference(*(u.cpu() for u in given), scale=0.3)
    assert_close("outputs", got[0].cpu(), want[0], DTYPES[0])
    assert_close("state", got[1].cpu(), want[1], DTYPES[0])  # type: ignore[union-attr]


@runs
def test_large_keys_do_not_overflow_half_precision():
    """Their squares sum to 117,000, beyond float16; scaled they do not."""
    q, k, v = operands("based", Shape(1, 130, 1, 16, 16), torch.float16, DEVICE)
    q, k = q / 30, k.sign() * 30
    assert_close("outputs", based(q, k, v, implementation="triton")[0], based_reference(q, k, v)[0], torch.float16)


@runs
def test_nan_in_is_nan_out():
    given = operands("based", Shape(1, 130, 2, 16, 16), DTYPES[0], DEVICE)
    given[1][0, 70, 1, 0] = torch.nan
    o, _ = based(*given, implementation="triton")
    assert o[0, 70:, 1].isnan().all() and not o[0, :, 0].isnan().any() and not o[0, :64].isnan().any()


@runs
@pytest.mark.parametrize(("key", "value"), [(16, 64), (8, 5), (3, 130)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_decoding_is_one_more_token(dtype, key, value):
    state = some_state("based", dtype, key, value).to(DEVICE)
    q, k, v = (u.to(DEVICE) for u in make("based", 1, dtype, key, value))
    want, last = based_reference(q, k, v, initial_state=state)
    got = based_decode(q, k, v, state, implementation="triton")
    assert_close("outputs", got, want, dtype)
    assert_close("state, in place", state, last, torch.float32)


@pytest.mark.skipif(not (INSTALLED and INTERPRETED), reason="counts the interpreter's products, in the child")
@pytest.mark.parametrize(("time", "value"), [(1, 16), (64, 32), (130, 128)])
def test_executed_flops_are_those_that_run(time, value, monkeypatch):
    """Every product that the interpreter executes, counted as 2 M N K from the matrices themselves."""
    from triton.runtime.interpreter import InterpreterBuilder

    counted, create = [], InterpreterBuilder.create_dot

    def create_dot(self, a, b, *rest):
        counted.append(2 * a.data.size * b.data.shape[-1])
        return create(self, a, b, *rest)

    monkeypatch.setattr(InterpreterBuilder, "create_dot", create_dot)
    shape = Shape(1, time, 2, 16, value)
    with FlopCounterMode(display=False) as counter:
        based(*operands("based", shape), implementation="triton")
    assert sum(counted) == based_cost(shape, implementation="triton").executed_flops == counter.get_total_flops()


def test_packing_is_undone_by_unpacking():
    state = some_state("based", torch.float64)
    torch.testing.assert_close(unpack(*pack(state, 0.3), 0.3), state, rtol=1e-14, atol=1e-14)


@pytest.mark.skipif(not INSTALLED, reason="triton is not installed")
@pytest.mark.skipif(INTERPRETED, reason="kernels are compiled without the interpreter")
def test_compiled_for_hopper():
    """At K = 16, V = 64, chunks of 64, bfloat16: tensor cores by wgmma, nothing spilled, states in and out."""
    done = child(["-m", "recallscope_kernels.profiling.compiled", '[{"keep": true}, {"kernel": "decode"}]'])
    assert done.returncode == 0, done.stderr[-2000:]
    forward, decode = (json.loads(line) for line in done.stdout.splitlines())
    assert forward["wgmma"] >= 60 and forward["mma_sync"] <= 8 and forward["shared_bytes"] <= 113 * 1024
    for row in (forward, decode):
        assert row["target"] == "sm_90" and row["registers"] <= 255
        assert row["spill_store_bytes"] == row["spill_load_bytes"] == row["stack_bytes"] == 0
