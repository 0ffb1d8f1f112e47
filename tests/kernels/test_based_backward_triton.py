"""Based's backward pass in Triton against the gradients of the float64 reference, and counted."""

from __future__ import annotations

import pytest
import torch
from kernel_cases import LENGTHS, assert_close, gradients, make, poisoned, some_state
from recallscope_kernels import based
from recallscope_kernels.ops import Shape, operands
from recallscope_kernels.ops.based import based_cost, based_reference
from recallscope_kernels.ops.based.cost import triton_backward_bytes, triton_backward_flops
from recallscope_kernels.ops.based.custom_ops import based_triton
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from triton_cases import DEVICE, DTYPES, INSTALLED, INTERPRETED, counted_products, filled_with_nan, runs

__all__ = ["filled_with_nan"]  # for every test


def check_gradients(given: list[Tensor], state: Tensor | None, dtype: torch.dtype, **options: float) -> None:
    """Of outputs and last state, for all operands; those of queries and keys are near 0 at T = 1 (`gradients`)."""
    given = [u.to(DEVICE).requires_grad_() for u in given]
    exact = [u.detach().double().requires_grad_() for u in given]
    mine, theirs = [], []
    if state is not None:
        mine, theirs = [state.to(DEVICE).requires_grad_()], [state.double().to(DEVICE).requires_grad_()]
    got = based(
        *given, initial_state=mine[0] if mine else None, output_final_state=True, implementation="triton", **options
    )
    want = based_reference(*exact, initial_state=theirs[0] if theirs else None, **options)
    pairs = zip(gradients(got, given + mine), gradients(want, exact + theirs), strict=True)
    for name, (a, b) in zip(("q", "k", "v", "state"), pairs, strict=False):
        assert a.dtype == (torch.float32 if name == "state" else dtype)
        assert_close(f"gradient of {name}", a, b, dtype)


@runs
@pytest.mark.parametrize(("dtype", "time"), [*((DTYPES[0], t) for t in LENGTHS), (DTYPES[1], 65), (DTYPES[1], 130)])
def test_gradients(dtype, time):
    """Around the operands there is NaN, and in what torch allocates; from a state and without one."""
    given = [poisoned(u) for u in make("based", time, dtype)]
    check_gradients(given, None, dtype)
    check_gradients([u[1:] for u in given], some_state("based", dtype)[1:], dtype)


@runs
@pytest.mark.parametrize("value", [32, 64, 128])
def test_value_widths_and_scales(value):
    """More than 64 columns are two programs, each with a part of the gradients of q and k."""
    given = operands("based", Shape(1, 70, 1, 16, value), DTYPES[0])
    state = some_state("based", DTYPES[0], 16, value)[:1, :1].contiguous()
    check_gradients(given, state, DTYPES[0], scale=0.3)


@runs
@pytest.mark.parametrize(("value", "time", "spans", "with_state"), [(16, 200, 4, False), (128, 140, 2, True)])
def test_spans_of_time_side_by_side_are_one_sequence(value, time, spans, with_state):
    """With the gradient of the last state and without; of one block of values, and of two, from a state."""
    dtype = DTYPES[0]
    given = [u.to(DEVICE) for u in operands("based", Shape(1, time, 2, 16, value), dtype)]
    state = [some_state("based", dtype, 16, value)[:1].contiguous().to(DEVICE)] if with_state else []
    leaves = [u.requires_grad_() for u in given + state]
    exact = [u.detach().double().requires_grad_() for u in leaves]
    want = based_reference(*exact[:3], scale=0.3, initial_state=exact[3] if state else None)
    for of_state in (False, True):
        wanted = gradients((want[0], want[1] if of_state else None), exact, retain=True)
        o, _, last = based_triton(*given, 0.3, state[0] if state else None, True, spans)
        got = gradients((o, last if of_state else None), leaves)
        for name, a, b in zip(("q", "k", "v", "state"), got, wanted, strict=False):
            assert_close(f"gradient of {name}", a, b, dtype)


@runs
def test_strides_and_absent_gradients():
    """A gradient that is one number everywhere, or in the middle of NaN; of outputs alone, or of the state alone."""
    q, k, v = (u.to(DEVICE).requires_grad_() for u in operands("based", Shape(1, 65, 2, 16, 16), DTYPES[0]))
    exact = [u.detach().double().requires_grad_() for u in (q, k, v)]
    o, state = based(q, k, v, output_final_state=True, implementation="triton")
    want, last = based_reference(*exact)
    inside = poisoned(torch.randn(o.shape, generator=torch.Generator().manual_seed(1)).to(o))
    for grad in (torch.ones((), dtype=o.dtype, device=DEVICE).expand_as(o), inside):
        got = torch.autograd.grad(o, (q, k, v), grad, retain_graph=True)
        for a, b in zip(got, torch.autograd.grad(want, exact, grad.double(), retain_graph=True), strict=True):
            assert_close("gradient from outputs", a, b, DTYPES[0])
    assert state is not None
    dk, dv = torch.autograd.grad(state.sum(), (k, v))
    for a, b in zip((dk, dv), torch.autograd.grad(last.sum(), exact[1:]), strict=True):
        assert_close("gradient from the state", a, b, DTYPES[0])


@runs
def test_nan_in_is_nan_out():
    """A NaN output gradient reaches the queries of its token and all keys and values up to it, and no other head."""
    q, k, v = (u.to(DEVICE).requires_grad_() for u in operands("based", Shape(1, 130, 2, 16, 16), DTYPES[0]))
    o, _ = based(q, k, v, implementation="triton")
    grad = torch.ones_like(o)
    grad[0, 70, 1, 0] = torch.nan
    dq, dk, dv = torch.autograd.grad(o, (q, k, v), grad)
    assert dq[0, 70, 1].isnan().all() and dk[0, :71, 1].isnan().all() and dv[0, :71, 1, 0].isnan().all()
    assert not any(u[0, :, 0].isnan().any() for u in (dq, dk, dv)) and not dq[0, :64].isnan().any()
    assert not dk[0, 128:].isnan().any() and not dv[0, 128:].isnan().any()


@pytest.mark.skipif(not (INSTALLED and INTERPRETED), reason="counts the interpreter's products, in the child")
@pytest.mark.parametrize(("time", "value", "spans"), [(1, 16, 1), (64, 32, 1), (130, 128, 1), (300, 16, 3)])
def test_executed_flops_are_those_that_run(time, value, spans, monkeypatch):
    """Every product that the interpreter executes, counted as 2 M N K from the matrices themselves."""
    shape = Shape(1, time, 1, 16, value)
    given = [u.requires_grad_() for u in operands("based", shape)]
    o, _, _ = based_triton(*given, 0.25, None, True, spans)
    counted = counted_products(monkeypatch)
    with FlopCounterMode(display=False) as counter:
        torch.autograd.grad(o, given, torch.ones_like(o))
    assert sum(counted) == triton_backward_flops(shape, spans) == counter.get_total_flops()
    assert based_cost(shape, "bwd", "triton").executed_flops == triton_backward_flops(shape)


@pytest.mark.skipif(not (INSTALLED and INTERPRETED), reason="counts the interpreter's loads and stores, in the child")
@pytest.mark.parametrize("dtype", DTYPES)
def test_bytes_are_those_that_are_loaded_and_stored(dtype, monkeypatch):
    from triton.runtime.interpreter import InterpreterBuilder

    shape = Shape(1, 70, 1, 16, 32)
    given = [u.requires_grad_() for u in operands("based", shape, dtype)]
    o, _ = based(*given, implementation="triton")
    moved, load, store = [], InterpreterBuilder.create_masked_load, InterpreterBuilder.create_masked_store

    def count(pointers, mask):
        moved.append(int(mask.data.sum()) * pointers.dtype.element_ty.primitive_bitwidth // 8)

    def counted_load(self, pointers, mask, *rest):
        count(pointers, mask)
        return load(self, pointers, mask, *rest)

    def counted_store(self, pointers, value, mask, *rest):
        count(pointers, mask)
        return store(self, pointers, value, mask, *rest)

    monkeypatch.setattr(InterpreterBuilder, "create_masked_load", counted_load)
    monkeypatch.setattr(InterpreterBuilder, "create_masked_store", counted_store)
    torch.autograd.grad(o, given, torch.ones_like(o))
    assert sum(moved) == triton_backward_bytes(shape, dtype.itemsize)


@runs
def test_the_custom_op_is_checked_by_torch():
    given = [u.to(DEVICE).requires_grad_() for u in operands("based", Shape(1, 3, 1, 16, 16), DTYPES[0])]
    state = some_state("based", DTYPES[0])[:1, :1].contiguous().to(DEVICE).requires_grad_()
    utilities = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(torch.ops.recallscope.based_triton, (*given, 0.5, state, True, 1), test_utils=utilities)
