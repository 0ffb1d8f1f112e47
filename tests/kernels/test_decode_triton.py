"""The Triton decoding step of matrix states against the float64 references: in the interpreter, or on a GPU."""

from __future__ import annotations

import pytest
import torch
from kernel_cases import assert_close, make, poisoned, some_state
from recallscope_kernels import delta_rule_decode, linear_attention_decode, simple_gla_decode
from recallscope_kernels.ops import OPERATORS, Shape, decoding
from torch.utils.flop_counter import FlopCounterMode
from triton_cases import DEVICE, DTYPES, filled_with_nan, runs

__all__ = ["filled_with_nan"]  # for every test
STEPS = {
    "linear_attention": linear_attention_decode,
    "simple_gla": simple_gla_decode,
    "delta_rule": lambda q, k, v, beta, state, **options: delta_rule_decode(q, k, v, beta, None, state, **options),
    "gated_delta_rule": delta_rule_decode,
}
pytestmark = runs


@pytest.mark.parametrize(("key", "value"), [(1, 1), (17, 33), (64, 130), (300, 5)])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", STEPS)
def test_one_more_token(name, dtype, key, value):
    """Beside operands and states there is NaN: none of it may be read, and none of it written over."""
    given = make(name, 1, dtype, key, value)
    around = torch.full((4, 2, key, value), torch.nan)
    around[1:3] = some_state(name, dtype, key, value)
    around = around.to(DEVICE)
    want, last = OPERATORS[name].reference(*given, initial_state=around[1:3].cpu(), scale=0.3)
    got = STEPS[name](*(poisoned(u).to(DEVICE) for u in given), around[1:3], scale=0.3, implementation="triton")
    assert got.dtype == dtype
    assert_close("outputs", got.cpu(), want, dtype)
    assert_close("state, in place", around[1:3].cpu(), last, torch.float32)
    assert around[0].isnan().all() and around[3].isnan().all()


def test_widths_that_are_not_contiguous_are_copied():
    q, k, v = make("linear_attention", 1, DTYPES[0], 16, 8)
    state = some_state("linear_attention", DTYPES[0], 16, 8)
    want, _ = OPERATORS["linear_attention"].reference(q, k, v, initial_state=state)
    q, k, v = (u.mT.contiguous().mT.to(DEVICE) for u in (q, k, v))
    got = linear_attention_decode(q, k, v, state.to(DEVICE), implementation="triton")
    assert_close("outputs", got.cpu(), want, DTYPES[0])


@pytest.mark.parametrize("name", STEPS)
def test_flops_and_the_call_of_the_profile(name):
    shape = Shape(2, 10, 3, 16, 40)
    step = decoding(name, shape, DTYPES[0], DEVICE, "triton")
    with FlopCounterMode(display=False) as counter:
        assert step().shape == (2, 1, 3, 40)
    assert counter.get_total_flops() == OPERATORS[name].cost(shape, "decode", "triton").executed_flops


def test_the_custom_op_is_checked_by_torch():
    given = [u.to(DEVICE) for u in make("gated_delta_rule", 1, DTYPES[0], 4, 3)]
    op, utilities = torch.ops.recallscope.matrix_decode_triton, ("test_schema", "test_faketensor")
    torch.library.opcheck(op, (*given, torch.ones(2, 2, 4, 3, device=DEVICE), 0.5), test_utils=utilities)


def test_nan_in_is_nan_out():
    q, k, v, beta, log_decay = (u.to(DEVICE) for u in make("gated_delta_rule", 1, DTYPES[0]))
    log_decay[1, 0, 0] = torch.nan
    state = torch.ones(2, 2, 16, 16, device=DEVICE)
    o = delta_rule_decode(q, k, v, beta, log_decay, state, implementation="triton")
    assert o[1, 0, 0].isnan().all() and o.isnan().sum() == 16
    assert state[1, 0].isnan().all() and state.isnan().sum() == 256
