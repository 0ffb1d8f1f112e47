"""Every mixer: parallel form = recurrent form = float64 reference, state declared = state measured, causal."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from recallscope.architectures.mixers import MIXERS, Attention, Based, Hyena, SlidingWindow
from recallscope.architectures.mixers.based import taylor_features
from tolerances import TOLERANCES

WIDTH = 32
ARGUMENTS = {
    "attention": {"heads": 2},
    "sliding_window": {"heads": 2, "window": 5},
    "hyena": {"length": 16, "filter_width": 8, "bands": 3},
    "based": {"heads": 2, "key_width": 4, "chunk": 7},
}
LENGTHS = (1, 4, 5, 7, 16, 23)


def make(name: str, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    mixer = MIXERS[name](WIDTH, **ARGUMENTS[name]).eval()
    for key, parameter in mixer.named_parameters():
        if "norm" in key:  # gains start at one, where a forgotten gain would not show
            torch.nn.init.uniform_(parameter, 0.5, 2.0)
    return mixer


def inputs(length: int, batch: int = 3) -> torch.Tensor:
    return torch.randn(batch, length, WIDTH, generator=torch.Generator().manual_seed(length))


def run_steps(mixer, x: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    state, outputs = mixer.init_state(x.shape[0]), []
    for t in range(x.shape[1]):
        y, state = mixer.step(x[:, t], state)
        outputs.append(y)
    return torch.stack(outputs, 1), state


def assert_close(name: str, got: torch.Tensor, want: torch.Tensor, quantity: str) -> None:
    error = (got.double() - want.double()).abs().max().item()
    bound = TOLERANCES[quantity, "float32"] * max(1.0, want.abs().max().item())
    assert error <= bound, f"{name}: max error {error:.2e} over {bound:.2e}"


def test_every_mixer_is_covered():
    assert set(ARGUMENTS) == set(MIXERS)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("name", MIXERS)
def test_parallel_equals_recurrent(name, length):
    mixer, x = make(name), inputs(length)
    with torch.no_grad():
        assert_close(name, mixer(x), run_steps(mixer, x)[0], "parallel against recurrent")


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("name", MIXERS)
def test_declared_state_is_what_survives_between_steps(name, length):
    mixer = make(name)
    with torch.no_grad():
        _, state = run_steps(mixer, inputs(length, batch=1))
    measured = sum(one.numel() for one in state if one.is_floating_point())  # integers are the position, no content
    assert mixer.state_elements(length) == measured


@pytest.mark.parametrize("name", MIXERS)
def test_future_does_not_matter(name):
    mixer, x = make(name), inputs(23)
    changed = x.clone()
    changed[:, 11:] += 1.0
    with torch.no_grad():
        before, after = mixer(x), mixer(changed)
    assert_close(name, after[:, :11], before[:, :11], "parallel against recurrent")
    assert (after[:, 11:] - before[:, 11:]).abs().max() > 1e-3


@pytest.mark.parametrize("name", MIXERS)
def test_gradients_reach_every_parameter(name):
    mixer = make(name)
    mixer(inputs(16)).square().sum().backward()
    without = [key for key, parameter in mixer.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert not without


def rotate_reference(x: torch.Tensor, base: float) -> torch.Tensor:
    """RoPE as complex multiplication, [B, T, H, K] float64."""
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[1]).double()[:, None] * base ** (-torch.arange(half).double() / half)
    turned = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(angle), angle)[:, None]
    return torch.cat([turned.real, turned.imag], -1)


def softmax_reference(mixer: Attention | SlidingWindow, x: torch.Tensor, window: int) -> torch.Tensor:
    """Loop over positions in float64."""
    mixer = mixer.double()
    q, k, v = mixer.qkv(x.double()).unflatten(-1, (3, mixer.heads, -1)).unbind(-3)
    q, k = (
        u / (u.square().mean(-1, keepdim=True) + 1e-5).sqrt() * n.weight
        for u, n in ((q, mixer.q_norm), (k, mixer.k_norm))
    )
    q, k = rotate_reference(q, mixer.rope_base), rotate_reference(k, mixer.rope_base)
    outputs = []
    for t in range(x.shape[1]):
        seen = slice(max(0, t - window + 1), t + 1)
        scores = torch.einsum("bhk,bihk->bhi", q[:, t], k[:, seen]) / math.sqrt(q.shape[-1])
        outputs.append(torch.einsum("bhi,bihk->bhk", scores.softmax(-1), v[:, seen]))
    return mixer.out(torch.stack(outputs, 1).flatten(2))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("name, window", [("attention", 10**9), ("sliding_window", 5)])
def test_softmax_mixers_against_loop(name, window, length):
    mixer, x = make(name), inputs(length)
    with torch.no_grad():
        fast = mixer(x)
        assert_close(name, fast, softmax_reference(mixer, x, window), "parallel against float64 reference")


@pytest.mark.parametrize("length", LENGTHS)
def test_based_against_loop_over_pairs(length):
    mixer, x = make("based"), inputs(length)
    with torch.no_grad():
        fast = mixer(x)
        mixer = mixer.double()
        q, k = mixer.qk(x.double()).unflatten(-1, (2, mixer.heads, -1)).unbind(-3)
        v = mixer.value(x.double()).unflatten(-1, (mixer.heads, -1))
        outputs = []
        for t in range(length):
            s = torch.einsum("bhk,bihk->bhi", q[:, t], k[:, : t + 1]) / math.sqrt(mixer.key_width)
            weight = 1 + s + s**2 / 2
            o = torch.einsum("bhi,bihv->bhv", weight, v[:, : t + 1]) / weight.sum(-1, keepdim=True)
            outputs.append(o)
        assert_close("based", fast, mixer.out(torch.stack(outputs, 1).flatten(2)), "parallel against float64 reference")


def test_taylor_features_give_the_second_order_expansion():
    q, k = torch.randn(2, 50, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    s = (q * k).sum(-1)
    assert taylor_features(q).shape[-1] == 1 + 16 + 16**2 == 273
    torch.testing.assert_close((taylor_features(q) * taylor_features(k)).sum(-1), 1 + s + s**2 / 2)


@pytest.mark.parametrize("length", LENGTHS)
def test_hyena_against_direct_sum(length):
    mixer, x = make("hyena"), inputs(length)
    with torch.no_grad():
        fast = mixer(x)
        taps = mixer.filter(min(length, mixer.length)).double()
        weight, bias = mixer.short.weight.double()[:, 0], mixer.short.bias.double()
        u = (x.double() @ mixer.qkv.weight.double().T).transpose(1, 2)
        padded = torch.nn.functional.pad(u, (2, 0))
        u = sum(weight[:, j, None] * padded[..., j : j + length] for j in range(3)) + bias[:, None]
        q, k, v = u.chunk(3, 1)
        z = k * v
        mixed = torch.zeros_like(z)
        for t in range(length):
            for j in range(min(t + 1, taps.shape[1])):
                mixed[..., t] += taps[:, j] * z[..., t - j]
        want = (q * (mixed + mixer.bias.double()[:, None] * z)).transpose(1, 2) @ mixer.out.weight.double().T
        assert_close("hyena", fast, want, "parallel against float64 reference")


@pytest.mark.parametrize(
    "make_bad, message",
    [
        (lambda: Attention(30, heads=4), "heads: width / heads must be an even integer, got width 30"),
        (lambda: SlidingWindow(32, window=0), "window: at least 1 token, got 0"),
        (lambda: Based(30, heads=4), "heads: must divide the width, got width 30 and heads 4"),
        (lambda: Hyena(32, length=0), "length: at least 1 token, got 0"),
    ],
)
def test_bad_shapes(make_bad, message):
    with pytest.raises(ValueError, match=message):
        make_bad()
