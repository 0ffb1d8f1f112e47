"""Closed-form costs against what is counted: FLOPs as they run, pairs one by one, bytes and states of real tensors."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from recallscope.architectures.counting import count_flops
from recallscope.architectures.mixers.based import Based
from recallscope_kernels.ops import OPERATORS, Shape, decoding, operands
from recallscope_kernels.ops._shape import pairs, squares
from torch.utils.flop_counter import FlopCounterMode

SHAPES = [Shape(2, t, 3, k, v) for t, (k, v) in product((1, 63, 64, 65, 130), ((16, 16), (8, 12)))]
SUBJECTS = [(name, operator.implementations[0]) for name, operator in OPERATORS.items() if name != "attention"]
CASES = [(*subject, shape) for subject in SUBJECTS for shape in SHAPES]
CACHED = ("attention", "window_attention")  # their states are keys and values
MATRIX = [name for name in OPERATORS if name not in CACHED and not name.endswith("convolution")]
# torch on a CPU pads values of another width than keys, and counts the padding
CASES += [("attention", backend, shape) for backend in ("flash", "math") for shape in SHAPES if shape.K == shape.V]


@pytest.mark.parametrize(("name", "implementation", "shape"), CASES, ids=lambda x: str(x))
def test_executed_flops(name, implementation, shape):
    operator = OPERATORS[name]
    given = [u.requires_grad_() for u in operands(name, shape)]
    with count_flops() as forward:
        o, _ = operator.run(*given, implementation=implementation)
    with count_flops() as backward:
        torch.autograd.grad(o, given, torch.ones_like(o))
    assert forward.flops == operator.cost(shape, "fwd", implementation).executed_flops
    assert backward.flops == operator.cost(shape, "bwd", implementation).executed_flops


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("shape", SHAPES[::2], ids=str)
def test_decode_flops(name, shape):
    step = decoding(name, shape)
    with count_flops() as count:
        step()
    cost = OPERATORS[name].cost(shape, "decode")
    assert count.flops == cost.executed_flops == cost.useful_flops


def test_torch_itself_sees_the_custom_ops():
    """Without this toolkit's additions to torch's counter."""
    shape = Shape(2, 130, 3, 16, 16)
    given = [u.requires_grad_() for u in operands("based", shape)]
    with FlopCounterMode(display=False) as counter:
        o, _ = OPERATORS["based"].run(*given)
        torch.autograd.grad(o, given, torch.ones_like(o))
    costs = [OPERATORS["based"].cost(shape, mode).executed_flops for mode in ("fwd", "bwd")]
    assert counter.get_total_flops() == sum(costs)  # type: ignore[arg-type]


@pytest.mark.parametrize(("time", "chunk"), [(1, 1), (7, 3), (64, 64), (65, 64), (130, 64), (5, 100)])
def test_pairs_one_by_one(time, chunk):
    same = [(i, j) for i in range(time) for j in range(time) if i // chunk == j // chunk]
    assert pairs(time, chunk) == sum(j <= i for i, j in same)
    assert squares(time, chunk) == len(same)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_useful_is_at_most_executed(name, shape):
    for mode in ("fwd", "bwd", "decode"):
        cost = OPERATORS[name].cost(shape, mode)
        assert cost.executed_flops is not None
        spared = 8 * shape.B * shape.H * 64 * shape.K * shape.V if mode == "bwd" else 0  # states without a gradient
        assert 0 < cost.useful_flops <= cost.executed_flops + spared


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bytes_are_those_of_the_tensors(name, dtype):
    """Forward: operands and outputs. Backward: operands, the gradient of the outputs, the gradients of the operands."""
    shape = Shape(2, 130, 3, 16, 16)
    given = operands(name, shape, dtype)
    o = OPERATORS[name].run(*given)[0]
    inputs, outputs = sum(u.nbytes for u in given), o.nbytes
    sums = 4 * shape.B * shape.T * shape.H  # float32, a number a token and head
    kept = (sums, outputs + 2 * sums) if name in CACHED else (0, 0)
    if name in ("based", "jrt_prefix"):
        kept = 0, outputs + sums
    assert OPERATORS[name].cost(shape, "fwd", itemsize=dtype.itemsize).fused_bytes == inputs + outputs + kept[0]
    assert OPERATORS[name].cost(shape, "bwd", itemsize=dtype.itemsize).fused_bytes == 2 * inputs + outputs + kept[1]


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_decode_bytes_are_those_of_the_tensors(name, dtype):
    """One token's operands and output once; the state read and written, but a cache only read.

    A window's cache gives one token up for the new one; a filter is read for 70 tokens and the new one.
    """
    shape, token = Shape(2, 70, 3, 16, 16), Shape(2, 1, 3, 16, 16)
    gates = [gate for gate in OPERATORS[name].extra if gate != "prefix"]
    given = operands(name, token, dtype)[: 3 + len(gates)]
    moved = sum(u.numel() * dtype.itemsize for u in (*given, given[2 if name in MATRIX or name in CACHED else 0]))
    state = OPERATORS[name].run(*operands(name, shape), output_final_state=True)[1]
    if name in CACHED:
        dropped = given[1].numel() + given[2].numel() if name == "window_attention" else 0
        moved += (sum(u.numel() for u in state) - dropped) * dtype.itemsize
    elif name == "short_convolution":
        moved += 2 * state.numel() * dtype.itemsize  # inputs, in the precision of the operands
    elif name == "fft_convolution":
        moved += (2 + 1) * 70 * 3 * 16 * dtype.itemsize  # inputs of two sequences, one filter
    else:
        moved += 2 * state.numel() * state.element_size()
    assert OPERATORS[name].cost(shape, "decode", itemsize=dtype.itemsize).fused_bytes == moved


@pytest.mark.parametrize("name", OPERATORS)
def test_states_are_those_that_come_out(name):
    shape = Shape(2, 70, 3, 16, 16)
    state = OPERATORS[name].run(*operands(name, shape), output_final_state=True)[1]
    elements = sum(u.numel() for u in state) if name in CACHED else state.numel()
    assert OPERATORS[name].cost(shape).state_elements == elements


def test_numbers_of_the_based_paper_s_shape():
    """d = 16, values of 64 (arXiv 2402.18668): 153 symmetric features, by hand."""
    cost = OPERATORS["based"].cost(Shape(1, 64, 1, 16, 64))
    assert cost.state_elements == 153 * 65
    assert cost.fused_bytes == 64 * 320  # bfloat16
    assert cost.useful_flops == 64 * 4 * 153 * 65 + 2 * (16 + 65) * 64 * 65 // 2
    mixer = Based(64, heads=1, key_width=16, symmetric=True, chunk=64)
    assert cost.executed_flops == mixer.prefill_flops(64) - 2 * 64 * mixer.parameters_count()


def test_what_is_a_library_s_own_is_not_guessed():
    shape = Shape(1, 64, 1, 16, 64)
    assert OPERATORS["based"].cost(shape, implementation="fla-parallel").executed_flops is None
    for name, operator in OPERATORS.items():
        for library in set(operator.implementations) & {"fla", "flex", "flash-attn", "flash-attn-3", "mamba-ssm"}:
            assert operator.cost(shape, implementation=library).executed_flops is None, f"{name}:{library}"
