"""The first mixers against loops over positions and pairs in float64, written from the papers' equations."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from recallscope.architectures.mixers import Attention, Based, Hyena, SlidingWindow
from recallscope.architectures.mixers.based import symmetric_taylor_features, taylor_features

LENGTHS = (1, 4, 5, 7, 16, 23)
WIDTH = 32


def make(mixer: Any) -> Any:
    for key, parameter in mixer.named_parameters():
        if "norm" in key:  # gains start at one, where a forgotten gain would not show
            torch.nn.init.uniform_(parameter, 0.5, 2.0)
    return mixer.double().eval()


def inputs(length: int) -> torch.Tensor:
    return torch.randn(3, length, WIDTH, generator=torch.Generator().manual_seed(length), dtype=torch.float64)


def rotate_reference(x: torch.Tensor, base: float) -> torch.Tensor:
    """RoPE as complex multiplication, [B, T, H, K] float64."""
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[1]).double()[:, None] * base ** (-torch.arange(half).double() / half)
    turned = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(angle), angle)[:, None]
    return torch.cat([turned.real, turned.imag], -1)


def softmax_reference(mixer, x: torch.Tensor, window: int) -> torch.Tensor:
    q, k, v = mixer.qkv(x).unflatten(-1, (-1, mixer.key_width)).split([mixer.heads] + 2 * [mixer.kv_heads], -2)
    q, k = (
        u / (u.square().mean(-1, keepdim=True) + 1e-5).sqrt() * n.weight
        for u, n in ((q, mixer.q_norm), (k, mixer.k_norm))
    )
    q, k = rotate_reference(q, mixer.rope_base), rotate_reference(k, mixer.rope_base)
    k, v = (u[:, :, [h * mixer.kv_heads // mixer.heads for h in range(mixer.heads)]] for u in (k, v))
    outputs = []
    for t in range(x.shape[1]):
        seen = slice(max(0, t - window + 1), t + 1)
        z = torch.einsum("bhk,bihk->bhi", q[:, t], k[:, seen]) / math.sqrt(q.shape[-1])
        sink = mixer.sink[:, None].exp() if getattr(mixer, "sinks", False) else 0.0
        weight = z.exp() / (sink + z.exp().sum(-1, keepdim=True))
        outputs.append(torch.einsum("bhi,bihk->bhk", weight, v[:, seen]))
    o = torch.stack(outputs, 1).flatten(2)
    return mixer.out(o * torch.sigmoid(mixer.gate_projection(x)) if mixer.gate else o)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(
    "mixer, window",
    [
        (Attention(WIDTH), 10**9),
        (Attention(WIDTH, 4, kv_heads=2, sinks=True, gate=True), 10**9),
        (SlidingWindow(WIDTH, 4, window=5, kv_heads=1), 5),
    ],
    ids=["attention", "grouped, sinks, gate", "window"],
)
def test_softmax_against_a_loop(mixer, window, length):
    mixer, x = make(mixer), inputs(length)
    if hasattr(mixer, "sink"):
        torch.nn.init.normal_(mixer.sink)
    with torch.no_grad():
        torch.testing.assert_close(mixer(x), softmax_reference(mixer, x, window), rtol=0, atol=1e-12)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("length", LENGTHS)
def test_based_against_a_loop_over_pairs(length, symmetric):
    mixer, x = make(Based(WIDTH, 2, 4, symmetric, chunk=7)), inputs(length)
    with torch.no_grad():
        q, k = mixer.qk(x).unflatten(-1, (2, mixer.heads, -1)).unbind(-3)
        v = mixer.value(x).unflatten(-1, (mixer.heads, -1))
        outputs = []
        for t in range(length):
            s = torch.einsum("bhk,bihk->bhi", q[:, t], k[:, : t + 1]) / math.sqrt(mixer.key_width)
            weight = 1 + s + s**2 / 2
            outputs.append(torch.einsum("bhi,bihv->bhv", weight, v[:, : t + 1]) / weight.sum(-1, keepdim=True))
        want = mixer.out(torch.stack(outputs, 1).flatten(2))
        torch.testing.assert_close(mixer(x), want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("features, count", [(taylor_features, 273), (symmetric_taylor_features, 153)])
def test_taylor_features_give_the_second_order_expansion(features, count):
    q, k = torch.randn(2, 50, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    s = (q * k).sum(-1)
    assert features(q).shape[-1] == count
    torch.testing.assert_close((features(q) * features(k)).sum(-1), 1 + s + s**2 / 2)


@pytest.mark.parametrize("length", LENGTHS)
def test_hyena_against_the_direct_sum(length):
    mixer, x = make(Hyena(WIDTH, length=16, filter_width=8, bands=3)), inputs(length)
    with torch.no_grad():
        taps = mixer.filter(min(length, mixer.length))
        weight, bias = mixer.short.weight[:, 0], mixer.short.bias
        u = (x @ mixer.qkv.weight.T).transpose(1, 2)
        padded = torch.nn.functional.pad(u, (2, 0))
        u = sum(weight[:, j, None] * padded[..., j : j + length] for j in range(3)) + bias[:, None]
        q, k, v = u.chunk(3, 1)
        z = k * v
        mixed = torch.zeros_like(z)
        for t in range(length):
            for j in range(min(t + 1, taps.shape[1])):
                mixed[..., t] += taps[:, j] * z[..., t - j]
        want = (q * (mixed + mixer.bias[:, None] * z)).transpose(1, 2) @ mixer.out.weight.T
        torch.testing.assert_close(mixer(x), want, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "make_bad, message",
    [
        (lambda: Attention(30, heads=4), "heads: must divide the width, got width 30 and heads 4"),
        (lambda: Attention(12, heads=4), "key_width: must be even for rotary positions, got 3"),
        (lambda: Attention(32, heads=4, kv_heads=3), "kv_heads: must divide heads, got heads 4 and kv_heads 3"),
        (lambda: SlidingWindow(32, window=0), "window: at least 1 token, got 0"),
        (lambda: Based(30, heads=4), "heads: must divide the width, got width 30 and heads 4"),
        (lambda: Hyena(32, length=0), "length: at least 1 token, got 0"),
    ],
)
def test_bad_shapes(make_bad, message):
    with pytest.raises(ValueError, match=message):
        make_bad()
