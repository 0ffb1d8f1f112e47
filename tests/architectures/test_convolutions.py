"""Convolutions and H3 against direct sums in float64, written from the papers' equations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from recallscope.architectures.counting import count_flops
from recallscope.architectures.mixers import H3, BaseConv, LongConvolution

LENGTHS = (1, 2, 5, 16, 23)
WIDTH = 8


def make(mixer: Any) -> Any:
    generator = torch.Generator().manual_seed(0)
    for parameter in mixer.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)
    return mixer.double().eval()


def inputs(length: int) -> torch.Tensor:
    return torch.randn(3, length, WIDTH, generator=torch.Generator().manual_seed(length), dtype=torch.float64)


def direct_sum(taps: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """`Σ_j taps_j ⊙ u_{t-j}`, `taps` `[n, X]` with the first on the current input, `u` `[B, T, X]`."""
    y = torch.zeros_like(u)
    for t in range(u.shape[1]):
        for j in range(min(t + 1, len(taps))):
            y[:, t] += taps[j] * u[:, t - j]
    return y


def taps_of(mixer: BaseConv) -> torch.Tensor:
    weight: torch.Tensor = mixer.filter.weight
    return weight.flip(0) if mixer.direct else weight.T


def assert_equal(got: torch.Tensor, want: torch.Tensor) -> None:
    torch.testing.assert_close(got, want, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kernel", [1, 3, 63, 64, 70])
@pytest.mark.parametrize("length", LENGTHS)
@torch.no_grad()
def test_base_conv_is_its_equation(length, kernel):
    mixer, x = make(BaseConv(WIDTH, kernel)), inputs(length)
    convolved = direct_sum(taps_of(mixer), x) + mixer.filter.bias
    assert_equal(mixer(x), (x @ mixer.out.weight.T + mixer.out.bias) * convolved)


@pytest.mark.parametrize("kernel", [3, 66])
@pytest.mark.parametrize("activation", [False, True])
@torch.no_grad()
def test_expanded_base_conv_is_its_equation(kernel, activation):
    mixer, x = make(BaseConv(WIDTH, kernel, expansion=4, activation=activation)), inputs(23)
    assert mixer.up.weight.shape == (4 * WIDTH, WIDTH)
    u, g = (x @ mixer.up.weight.T).chunk(2, -1)
    mixed = direct_sum(taps_of(mixer), u) + mixer.filter.bias
    mixed = mixed * torch.sigmoid(mixed) if activation else mixed
    assert_equal(mixer(x), (mixed * g) @ mixer.out.weight.T)


@torch.no_grad()
def test_base_conv_is_the_same_direct_and_by_fft():
    direct, long, x = make(BaseConv(WIDTH, 63)), make(BaseConv(WIDTH, 64)), inputs(100)
    for name in ("weight", "bias"):
        getattr(long.out, name).copy_(getattr(direct.out, name))
    long.filter.weight.zero_()
    long.filter.weight[:, :63] = direct.filter.weight.flip(0).T
    long.filter.bias.copy_(direct.filter.bias)
    assert (direct.direct, long.direct) == (True, False)
    assert_equal(long(x), direct(x))


@pytest.mark.parametrize("decay", [False, True])
@pytest.mark.parametrize("length", LENGTHS)
@torch.no_grad()
def test_long_convolution_is_its_equation(length, decay):
    mixer, x = make(LongConvolution(WIDTH, length=10, decay=decay)), inputs(length)
    u = x @ mixer.value.weight.T
    want = (direct_sum(mixer.filter.weight.T, u) + mixer.skip * u) @ mixer.out.weight.T
    assert_equal(mixer(x), want)


@torch.no_grad()
def test_long_convolution_is_linear_and_blind_beyond_its_length():
    mixer, x, z = make(LongConvolution(WIDTH, length=10)), inputs(23), inputs(23).flip(1)
    assert_equal(mixer(2 * x - 3 * z), 2 * mixer(x) - 3 * mixer(z))
    changed = x.clone()
    changed[:, 2] += 1
    assert_equal(mixer(changed)[:, 12:], mixer(x)[:, 12:])
    assert (mixer(changed)[:, 11] - mixer(x)[:, 11]).abs().max() > 1e-6


@pytest.mark.parametrize("chunk", [1, 5, 64])
@pytest.mark.parametrize("length", LENGTHS)
@torch.no_grad()
def test_h3_is_its_equation(length, chunk):
    """The diagonal model as a sum over pairs with the exact solution of its differential equation, complex128."""
    mixer, x = make(H3(WIDTH, state_size=6, taps=3, chunk=chunk)), inputs(length)
    q, k, v = (x @ mixer.qkv.weight.T).chunk(3, -1)
    u = direct_sum(mixer.key_filter.weight.flip(0), k) * v
    a = torch.complex(-mixer.filter_log_rate.exp(), mixer.filter_frequency)
    step = mixer.log_step.exp()[:, None]
    c = torch.complex(*mixer.filter_readout.unbind(-1))
    held = ((a * step).exp() - 1) / a  # of an input that is held for one step
    taps = torch.stack([2 * (c * (a * step * j).exp() * held).sum(-1).real for j in range(length)])
    assert_equal(mixer(x), (q * (direct_sum(taps, u) + mixer.skip * u)) @ mixer.out.weight.T)


@torch.no_grad()
def test_h3_recalls_the_value_after_a_key():
    """The circuit of the paper: a shift of one, no decay, and q ⊙ Σ (k ⊙ v) with one-hot keys."""
    mixer = H3(WIDTH, state_size=2, taps=2).double()
    mixer.key_filter.weight.copy_(torch.tensor([[1.0], [0.0]]))  # the key is that of the token before
    mixer.filter_log_rate.fill_(-30.0)
    mixer.filter_frequency.zero_()
    mixer.log_step.zero_()
    mixer.filter_readout.copy_(torch.tensor([0.5, 0.0]))
    mixer.skip.zero_()
    mixer.qkv.weight.zero_()
    for part in range(2):  # channels 0 to 3 of x are keys, seen by q and k; channels 4 to 7 are values
        mixer.qkv.weight[part * WIDTH : part * WIDTH + 4, :4] = torch.eye(4)
    mixer.qkv.weight[2 * WIDTH : 2 * WIDTH + 4, 4:] = 1.0
    mixer.out.weight.copy_(torch.eye(WIDTH))
    x = torch.zeros(1, 5, WIDTH, dtype=torch.float64)
    for t, token in enumerate([0, 5, 2, 6, 0]):  # key 0, value 5, key 2, value 6, key 0
        x[0, t, token] = 1.0 if token < 4 else float(token)
    torch.testing.assert_close(mixer(x)[0, 4, :4], torch.tensor([5.0, 0, 0, 0]).double(), rtol=0, atol=1e-9)


@torch.no_grad()
def test_slow_channels_of_h3_are_exact_in_float32():
    mixer = H3(WIDTH, state_size=2)
    mixer.log_step.fill_(-9.0)
    log_decay, inject, _ = mixer._system()
    want = (log_decay.to(torch.complex128).exp() - 1) / (
        log_decay.to(torch.complex128) / mixer.log_step.double().exp()[:, None]
    )
    torch.testing.assert_close(inject, want.to(torch.complex64), rtol=1e-6, atol=0)


@pytest.mark.parametrize("length", [1, 7, 8, 9, 16, 20])
def test_h3_trains_what_outputs_read(length):
    mixer = H3(WIDTH, state_size=4, chunk=8)
    with count_flops() as training:
        mixer(torch.randn(2, length, WIDTH, requires_grad=True)).sum().backward()
    assert mixer.training_flops(length, 2) == training.flops


@torch.no_grad()
def test_strong_and_weak_decay_stay_finite():
    for rate, step in ((12.0, 5.0), (-30.0, -20.0)):
        mixer = H3(WIDTH, state_size=4)
        mixer.filter_log_rate.fill_(rate)
        mixer.log_step.fill_(step)
        y, state = mixer.prefill(inputs(100).float())
        assert torch.isfinite(y).all() and torch.isfinite(state[1]).all()


@pytest.mark.parametrize(
    "name, options, elements",
    [
        (BaseConv, {}, (4_096, 4_096)),
        (BaseConv, {"expansion": 4, "activation": True}, (8_192, 8_192)),
        (BaseConv, {"kernel": 65_536}, (8_388_608, 134_215_680)),
        (LongConvolution, {"length": 8_192}, (8_388_608, 16_775_168)),
        (H3, {"state_size": 512, "taps": 2}, (1_050_624, 1_050_624)),
    ],
)
def test_state_sizes_at_width_2048(name, options, elements):
    with torch.device("meta"):
        mixer = name(2048, **options)
    assert (mixer.state_elements(4096), mixer.state_elements(131_072)) == elements


@pytest.mark.parametrize(
    "make_bad, message",
    [
        (lambda: BaseConv(32, kernel=0), "kernel: at least 1 tap, got 0"),
        (lambda: BaseConv(33, expansion=3), "expansion: at least 1, and even times the width, got 3 and width 33"),
        (lambda: BaseConv(32, expansion=0), "expansion: at least 1, and even times the width, got 0 and width 32"),
        (lambda: LongConvolution(32, length=0), "length: at least 1 token, got 0"),
        (lambda: H3(32, state_size=5), "state_size: even, at least 2, got 5"),
        (lambda: H3(32, taps=0), "taps: at least 1, got 0"),
        (lambda: H3(32, chunk=0), "chunk: at least 1 token, got 0"),
    ],
)
def test_bad_shapes(make_bad, message):
    with pytest.raises(ValueError, match=message):
        make_bad()
