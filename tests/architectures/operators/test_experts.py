"""Mixtures of experts: built, split, routed at random, padded and sent."""

from __future__ import annotations

import math

import pytest
import torch
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.counting import count_flops
from recallscope.architectures.feed_forward import FeedForward, MixtureOfExperts
from recallscope.architectures.model import LanguageModel
from recallscope.architectures.operators import (
    all_to_all_bytes,
    dropped_share,
    expected_experts,
    expert_capacity,
    fine_grained,
    low_rank,
    padding_flops,
    quantise,
    scheduled_training_flops,
    split_ffn,
    to_experts,
)
from recallscope.architectures.specification import specification
from torch.nn import functional

D, F = 32, 48
LAYERS = ({"mixer": "attention", "heads": 2}, {"mixer": "retention", "heads": 2})
BASE = specification(Architecture("test", ModelConfig(40, D, LAYERS, F)))


def routed(tokens: int, experts: int, active: int, draws: int = 4000) -> torch.Tensor:
    """How many tokens choose each expert, in many draws: `[draws, experts]`."""
    scores = torch.rand(draws, tokens, experts, generator=torch.Generator().manual_seed(0))
    return torch.zeros(draws, tokens, experts).scatter(-1, scores.topk(active, -1).indices, 1.0).sum(1)


@pytest.mark.parametrize(("hidden", "shared"), [(None, 0), (16, 8)])
def test_a_mixture_is_counted_on_the_real_model(hidden, shared):
    operand = to_experts(BASE, 5, 2, hidden, shared)
    model = LanguageModel(operand.architecture.config)
    ids = torch.randint(0, 40, (2, 130), generator=torch.Generator().manual_seed(0))
    with count_flops() as training:
        model(ids).sum().backward()
    with torch.no_grad(), count_flops() as prefill:
        model.prefill(ids)
    assert operand.parameters() == sum(p.numel() for p in model.parameters())
    assert operand.prefill_flops(130, 2) == prefill.flops
    assert operand.training_flops(130, 2) == training.flops
    expert = 3 * D * (hidden or F)
    assert operand.parameters() - BASE.parameters() == 2 * (5 * expert + 3 * D * shared + 5 * D - 3 * D * F)


def test_some_layers_only():
    operand = to_experts(BASE, 4, 1, layers=[1])
    assert operand.applied == ("to_experts(experts=4, active=1, layers=[1])",)
    assert ["experts" in layer for layer in operand.architecture.config.layers] == [False, True]
    assert operand.parameters() - BASE.parameters() == 3 * 3 * D * F + 4 * D


def test_a_split_layer_with_all_groups_is_the_dense_layer():
    dense, experts = FeedForward(D, F), 4
    order = torch.randperm(F)
    x, y = torch.randn(9, D), torch.zeros(9, D)
    for group in order.view(experts, -1):
        part = FeedForward(D, F // experts)
        with torch.no_grad():
            part.up.weight.copy_(torch.cat([dense.up.weight[group], dense.up.weight[F + group]]))
            part.down.weight.copy_(dense.down.weight[:, group])
        y += part(x)
    assert torch.allclose(y, dense(x), atol=1e-5)


@pytest.mark.parametrize(("experts", "active"), [(4, 1), (12, 5), (3, 3)])
def test_a_split_layer_costs_its_share_and_the_gate(experts, active):
    operand = split_ffn(BASE, experts, active)
    keys, x = torch.randn(F, D), torch.randn(1, D)
    with count_flops() as count:
        scores = x @ keys.view(experts, -1, D).mean(1).T  # the gate
        part = FeedForward(D, F // experts)
        for _ in range(active):
            part(x)
    assert scores.shape == (1, experts)
    saved = BASE.decode_flops(3) - operand.decode_flops(3)
    assert saved == 2 * (6 * D * F - count.flops)
    assert count.flops == 6 * D * F * active // experts + 2 * D * experts
    assert operand.parameters() - BASE.parameters() == 2 * D * experts
    read = BASE.decode_bytes(3) - operand.decode_bytes(3)
    assert read == pytest.approx(2 * 2 * (3 * D * F * (1 - active / experts) - D * experts))


def test_finer_experts_keep_parameters_and_products():
    base = to_experts(BASE, 4, 2)
    operand = fine_grained(base, 3, 1)
    (layer, _) = operand.architecture.config.layers
    assert layer["experts"] == 11 and layer["active_experts"] == 5
    assert layer["ffn_width"] == 16 and layer["shared_width"] == 16
    router = 2 * D * (11 - 4)
    assert operand.parameters() - base.parameters() == router
    assert operand.decode_flops(5) - base.decode_flops(5) == 2 * router
    model = LanguageModel(operand.architecture.config)
    assert operand.parameters() == sum(p.numel() for p in model.parameters())
    assert fine_grained(base, 1) is base
    ffn = model.blocks[0].ffn
    assert isinstance(ffn, MixtureOfExperts) and ffn.shared_width == 16


def test_bits_follow_the_matrices_into_the_experts():
    operand = to_experts(quantise(BASE, 4, only="ffn"), 4, 1, shared=8)
    bits = {w.name: w.bits for w in operand.weights if w.name.startswith("ffn")}
    assert bits.pop("ffn.router") == 16
    assert set(bits) == {f"ffn.{place}.{name}" for place in ("experts", "shared") for name in ("up", "down")}
    assert set(bits.values()) == {4}
    assert operand.applied == ("quantise(bits=4, only='ffn')", "to_experts(experts=4, active=1, shared=8)")


@pytest.mark.parametrize(("experts", "active", "tokens"), [(8, 2, 5), (64, 6, 16), (3, 3, 1)])
def test_experts_that_a_batch_touches_against_simulation(experts, active, tokens):
    touched = (routed(tokens, experts, active, 2000) > 0).sum(1).double().mean().item()
    assert expected_experts(experts, active, tokens) == pytest.approx(touched, rel=0.01)


def test_decode_bytes_read_the_expected_experts():
    operand = to_experts(BASE, 5, 2)
    per_expert = 2 * 3 * D * F * 2  # bytes in two layers
    growth = operand.decode_bytes(9, 4) - operand.decode_bytes(9, 1)
    dense = BASE.decode_bytes(9, 4) - BASE.decode_bytes(9, 1)
    assert growth - dense == pytest.approx(per_expert * (expected_experts(5, 2, 4) - 2))


@pytest.mark.parametrize(
    ("experts", "active", "tokens", "factor"), [(8, 1, 40, 1.0), (8, 2, 24, 1.25), (4, 1, 10, 0.5)]
)
def test_dropped_choices_against_simulation(experts, active, tokens, factor):
    places = expert_capacity(experts, active, tokens, factor)
    assert places == math.ceil(factor * tokens * active / experts)
    overflow = (routed(tokens, experts, active) - places).clamp_min(0).sum(1).mean().item()
    assert dropped_share(experts, active, tokens, factor) == pytest.approx(overflow / (tokens * active), abs=0.003)


def test_dropped_choices_in_the_limits():
    assert dropped_share(4, 4, 10, 1.0) == 0
    assert dropped_share(4, 4, 10, 0.5) == 0.5
    assert dropped_share(8, 2, 16, 100) == 0
    assert dropped_share(8, 2, 20_000, 1.0) == pytest.approx(math.sqrt(6 / 8 / (2 * math.pi * 5000)), rel=0.01)
    assert expert_capacity(10, 3, 30, 0.1 + 0.2) == 3


def test_padding_against_buffers_of_all_places():
    operand, tokens, factor = to_experts(BASE, 5, 2), 12, 1.25
    places = expert_capacity(5, 2, tokens, factor)
    buffers = torch.randn(5, places, D)
    with count_flops() as padded:
        gate, value = (buffers @ torch.randn(5, D, 2 * F)).chunk(2, -1)
        y = (functional.silu(gate) * value) @ torch.randn(5, F, D)
    assert y.shape == (5, places, D)
    chosen = tokens * 2 * 6 * D * F
    assert padding_flops(operand, tokens, factor) == pytest.approx(2 * (padded.flops - chosen))
    assert padding_flops(operand, 5, 1.0) == pytest.approx(0)


def test_bytes_between_devices_against_a_list_of_messages():
    operand, tokens, devices = to_experts(BASE, 8, 2), 4000, 4
    generator = torch.Generator().manual_seed(0)
    chosen = torch.rand(tokens, 8, generator=generator).topk(2, -1).indices // 2  # two experts on each device
    home = torch.randint(devices, (tokens, 1), generator=generator)
    sent = 2 * int((chosen != home).sum()) * D * 2  # there and back, two bytes a value
    assert all_to_all_bytes(operand, tokens, devices=devices) == pytest.approx(2 * sent, rel=0.02)
    assert all_to_all_bytes(operand, 1) == 2 * 2 * 2 * D * 2
    assert all_to_all_bytes(operand, 1, bits=8, devices=1) == 0


def test_a_schedule_of_experts_against_its_steps():
    operand = to_experts(BASE, 8, 1)
    steps = {8: 50, 4: 25, 1: 125}
    mean = sum(n * to_experts(BASE, 8, active).training_flops(9, 2) for active, n in steps.items()) / 200
    schedule = [(0, 8), (0.25, 8), (0.25, 4), (0.375, 4), (0.375, 1), (1, 1)]
    assert scheduled_training_flops(operand, schedule, 9, 2) == pytest.approx(mean, rel=1e-12)
    assert scheduled_training_flops(operand, [(0, 1), (1, 1)], 9, 2) == operand.training_flops(9, 2)
    line = scheduled_training_flops(operand, [(0, 8), (1, 2)], 9, 2)
    assert line == pytest.approx(to_experts(BASE, 8, 5).training_flops(9, 2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: to_experts(BASE, 2, 3), "active: between 1 and experts = 2, got 3"),
        (lambda: to_experts(BASE, 2, 1, hidden=0), "hidden: at least 1, got 0"),
        (lambda: to_experts(to_experts(BASE, 2, 1), 2, 1), "layers: with a dense feed-forward layer"),
        (lambda: to_experts(low_rank(BASE, 2), 2, 1), "to_experts.*comes before operators on weights"),
        (lambda: split_ffn(BASE, 5, 1), "experts: a divisor of the hidden width 48 of layer 0, got 5"),
        (lambda: fine_grained(BASE, 2), "some layer with experts, got none"),
        (lambda: fine_grained(to_experts(BASE, 2, 1), 5), "split: a divisor of the hidden width 48"),
        (lambda: fine_grained(to_experts(BASE, 2, 1), 2, 2), "shared: from 0 to 1"),
        (lambda: padding_flops(BASE, 1, 1.0), "some layer with experts"),
        (
            lambda: scheduled_training_flops(to_experts(BASE, 2, 1), [(0, 3), (1, 1)], 1),
            "schedule: from 0 to 2 experts",
        ),
        (lambda: expected_experts(2, 0, 1), "active: between 1"),
    ],
)
def test_bad_knobs(make, message):
    with pytest.raises(ValueError, match=message):
        make()
