"""Causal convolution by FFT against direct sums, and its transforms as they are counted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from kernel_cases import assert_close, make
from recallscope.architectures.counting import count_flops
from recallscope.architectures.mixers._long_convolution import causal_convolution
from recallscope_kernels import fft_convolution, fft_convolution_decode
from recallscope_kernels.ops import Shape
from recallscope_kernels.ops.fft_convolution import fft_convolution_cost, fft_convolution_reference
from recallscope_kernels.ops.fft_convolution.transforms import backward, forward
from torch.utils.flop_counter import FlopCounterMode


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("past", [0, 2, 50])
@pytest.mark.parametrize("taps", [1, 2, 7, 64, 200])
@pytest.mark.parametrize("time", [1, 2, 33, 64])
def test_any_number_of_taps_and_of_earlier_inputs(time, taps, past):
    """The transform is no longer than it must be, so that what wraps around lies next to what is kept."""
    x, h, before = random(2, time, 3, 4), random(taps, 3, 4, seed=1), random(2, past, 3, 4, seed=2)
    given = [u.requires_grad_() for u in (x, h, before)]
    y, state = fft_convolution(x, h, initial_state=before, output_final_state=True)
    want, last = fft_convolution_reference(x, h, initial_state=before)
    assert_close("outputs", y, want, torch.float64)
    assert torch.equal(state, last)  # type: ignore[arg-type]
    weights = random(*y.shape, seed=3)
    for got, expected in zip(*(torch.autograd.grad((u * weights).sum(), given) for u in (y, want)), strict=True):
        assert_close("gradient", got, expected, torch.float64)


def test_a_channel_is_numpy_s_convolution():
    x, h = random(1, 40, 2, 3), random(9, 2, 3, seed=1)
    y, _ = fft_convolution(x, h)
    want = np.convolve(x[0, :, 1, 2].numpy(), h[:, 1, 2].numpy())[:40]
    np.testing.assert_allclose(y[0, :, 1, 2].numpy(), want, rtol=0, atol=1e-13)


def test_it_is_the_convolution_of_the_hyena_mixers():
    x, h = random(2, 50, 2, 3), random(50, 2, 3, seed=1)
    want = causal_convolution(x.flatten(2).mT, h.flatten(1).mT).mT.unflatten(-1, (2, 3))
    assert_close("outputs", fft_convolution(x, h)[0], want, torch.float64)


def test_decoding_sums_over_the_taps():
    x, h = random(2, 30, 2, 3), random(9, 2, 3, seed=1)
    want, _ = fft_convolution_reference(x, h)
    inputs = torch.full_like(x, torch.nan)
    for t in range(30):
        assert_close("outputs", fft_convolution_decode(x[:, t : t + 1], h, inputs, t), want[:, t : t + 1], x.dtype)
    assert torch.equal(inputs, x)


@pytest.mark.parametrize("shape", [Shape(2, t, 3, 1, 5) for t in (1, 2, 63, 64, 65)], ids=str)
def test_transforms_are_those_that_run(shape):
    """Counted inside the custom ops, transform by transform; from outside, torch's own counter sees as many."""
    x, h = random(shape.B, shape.T, shape.H, shape.V), random(shape.T, shape.H, shape.V, seed=1)
    with count_flops() as count:
        y, spectrum, response = forward(x, h, shape.T)
    with count_flops() as back:
        backward(y, spectrum, response, shape.T, shape.T)
    costs = [fft_convolution_cost(shape, mode).executed_flops for mode in ("fwd", "bwd")]
    assert [count.flops, back.flops] == costs
    with FlopCounterMode(display=False) as counter:
        torch.autograd.grad(fft_convolution(x.requires_grad_(), h.requires_grad_())[0].sum(), (x, h))
    assert counter.get_total_flops() == sum(costs)  # type: ignore[arg-type]


def test_decoding_flops_are_those_of_products():
    inputs, h = random(2, 8, 3, 4), random(8, 3, 4, seed=1)
    with count_flops() as count:
        want = torch.einsum("nhv,bnhv->bhv", h.flip(0), inputs)
    assert fft_convolution_cost(Shape(2, 7, 3, 1, 4), "decode").executed_flops == count.flops
    got = fft_convolution_decode(inputs[:, 7:], h, inputs.clone(), 7)
    assert_close("outputs", got[:, 0], want, torch.float64)


def test_nan_stays_in_its_channel():
    x, h = make("fft_convolution", 70, torch.float32)
    x[0, 40, 1, 3] = torch.nan
    y, _ = fft_convolution(x, h)
    assert y[0, :, 1, 3].isnan().all() and y.isnan().sum() == 70


def test_custom_ops_are_checked_by_torch():
    x, h = random(2, 9, 2, 3).requires_grad_(), random(4, 2, 3, seed=1).requires_grad_()
    utilities = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(torch.ops.recallscope.fft_convolution, (x, h, 7), test_utils=utilities)
    spectra = [u.detach() for u in torch.ops.recallscope.fft_convolution(x, h, 7)]
    step, inputs = torch.ops.recallscope.fft_convolution_decode, x[:, :4].detach()
    torch.library.opcheck(step, (inputs, h.detach()), test_utils=utilities[::2])
    back = torch.ops.recallscope.fft_convolution_backward
    torch.library.opcheck(back, (*spectra, 9, 4), test_utils=utilities[::2])


def test_bad_input():
    x, h = make("fft_convolution", 8, torch.float32)
    for given, message in (
        ((x[0], h), r"x: \[B, T, H, V\], none of them 0, got \[8, 2, 16\]"),
        ((x.int(), h), "x: float16, bfloat16, float32 or float64, got torch.int32"),
        ((x, h[:, :1]), r"taps: \[n, 2, 16\], n at least 1, got \[8, 1, 16\]"),
        ((x, h[:0]), r"taps: \[n, 2, 16\], n at least 1, got \[0, 2, 16\]"),
        ((x, h.half()), "taps: torch.float32 on cpu as x is, got torch.float16 on cpu"),
    ):
        with pytest.raises(ValueError, match=message):
            fft_convolution(*given)
    with pytest.raises(ValueError, match=r"initial_state: \[2, m, 2, 16\], got \[1, 8, 2, 16\]"):
        fft_convolution(x, h, initial_state=x[:1])
    with pytest.raises(ValueError, match="implementation: one of torch, got 'fla'"):
        fft_convolution(x, h, implementation="fla")
    with pytest.raises(ValueError, match=r"x: one token, \[B, 1, H, V\], got \[2, 8, 2, 16\]"):
        fft_convolution_decode(x, h, x, 0)
    with pytest.raises(ValueError, match="length: from 0 to 7, the last place of the inputs, got 8"):
        fft_convolution_decode(x[:, :1], h, x, 8)
