"""Fewer tokens, against counted passes of real layers, draws, enumeration and the paper's ratio."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.counting import count_flops
from recallscope.architectures.model import LanguageModel
from recallscope.architectures.operators.tokens import (
    expected_prefill_flops,
    length_drop,
    reduced_prefill_flops,
    reduced_state_elements,
    subsampled_training_flops,
    token_transform_flops,
)

LAYERS = ({"mixer": "attention"}, {"mixer": "gla"}, {"mixer": "attention", "ffn_width": 0})
SHAPE = Architecture("test", ModelConfig(20, 32, LAYERS, 48))
LOOPED = Architecture("looped", ModelConfig(20, 32, LAYERS, 48, loops=2))


def test_a_pass_in_which_tokens_are_really_dropped():
    model: Any = LanguageModel(SHAPE.config)
    lengths = 11, 7, 4
    x, kept = torch.randn(2, 11, 32), 0
    with torch.no_grad(), count_flops() as counted:
        for block, n in zip(model.blocks, lengths, strict=True):
            x, state = block.prefill(x[:, :n], None)
            kept += sum(u.numel() for u in state if u.ndim and u.shape[0] == 2) // 2
        model.head(model.norm(x))
    assert reduced_prefill_flops(SHAPE, lengths, 2) == counted.flops
    assert reduced_state_elements(SHAPE, lengths) == kept
    head = 2 * 20 * 32
    assert reduced_prefill_flops(SHAPE, lengths, 2, restored=11) == counted.flops + 2 * (11 - 4) * head


def test_all_tokens_are_the_untouched_model():
    assert reduced_prefill_flops(SHAPE, [9] * 3, 2) == SHAPE.prefill_flops(9, 2)
    assert reduced_state_elements(SHAPE, [9] * 3) == SHAPE.state_elements(9)
    assert expected_prefill_flops(SHAPE, 9, 0.0) == SHAPE.prefill_flops(9)


def test_distribution_by_enumeration():
    chances = np.zeros((3, 8))

    def follow(layer, n, p):
        if layer == 3:
            return
        after = range(math.ceil(0.5 * n), n + 1)
        for m in after:
            chances[layer, m] += p / len(after)
            follow(layer + 1, m, p / len(after))

    follow(0, 7, 1.0)
    np.testing.assert_allclose(length_drop(7, 3, 0.5), chances, atol=1e-15)


def test_expectation_over_every_draw_and_by_draws():
    exact = expected_prefill_flops(SHAPE, 6, 0.4, restored=False)
    total = 0.0
    for lengths in itertools.product(range(1, 7), repeat=3):
        p, before = 1.0, 6
        for n in lengths:
            after = range(math.ceil(0.6 * before), before + 1)
            p, before = (p / len(after) if n in after else 0.0), n
        total += p * reduced_prefill_flops(SHAPE, lengths) if p else 0.0
    assert exact == pytest.approx(total, rel=1e-12)
    random, draws = np.random.default_rng(0), 20_000
    left = np.full(draws, 50)
    for _ in range(3):
        left = random.integers(np.ceil(0.8 * left - 1e-12), left + 1)
    chance = length_drop(50, 3, 0.2)[-1]
    mean, spread = chance @ np.arange(51), np.sqrt(chance @ np.arange(51) ** 2 - (chance @ np.arange(51)) ** 2)
    assert abs(left.mean() - mean) < 4 * spread / draws**0.5


@pytest.mark.parametrize("tokens, drop", [(10, 0.2), (1000, 0.1), (30, 0.3)])
def test_least_length_is_not_rounded_up_by_floating_point(tokens, drop):
    assert np.flatnonzero(length_drop(tokens, 1, drop)[0])[0] == round((1 - drop) * tokens)


def test_probabilities_sum_to_one():
    np.testing.assert_allclose(length_drop(40, 12, 0.3).sum(1), 1, atol=1e-12)


def test_token_transform_is_counted():
    x, chosen = torch.randn(12, 8), torch.randn(5, 8)
    with count_flops() as counted:
        similar = (chosen @ x.T).softmax(-1)
        torch.mm(similar, x)
    assert token_transform_flops(12, 5, 8) == counted.flops


def test_subsampled_training_is_counted_and_tends_to_the_papers_ratio():
    dense = SHAPE.training_flops(130, 2)
    sampled = Architecture("sampled", ModelConfig(20, 32, (
        {"mixer": "subsampled", "rate": 4}, LAYERS[1], {"mixer": "subsampled", "rate": 4, "ffn_width": 0},
    ), 48))  # fmt: skip
    with count_flops() as counted:
        LanguageModel(sampled.config)(torch.zeros(2, 130, dtype=torch.long)).sum().backward()
    assert subsampled_training_flops(SHAPE, 4, 0.0, 130, 2) == counted.flops
    assert subsampled_training_flops(SHAPE, 4, 1.0, 130, 2) == dense
    assert subsampled_training_flops(SHAPE, 4, 0.25, 130, 2) == 0.75 * counted.flops + 0.25 * dense
    attention = Architecture("one", ModelConfig(0, 32, ({"mixer": "attention"},), 0))
    long = 10**8
    part = subsampled_training_flops(attention, 4, 0.25, long) / attention.training_flops(long)
    assert part == pytest.approx(6 / 7 * 0.75 / 4 + 0.25, rel=1e-4)  # ρ (1 − f) + f, and scores not computed anew


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: reduced_prefill_flops(SHAPE, [5, 6, 4]), "lengths: 3 that do not rise"),
        (lambda: reduced_prefill_flops(SHAPE, [5, 4]), "lengths: 3"),
        (lambda: reduced_state_elements(SHAPE, [5, 4, 0]), "at least 1"),
        (lambda: reduced_prefill_flops(LOOPED, [5] * 3), "architecture: layers that run once"),
        (lambda: length_drop(5, 2, 1.0), "tokens, layers, drop"),
        (lambda: token_transform_flops(4, 5, 8), "kept: between 1 and 4"),
        (lambda: subsampled_training_flops(SHAPE, 2, 1.5, 9), "dense_share: between 0 and 1"),
        (lambda: subsampled_training_flops(Architecture("g", ModelConfig(0, 32, ({"mixer": "gla"},), 0)), 2, 0.5, 9),
         "architecture: some layer with attention"),
    ],
)  # fmt: skip
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
