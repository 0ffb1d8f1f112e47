"""The Triton kernels of prefix linear attention against the float64 reference: interpreted, or on a GPU."""

from __future__ import annotations

import pytest
import torch
from kernel_cases import LENGTHS, assert_close, gradients, make, poisoned, some_state
from recallscope_kernels import based, jrt_prefix
from recallscope_kernels.ops import Shape, operands
from recallscope_kernels.ops.based.packing import unpack
from recallscope_kernels.ops.based.reference import taylor_features
from recallscope_kernels.ops.jrt_prefix import jrt_prefix_cost, jrt_prefix_reference
from recallscope_kernels.ops.jrt_prefix.launch import jrt_prefix_triton, triton_encode
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from triton_cases import DEVICE, DTYPES, INSTALLED, INTERPRETED, counted_products, filled_with_nan, runs

__all__ = ["filled_with_nan"]  # for every test


def operands_of(time: int, prefix: int, dtype: torch.dtype, value: int = 16) -> list[Tensor]:
    """q, k, v of `time` tokens, keys and values of another length, all in the middle of NaN."""
    given = make("based", time, dtype, 16, value) + make("based", max(prefix, 1), dtype, 16, value)[1:]
    return [poisoned(u).to(DEVICE) for u in (*given[:3], *(u[:, :prefix] for u in given[3:]))]


@runs
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize(("dtype", "prefix"), [*((DTYPES[0], m) for m in LENGTHS), (DTYPES[1], 65), (DTYPES[1], 130)])
def test_outputs_and_states(dtype, prefix, with_state):
    given = operands_of(5, prefix, dtype)
    state = some_state("based", dtype).to(DEVICE) if with_state else None
    got = jrt_prefix(*given, initial_state=state, output_final_state=True, implementation="triton")
    want = jrt_prefix_reference(*given, initial_state=state)
    assert got[0].dtype == dtype
    assert_close("outputs", got[0], want[0], dtype)
    assert_close("state", got[1], want[1], dtype)  # type: ignore[arg-type]


@runs
@pytest.mark.parametrize("value", [16, 64, 128])
def test_the_packed_state_is_the_sum_over_the_prefix(value):
    """Every entry of the state that the kernel hands over, for other scales and blocks of values; nothing is NaN."""
    _, _, _, k, v = operands_of(1, 70, DTYPES[0], value)
    packed, moments = triton_encode(k, v, 0.3)
    assert packed.isfinite().all() and packed.shape == (2, 2, 160, value)
    ones = torch.cat([v, torch.ones_like(v[..., :1])], -1).double()
    want = torch.einsum("bmhf,bmhv->bhfv", taylor_features(k.double() * 0.3**0.5), ones)
    assert_close("state", unpack(packed, moments, 0.3), want, DTYPES[0])


@runs
def test_without_a_prefix_it_is_based():
    given = operands_of(70, 0, DTYPES[0])
    got = jrt_prefix(*given, output_final_state=True, implementation="triton")
    want = based(*given[:3], output_final_state=True, implementation="triton")
    for mine, theirs in zip(got, want, strict=True):
        assert mine is not None and theirs is not None and torch.equal(mine, theirs)


@runs
def test_nothing_is_kept_that_nobody_asked_for():
    given = operands_of(5, 65, DTYPES[0])
    o, state = jrt_prefix(*given, implementation="triton")
    assert state is None
    assert torch.equal(o, jrt_prefix(*given, output_final_state=True, implementation="triton")[0])


@runs
def test_nan_in_the_prefix_is_nan_everywhere():
    for place in (3, 4):
        given = operands_of(5, 65, DTYPES[0])
        given[place][0, 64, 1, 0] = torch.nan  # in the second chunk of the prefix, which has one token
        o, _ = jrt_prefix(*given, implementation="triton")
        assert o[0, :, 1, 0].isnan().all() and not o[0, :, 0].isnan().any() and not o[1].isnan().any()


@runs
@pytest.mark.parametrize("place", [0, 3, 4, 5])
def test_gradients_are_those_of_torch(place):
    """One operand at a time needs a gradient: the prefix is encoded in torch, what goes on from it is Triton."""
    given = [*operands_of(5, 66, DTYPES[0]), some_state("based", DTYPES[0]).to(DEVICE)]
    exact = [u.double().requires_grad_(i == place) for i, u in enumerate(given)]
    given[place].requires_grad_()
    got, want = (
        gradients(jrt_prefix(*us[:5], initial_state=us[5], implementation=name), [us[place]])
        for us, name in ((given, "triton"), (exact, "chunked"))
    )
    assert_close("gradient", got[0], want[0], DTYPES[0])


@runs
def test_the_kernels_alone_have_no_gradient():
    given = operands_of(5, 5, DTYPES[0])
    o, _ = jrt_prefix_triton(*given[:4], given[4].requires_grad_(), 0.25, None, False, 1)
    with pytest.raises(RuntimeError, match="no autograd formula was registered"):
        o.sum().backward()


@runs
@pytest.mark.parametrize("keep", [False, True])
def test_the_custom_op_is_checked_by_torch(keep):
    given, state = operands_of(9, 9, DTYPES[0]), some_state("based", DTYPES[0]).to(DEVICE)
    utilities = ("test_schema", "test_faketensor")
    torch.library.opcheck(jrt_prefix_triton, (*given, 0.25, state, keep, 1), test_utils=utilities)


@pytest.mark.skipif(not (INSTALLED and INTERPRETED), reason="counts the interpreter's products, in the child")
@pytest.mark.parametrize(("time", "value"), [(2, 16), (128, 32), (130, 128)])
def test_executed_flops_are_those_that_run(time, value, monkeypatch):
    """Every product that the interpreter executes, counted as 2 M N K from the matrices themselves."""
    counted = counted_products(monkeypatch)
    shape = Shape(1, time, 2, 16, value)
    with FlopCounterMode(display=False) as counter:
        jrt_prefix(*operands("jrt_prefix", shape), implementation="triton")
    assert sum(counted) == jrt_prefix_cost(shape, implementation="triton").executed_flops == counter.get_total_flops()
