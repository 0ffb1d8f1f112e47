"""Prefix linear attention: against all pairs written out, against the mixer, and its counts."""

from __future__ import annotations

import pytest
import torch
from kernel_cases import LENGTHS, assert_close, gradients, make, poisoned
from recallscope.architectures.mixers.jrt import JRT
from recallscope_kernels import based, based_decode, jrt_prefix
from recallscope_kernels.ops import Shape, operands
from recallscope_kernels.ops.jrt_prefix import jrt_prefix_cost
from recallscope_kernels.ops.jrt_prefix.encode import encode, encoded, encoded_backward
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode


def all_pairs(q: Tensor, k: Tensor, v: Tensor, prefix_k: Tensor, prefix_v: Tensor, scale: float) -> Tensor:
    """Every kernel of a query with a key, causal for its own tokens and not for the prefix: no features, no state."""
    q, k, v, prefix_k, prefix_v = (u.double().transpose(1, 2) for u in (q, k, v, prefix_k, prefix_v))
    s, e = (scale * q @ u.mT for u in (k, prefix_k))
    weights = torch.cat([(1 + s + s**2 / 2).tril(), 1 + e + e**2 / 2], -1)
    o = weights @ torch.cat([v, prefix_v], 2) / weights.sum(-1, keepdim=True)
    return o.transpose(1, 2)


def prefix_of(tokens: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    return (
        make("based", tokens, dtype, 16, 8)[1:] if tokens else [torch.zeros(2, 0, 2, n, dtype=dtype) for n in (16, 8)]
    )


@pytest.mark.parametrize("prefix", [0, 1, 64, 130])
@pytest.mark.parametrize("time", LENGTHS)
def test_all_pairs(time, prefix):
    """Outputs and the gradients of all five operands; the prefix may be longer than what is read causally."""
    given = [poisoned(u).requires_grad_() for u in (*make("based", time, torch.float64, 16, 8), *prefix_of(prefix))]
    exact = [u.detach().requires_grad_() for u in given]
    got, want = jrt_prefix(*given, scale=0.3), all_pairs(*exact, scale=0.3)
    assert_close("outputs", got[0], want, torch.float64)
    for i, pair in enumerate(zip(gradients(got, given), gradients((want, None), exact), strict=True)):
        assert_close(f"gradient {i}", *pair, torch.float64)


def test_without_a_prefix_it_is_based():
    q, k, v = make("based", 70, torch.float32)
    nothing = torch.zeros(2, 0, 2, 16)
    for mine, theirs in zip(
        jrt_prefix(q, k, v, nothing, nothing, output_final_state=True),
        based(q, k, v, output_final_state=True),
        strict=True,
    ):
        assert mine is not None and theirs is not None and torch.equal(mine, theirs)


@pytest.mark.parametrize("prefix", [0, 11, 30])
def test_it_is_the_mixer(prefix):
    """`JRT(symmetric=True)` of the architectures: outputs, the state, and a step that goes on from it."""
    torch.manual_seed(0)
    mixer = JRT(24, heads=2, key_width=4, symmetric=True).double()
    x, y = torch.randn(1, 30, 24, dtype=torch.float64), torch.randn(1, 24, dtype=torch.float64)
    want, state = mixer.prefill(x, prefix=prefix)

    def project(u: Tensor) -> tuple[Tensor, ...]:
        q, k = mixer.decoder.qk(u).unflatten(-1, (2, 2, -1)).unbind(-3)
        return q, k, mixer.decoder.value(u).unflatten(-1, (2, -1))

    encoder = (layer(x[:, :prefix]).unflatten(-1, (2, -1)) for layer in (mixer.encoder_key, mixer.encoder_value))
    o, last = jrt_prefix(*project(x), *encoder, output_final_state=True)
    assert_close("outputs", mixer.decoder.out(o.flatten(-2)), want, torch.float64)
    assert last is not None
    assert_close("state", last, state[0], torch.float64)
    step, _ = mixer.step(y, state)
    q, k, v = (u[:, None] for u in project(y))
    o = based_decode(q, k, v, last)
    assert_close("step", mixer.decoder.out(o.flatten(-2))[:, 0], step, torch.float64)


def test_nan_in_the_prefix_is_nan_everywhere():
    given = make("jrt_prefix", 70, torch.float32)
    given[4][0, 3, 1, 0] = torch.nan
    o, _ = jrt_prefix(*given)
    assert o[0, :, 1, 0].isnan().all() and o.isnan().sum() == 70


@pytest.mark.parametrize(("time", "prefix"), [(64, 64), (128, 50), (64, 130)])
def test_costs_are_counted(time, prefix):
    """Products of the encoder as torch runs them, without the custom op; the whole against the mixer's own count."""
    shape = Shape(2, time, 3, 16, 8)
    k, v = (torch.ones(2, prefix, 3, n) for n in (16, 8))
    with FlopCounterMode(display=False) as forward:
        state = encoded(k, v, 0.25, None, 64)
    with FlopCounterMode(display=False) as backward:
        encoded_backward(state, k, v, 0.25, 64)
    for mode, counter in (("fwd", forward), ("bwd", backward)):
        cost, base = (jrt_prefix_cost(shape, mode, prefix=m) for m in (prefix, 0))
        assert cost.executed_flops - base.executed_flops == counter.get_total_flops()  # type: ignore[operator]
        assert cost.useful_flops - base.useful_flops == counter.get_total_flops()
    mixer = JRT(24, heads=3, key_width=16, symmetric=True, chunk=64)
    projections = 2 * (time * mixer.decoder.parameters_count() + prefix * mixer._encoder_parameters())
    want = 2 * (mixer.prefill_flops(time, prefix=prefix) - projections)
    assert jrt_prefix_cost(shape, prefix=prefix).executed_flops == want


def test_custom_ops_are_checked_by_torch():
    _, _, _, k, v = operands("jrt_prefix", Shape(1, 9, 2, 4, 3), torch.float64)
    state = torch.ones(1, 2, 15, 4, dtype=torch.float64, requires_grad=True)
    utilities = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(encode, (k.requires_grad_(), v.requires_grad_(), 0.5, state, 3), test_utils=utilities)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((3, lambda u: u[..., :8]), r"prefix_k: \[2, M, 2, 16\], got \[2, 4, 2, 8\]"),
        ((4, lambda u: u[:1]), r"prefix_v: \[2, M, 2, 16\], got \[1, 4, 2, 16\]"),
        ((3, lambda u: u.half()), "prefix_k: torch.float32 on cpu as q is, got torch.float16 on cpu"),
        ((4, lambda u: u[:, 1:]), "prefix_v: 4 tokens as prefix_k has, got 3"),
    ],
)
def test_bad_input(change, message):
    given = make("jrt_prefix", 8, torch.float32)
    given[change[0]] = change[1](given[change[0]])
    with pytest.raises(ValueError, match=message):
        jrt_prefix(*given)
    with pytest.raises(ValueError, match="implementation: one of chunked, triton, got 'fla-parallel'"):
        jrt_prefix(*make("jrt_prefix", 8, torch.float32), implementation="fla-parallel")
