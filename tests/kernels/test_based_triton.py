"""The Triton kernels of Based against the float64 reference, and counted: in the interpreter, or on a GPU."""

from __future__ import annotations

import pytest
import torch
from kernel_cases import LENGTHS, assert_close, make, poisoned, some_state
from recallscope_kernels import based, based_decode, jrt_prefix
from recallscope_kernels.ops import Shape, operands
from recallscope_kernels.ops.based import based_cost, based_reference
from recallscope_kernels.ops.based.cost import triton_forward_flops
from recallscope_kernels.ops.based.custom_ops import based_triton
from recallscope_kernels.ops.based.packing import pack, unpack
from recallscope_kernels.ops.based.spans import span_count, spans_of
from recallscope_kernels.ops.jrt_prefix import jrt_prefix_reference
from torch.utils.flop_counter import FlopCounterMode
from triton_cases import DEVICE, DTYPES, INSTALLED, INTERPRETED, counted_products, filled_with_nan, runs

__all__ = ["filled_with_nan"]  # for every test


@runs
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
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_kernel_goes_on_from_an_encoded_prefix(dtype):
    given = [poisoned(u).to(DEVICE) for u in make("jrt_prefix", 70, dtype)]
    got = jrt_prefix(*given, output_final_state=True, implementation="triton")
    want = jrt_prefix_reference(*given)
    assert_close("outputs", got[0], want[0], dtype)
    assert_close("state", got[1], want[1], dtype)  # type: ignore[arg-type]


@runs
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize(("time", "spans", "dtype"), [(300, 3, 0), (256, 4, 0), (200, 2, 1), (130, 9, 0), (1, 2, 0)])
def test_spans_of_time_side_by_side_are_one_sequence(time, spans, dtype, with_state):
    """Each span from the sums of those before it; 9 spans of 130 tokens are 3, of whole chunks."""
    given = [poisoned(u).to(DEVICE) for u in make("based", time, DTYPES[dtype])]
    state = some_state("based", DTYPES[dtype]).to(DEVICE) if with_state else None
    o, normaliser, last = based_triton(*given, 0.3, state, True, spans)
    want = based_reference(*given, scale=0.3, initial_state=state)
    assert_close("outputs", o, want[0], DTYPES[dtype])
    assert_close("state", last, want[1], DTYPES[dtype])
    assert_close("normaliser", normaliser, based_triton(*given, 0.3, state, True, 1)[1], DTYPES[dtype])


@runs
@pytest.mark.parametrize("time", [128, 1024])
def test_errors_in_half_precision_are_little_more_than_the_rounding_of_outputs_and_do_not_grow(time):
    """The first are the largest, where few values are summed. 2e-3 of bfloat16, three bits shorter, are 2.5e-4 here."""
    q, k, v = operands("based", Shape(1, time, 1, 16, 64), torch.float16, DEVICE)
    want = based(q.double(), k.double(), v.double(), implementation="chunked")[0]
    got = based(q, k, v, implementation="triton")[0].double()
    error, rounding = ((u - want).norm() / want.norm() for u in (got, want.half().double()))
    assert 0.9 * rounding < error < 2.5e-4


def test_spans_fill_the_device_and_no_more():
    """Two programs a multiprocessor: an H200 has room for 264."""
    assert span_count(256, 32768, 264) == span_count(133, 32768, 264) == 1
    assert (span_count(16, 32768, 264), span_count(16, 4096, 264), span_count(132, 4096, 264)) == (16, 8, 2)
    assert span_count(16, 1023, 264) == span_count(0, 4096, 264 * 0) == span_count(1, 32768, 0) == 1
    assert spans_of(*operands("based", Shape(1, 4096, 1, 16, 16), DTYPES[0], "cpu")[1:]) == 1


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
@pytest.mark.parametrize(
    ("time", "value", "spans"), [(1, 16, 1), (64, 32, 1), (130, 128, 1), (300, 16, 3), (130, 128, 9)]
)
def test_executed_flops_are_those_that_run(time, value, spans, monkeypatch):
    """Every product that the interpreter executes, counted as 2 M N K from the matrices themselves."""
    counted = counted_products(monkeypatch)
    shape = Shape(1, time, 2, 16, value)
    with FlopCounterMode(display=False) as counter:
        based_triton(*operands("based", shape), 0.25, None, False, spans)
    assert sum(counted) == triton_forward_flops(shape, spans) == counter.get_total_flops()
    assert based_cost(shape, implementation="triton").executed_flops == triton_forward_flops(shape)


def test_packing_is_undone_by_unpacking():
    state = some_state("based", torch.float64)
    torch.testing.assert_close(unpack(*pack(state, 0.3), 0.3), state, rtol=1e-14, atol=1e-14)
