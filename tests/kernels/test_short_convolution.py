"""The short convolution against its sum, against torch's own, and counted; in Triton where that runs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from kernel_cases import assert_close, poisoned
from recallscope.architectures.mixers._short_convolution import ShortConvolution
from recallscope_kernels import short_convolution, short_convolution_decode
from recallscope_kernels.ops import Shape, decoding
from recallscope_kernels.ops.short_convolution import short_convolution_cost, short_convolution_reference
from torch.nn.functional import conv1d, silu
from torch.utils.flop_counter import FlopCounterMode
from triton_cases import DEVICE, DTYPES, INTERPRETED, filled_with_nan, runs

__all__ = ["filled_with_nan"]  # for every test
HERE = [("torch", torch.float64, "cpu")]
KERNELS = [pytest.param("triton", dtype, DEVICE, marks=runs) for dtype in DTYPES]
EACH = pytest.mark.parametrize(("implementation", "dtype", "device"), [*HERE, *KERNELS])


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@EACH
@pytest.mark.parametrize(
    ("time", "taps", "heads", "activation"),
    [(1, 4, 1, None), (2, 2, 1, "silu"), (63, 4, 1, "silu"), (64, 3, 1, "silu"), (65, 2, 3, None), (130, 4, 1, None)],
)
def test_outputs_states_and_gradients(implementation, dtype, device, time, taps, heads, activation):
    """NaN around all operands, and in what torch allocates; T may be shorter than what the filter sees."""
    x, state = (poisoned(random(2, n, heads, 23, seed=n, dtype=dtype)) for n in (time, taps - 1))
    h, weights = random(taps, heads, 23, seed=2, dtype=dtype), random(2, time, heads, 23, seed=3)
    for given in ([x, h], [x, h, state]):
        given = [u.to(device).requires_grad_() for u in given]
        exact = [u.detach().double().requires_grad_() for u in given]
        options = {"activation": activation}
        y, last = short_convolution(
            *given[:2], initial_state=given[2] if len(given) > 2 else None, output_final_state=True,
            implementation=implementation, **options,
        )  # fmt: skip
        want, end = short_convolution_reference(
            *exact[:2], initial_state=exact[2] if len(exact) > 2 else None, **options
        )
        assert y.dtype == dtype and last is not None and torch.equal(last.double(), end)
        assert_close("outputs", y, want, dtype)
        results = (y.double(), last.double()), (want, end)
        sums = ((u * weights.to(device)).sum() + v.square().sum() for u, v in results)
        got, expected = (torch.autograd.grad(u, v) for u, v in zip(sums, (given, exact), strict=True))
        for name, a, b in zip(("x", "taps", "state"), got, expected, strict=False):
            assert_close(f"gradient of {name}", a, b, dtype)


@EACH
@pytest.mark.parametrize(("taps", "activation"), [(2, None), (3, "silu"), (4, None), (4, "silu")])
def test_decoding_is_one_more_token(implementation, dtype, device, taps, activation):
    """Beside the state there is NaN: none of it may be read, and none of it written over."""
    x, h = (random(n, *m, 3, 100, dtype=dtype).to(device) for n, *m in ((2, 9), (taps,)))
    want, last = short_convolution_reference(x, h, activation=activation)
    around = torch.full((4, taps - 1, 3, 100), torch.nan, dtype=dtype, device=device)
    around[1:3] = 0
    options = {"activation": activation, "implementation": implementation}
    got = [short_convolution_decode(x[:, t : t + 1], h, around[1:3], **options) for t in range(9)]
    assert_close("outputs", torch.cat(got, 1), want, dtype)
    assert torch.equal(around[1:3].double(), last) and around[0].isnan().all() and around[3].isnan().all()


@EACH
def test_a_sequence_of_several_programs(implementation, dtype, device):
    """300 tokens are two programs of the gradients, each with a part of that of the taps."""
    given = [u.to(device).requires_grad_() for u in (random(1, 300, 1, 5, dtype=dtype), random(2, 1, 5, dtype=dtype))]
    exact = [u.detach().double().requires_grad_() for u in given]
    y, want = short_convolution(*given, implementation=implementation)[0], short_convolution_reference(*exact)[0]
    got, expected = (torch.autograd.grad(u.double().square().sum(), v) for u, v in ((y, given), (want, exact)))
    for a, b in zip(got, expected, strict=True):
        assert_close("gradient", a, b, dtype)


@EACH
def test_strides_that_are_not_those_of_a_whole_tensor(implementation, dtype, device):
    """Widths that are not contiguous, and a gradient that is one number everywhere."""
    x, h = random(2, 7, 4, 5, dtype=dtype).to(device).mT.requires_grad_(), random(3, 5, 4, dtype=dtype).to(device)
    exact = x.detach().double().requires_grad_()
    y, want = short_convolution(x, h, implementation=implementation)[0], short_convolution_reference(exact, h)[0]
    assert_close("outputs", y, want, dtype)
    got, expected = (torch.autograd.grad(u.sum(), v)[0] for u, v in ((y, x), (want, exact)))
    assert_close("gradient", got, expected, dtype)


@EACH
def test_nan_reaches_the_outputs_that_see_it(implementation, dtype, device):
    x, h = random(1, 40, 2, 3, dtype=dtype).to(device), random(4, 2, 3, seed=1, dtype=dtype).to(device)
    x[0, 30, 1, 2] = torch.nan
    y, _ = short_convolution(x, h, activation="silu", implementation=implementation)
    assert y[0, 30:34, 1, 2].isnan().all() and y.isnan().sum() == 4


@EACH
@pytest.mark.parametrize("silu", [False, True])
def test_flops_that_torch_sees(implementation, dtype, device, silu):
    shape, options = Shape(2, 70, 3, 1, 5), {"taps": 3, "silu": silu}
    x, h = (u.to(device).requires_grad_() for u in (random(2, 70, 3, 5, dtype=dtype), random(3, 3, 5, dtype=dtype)))
    with FlopCounterMode(display=False) as forward:
        y, _ = short_convolution(x, h, activation="silu" if silu else None, implementation=implementation)
    with FlopCounterMode(display=False) as backward:
        torch.autograd.grad(y.sum(), (x, h))
    for mode, counter in (("fwd", forward), ("bwd", backward)):
        cost = short_convolution_cost(shape, mode, implementation, **options)
        assert counter.get_total_flops() == cost.executed_flops
    with FlopCounterMode(display=False) as counter:
        assert decoding("short_convolution", Shape(2, 9, 3, 1, 5), dtype, device, implementation)().shape == (
            2,
            1,
            3,
            5,
        )
    assert counter.get_total_flops() == short_convolution_cost(Shape(2, 9, 3, 1, 5), "decode").executed_flops


@pytest.mark.skipif(INTERPRETED, reason="torch alone")
def test_torch_s_own_convolution_and_its_flops():
    """Depthwise `conv1d` on padded inputs: the same outputs and FLOPs; backward three times those, with SiLU."""
    x, h = random(2, 50, 3, 4), random(4, 3, 4, seed=1)
    padded = torch.nn.functional.pad(x.flatten(2).mT, (3, 0))
    with FlopCounterMode(display=False) as counter:
        want = conv1d(padded, h.flip(0).flatten(1).mT[:, None], groups=12).mT.unflatten(-1, (3, 4))
    assert_close("outputs", short_convolution(x, h, activation="silu")[0], silu(want), torch.float64)
    shape = Shape(2, 50, 3, 1, 4)
    assert counter.get_total_flops() == short_convolution_cost(shape).useful_flops
    assert short_convolution_cost(shape, "bwd", silu=True).useful_flops == 3 * counter.get_total_flops()


@pytest.mark.skipif(INTERPRETED, reason="torch alone")
def test_it_is_the_convolution_of_the_mixers():
    layer = ShortConvolution(12, 4, bias=False).double()
    x, state = random(2, 20, 3, 4), random(2, 3, 3, 4, seed=1)
    want, last = layer.prefill(x.flatten(2), state.flatten(2))
    taps = layer.weight.detach().flip(0).unflatten(-1, (3, 4))
    y, end = short_convolution(x, taps, initial_state=state, output_final_state=True)
    assert_close("outputs", y, want.unflatten(-1, (3, 4)), torch.float64)
    assert end is not None and torch.equal(end.flatten(2), last)
    assert short_convolution_cost(Shape(1, 1, 3, 1, 4), "decode").useful_flops == layer.flops()


@EACH
def test_custom_ops_are_checked_by_torch(implementation, dtype, device):
    x, h, state = (random(*shape, dtype=dtype).to(device) for shape in ((2, 5, 2, 3), (3, 2, 3), (2, 2, 2, 3)))
    name = "short_convolution" + ("_triton" if implementation == "triton" else "")
    step = getattr(torch.ops.recallscope, name.replace("convolution", "convolution_decode"))
    utilities = ("test_schema", "test_autograd_registration", "test_faketensor")
    given = [u.clone().requires_grad_() for u in (x, h, state)]
    torch.library.opcheck(getattr(torch.ops.recallscope, name), (*given, True), test_utils=utilities)
    torch.library.opcheck(step, (x[:, :1], h, state, True), test_utils=utilities[::2])


@pytest.mark.skipif(INTERPRETED, reason="in the parent")
def test_bad_input():
    x, h = random(2, 8, 2, 16), random(4, 2, 16)
    for given, message in (
        ((x[0], h), r"x: \[B, T, H, V\], none of them 0, got \[8, 2, 16\]"),
        ((x[:, :0], h), r"x: \[B, T, H, V\], none of them 0, got \[2, 0, 2, 16\]"),
        ((x.int(), h), "x: float16, bfloat16, float32 or float64, got torch.int32"),
        ((x, h[:1]), r"taps: \[n, 2, 16\], n from 2 to 4, got \[1, 2, 16\]"),
        ((x, h[..., :8]), r"taps: \[n, 2, 16\], n from 2 to 4, got \[4, 2, 8\]"),
        ((x, h.half()), "taps: torch.float64 on cpu as x is, got torch.float16 on cpu"),
    ):
        with pytest.raises(ValueError, match=message):
            short_convolution(*given)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"activation": "gelu"}, "activation: silu or None, got 'gelu'"),
        ({"initial_state": x[:, :2]}, r"initial_state: \[2, 3, 2, 16\], got \[2, 2, 2, 16\]"),
        ({"initial_state": x[:, :3].float()}, "initial_state: torch.float64 on cpu as x is, got torch.float32"),
        ({"implementation": "fla"}, "implementation: one of torch, triton, got 'fla'"),
        ({"implementation": "triton"}, "implementation: triton"),
    ]
    for options, message in wrong:
        with pytest.raises(ValueError, match=message):
            short_convolution(x, h, **options)
    with pytest.raises(ValueError, match=r"x: one token, \[B, 1, H, V\], got \[2, 8, 2, 16\]"):
        short_convolution_decode(x, h, x[:, :3].contiguous())
    with pytest.raises(ValueError, match="state: contiguous, as it is updated in place"):
        short_convolution_decode(x[:, :1], h, x[:, :3])
