"""What operators refuse: one line that names the argument, what is accepted and what came."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from recallscope_kernels import (
    attention,
    based,
    based_decode,
    delta_rule,
    delta_rule_decode,
    linear_attention,
    linear_attention_decode,
    simple_gla,
)
from recallscope_kernels.ops import OPERATORS, Shape, _triton, decoding, operands, operator_by_name
from recallscope_kernels.ops.based import launch
from recallscope_kernels.ops.matrix_state import launch as matrix_launch

Q, K, V = operands("based", Shape(1, 8, 2, 16, 16))
STATE = torch.zeros(1, 2, 153, 17)


@pytest.mark.parametrize("name", [name for name in OPERATORS if not name.endswith("convolution")])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((Q[0], K, V), r"q: \[B, T, H, width\], none of them 0, got \[8, 2, 16\]"),
        ((Q[:, :0], K[:, :0], V[:, :0]), r"q: \[B, T, H, width\], none of them 0, got \[1, 0, 2, 16\]"),
        ((Q, K[..., :8], V), r"k: \[1, 8, 2, 16\] as q is, got \[1, 8, 2, 8\]"),
        ((Q, K, V[:, :, :1]), r"v: \[1, 8, 2, V\] to go with q, got \[1, 8, 1, 16\]"),
        ((Q, K.half(), V), r"k: torch.float32 on cpu as q is, got torch.float16 on cpu"),
        ((Q.int(), K.int(), V.int()), r"q: float16, bfloat16, float32 or float64, got torch.int32"),
    ],
)
def test_operands(name, given, message):
    others = operands(name, Shape(1, 8, 2, 16, 16))[3:]
    with pytest.raises(ValueError, match=message):
        OPERATORS[name].run(*given, *others)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": -1.0}, "scale: a positive finite number, got -1.0"),
        ({"scale": float("nan")}, "scale: a positive finite number, got nan"),
        ({"chunk": 0}, "chunk: a whole number of tokens, at least 1, got 0"),
        ({"implementation": "magic"}, "implementation: one of chunked, triton, .*, got 'magic'"),
        ({"initial_state": STATE[:, :1]}, r"initial_state: \[1, 2, 153, 17\], got \[1, 1, 153, 17\]"),
        ({"initial_state": STATE.half()}, "initial_state: torch.float32 on cpu, got torch.float16"),
        ({"implementation": "fla-parallel"}, "implementation: flash-linear-attention "),
    ],
)
def test_options_of_based(options, message):
    with pytest.raises(ValueError, match=message):
        based(Q, K, V, **options)


def test_decoding():
    one = Q[:, :1], K[:, :1], V[:, :1]
    with pytest.raises(ValueError, match=r"q: one token, \[B, 1, H, K\], got \[1, 8, 2, 16\]"):
        based_decode(Q, K, V, STATE)
    with pytest.raises(ValueError, match=r"state: \[1, 2, 153, 17\], got \[1, 2, 17, 153\]"):
        based_decode(*one, STATE.mT)
    with pytest.raises(ValueError, match="state: contiguous, as it is updated in place"):
        based_decode(*one, torch.zeros(1, 2, 17, 153).mT)
    with pytest.raises(ValueError, match="operator: decoding of based has chunked, triton, got 'fla-parallel'"):
        decoding("based", Shape(1, 1, 1, 16, 16), implementation="fla-parallel")


def test_attention():
    with pytest.raises(ValueError, match="implementation: flash or math on cpu, got 'cudnn'"):
        attention(Q, K, V, implementation="cudnn")
    with pytest.raises(
        ValueError, match=r"implementation: torch cannot run flash here .Flash attention requires q,k,v to have"
    ):
        attention(Q, K, V[..., :8], implementation="flash")
    with pytest.raises(ValueError, match="initial_state: with one, T is 1, got 8 new tokens"):
        attention(Q, K, V, initial_state=(K, V))
    with pytest.raises(ValueError, match=r"initial_state: keys \[1, n, 2, 16\] and values"):
        attention(Q[:, :1], K[:, :1], V[:, :1], initial_state=(K[..., :8], V))


def test_gates():
    with pytest.raises(ValueError, match=r"beta: \[1, 8, 2\] of a floating dtype on cpu, got \[1, 8, 2, 1\]"):
        delta_rule(Q, K, V, torch.ones(1, 8, 2, 1))
    with pytest.raises(ValueError, match=r"log_decay: \[1, 8, 2\] of a floating dtype on cpu, got .* of torch.int64"):
        simple_gla(Q, K, V, torch.ones(1, 8, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"beta: \[1, 1, 2\] of a floating dtype on cpu, got \[1, 2\]"):
        delta_rule_decode(Q[:, :1], K[:, :1], V[:, :1], torch.ones(1, 2), None, torch.zeros(1, 2, 16, 16))
    if importlib.util.find_spec("fla") is None:
        with pytest.raises(ValueError, match="implementation: flash-linear-attention is not installed"):
            delta_rule(Q, K, V, torch.ones(1, 8, 2), implementation="fla")


@pytest.mark.parametrize("name", ["nothing", "nothing:chunked"])
def test_names(name):
    with pytest.raises(ValueError, match=r"operator: one of based, jrt_prefix, attention, .*, got 'nothing'"):
        operator_by_name(name)
    with pytest.raises(ValueError, match="operator: delta_rule has chunked, fla, triton, got 'flash'"):
        operator_by_name("delta_rule:flash")
    with pytest.raises(ValueError, match="implementation: one of chunked, fla, got 'triton'"):  # it decodes only
        linear_attention(Q, K, V, implementation="triton")


def test_shapes():
    with pytest.raises(ValueError, match="shape: T is a whole number of at least 1, got 0"):
        Shape(1, 0, 1, 1, 1)
    for operator in OPERATORS.values():
        with pytest.raises(ValueError, match="mode: one of fwd, bwd, decode, got 'train'"):
            operator.cost(Shape(1, 1, 1, 1, 1), "train")


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
def test_what_the_kernel_does_not_take():
    """`implementation="triton"` says why; left open, it is `chunked` that runs."""

    def refusal(key=16, value=16, dtype=torch.float32, time=8):
        q, k, v = (torch.zeros(1, 1, 1, n, dtype=dtype).expand(1, time, 1, n) for n in (key, key, value))
        return launch.refusal(q, k, v)

    assert refusal(key=8) == "triton takes K = 16, got 8"
    assert refusal(value=48) == "triton takes V of 16, 32 or a multiple of 64, got 48"
    assert refusal(dtype=torch.float64) == "triton takes float16, bfloat16 or float32, got torch.float64"
    far = torch.zeros(1, dtype=torch.float16).as_strided((1, 1, 1, 16), (0, 2**26, 0, 0))
    assert str(launch.refusal(far, far, far)).startswith(
        "triton takes chunks of 64 tokens within 2**31 elements, got strides"
    )
    if not _triton.interpreted() and not torch.cuda.is_available():
        with pytest.raises(ValueError, match=r"implementation: triton takes tensors on a GPU .*, got cpu"):
            based(Q, K, V, implementation="triton")
    o, _ = based(Q[..., :8], K[..., :8], V)
    assert o.shape == V.shape


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
def test_what_the_decoding_kernel_does_not_take():
    def refusal(key=16, value=16, dtype=torch.float32):
        return matrix_launch.refusal(*(torch.zeros(1, dtype=dtype).expand(1, 1, 1, n) for n in (key, value)))

    assert refusal(key=1025) == "triton decodes K of at most 1024, got 1025"
    assert refusal(1024, 524281) == "triton decodes V of at most 524280 at K = 1024, got 524281"
    assert refusal(dtype=torch.float64) == "triton takes float16, bfloat16 or float32, got torch.float64"
    one = Q[:, :1], K[:, :1], V[:, :1], torch.zeros(1, 2, 16, 16)
    if not _triton.interpreted() and not torch.cuda.is_available():
        with pytest.raises(ValueError, match=r"implementation: triton takes tensors on a GPU .*, got cpu"):
            linear_attention_decode(*one, implementation="triton")
    with pytest.raises(ValueError, match="implementation: one of torch, triton, got 'chunked'"):
        linear_attention_decode(*one, implementation="chunked")


def test_no_triton(monkeypatch):
    monkeypatch.setattr(_triton, "installed", lambda: False)
    with pytest.raises(
        ValueError, match=r"implementation: triton is not installed \(pip install 'recallscope\[triton\]'\)"
    ):
        based(Q, K, V, implementation="triton")
    assert based(Q, K, V)[0].shape == V.shape
