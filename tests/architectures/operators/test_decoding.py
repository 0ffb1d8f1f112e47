"""Speculative decoding against rounds that are simulated, and states of real mixers after going back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.counting import count_flops
from recallscope.architectures.mixers import MIXERS
from recallscope.architectures.model import LanguageModel
from recallscope.architectures.operators.cache import evict
from recallscope.architectures.operators.decoding import (
    best_draft,
    big_little,
    check_bytes,
    expected_tokens,
    rollback_elements,
    speculate,
    speedup,
)
from recallscope.architectures.operators.quantisation import quantise, quantise_state
from recallscope.architectures.specification import specification

DRAWS = 200_000


def model(*layers, width=32, ffn=48, vocabulary=20, **last):
    layers = tuple({"mixer": m} | last if isinstance(m, str) else m for m in layers)
    return specification(Architecture("test", ModelConfig(vocabulary, width, layers, ffn)))


LARGE, SMALL = model("attention", "mamba2", "sliding_window", width=64, ffn=128), model("gla")


@pytest.mark.parametrize("acceptance, draft", [(0.3, 4), (0.8, 4), (0.8, 1), (0.9, 7)])
def test_tokens_of_a_round_by_draws(acceptance, draft):
    random = np.random.default_rng(0)
    kept = random.random((DRAWS, draft)) < acceptance
    tokens = kept.cumprod(1).sum(1) + 1
    assert abs(tokens.mean() - expected_tokens(acceptance, draft)) < 4 * tokens.std() / DRAWS**0.5


def test_limits():
    assert expected_tokens(1, 5) == 6 == pytest.approx(expected_tokens(1 - 1e-9, 5))
    assert expected_tokens(0.7, 0) == pytest.approx(1)
    assert speedup(0, 3, 0.1) == 1 / 1.3
    assert speedup(1, 4, 0) == 5
    assert best_draft(0.1, 0.5) == 0
    assert best_draft(1, 0.2, longest=10) == 10
    assert best_draft(0.8, 0.05) == np.argmax([speedup(0.8, n, 0.05) for n in range(65)])


@pytest.mark.parametrize("f, r, c", [(0.25, 0.05, 0.05), (0.1, 0.0, 0.1), (1.0, 0.3, 0.2), (0.4, 1.0, 0.1)])
def test_big_little_by_rounds(f, r, c):
    random = np.random.default_rng(1)
    steps = random.geometric(f, DRAWS)  # the last step is the one that is unsure
    tokens = np.minimum(steps - 1, random.geometric(r, DRAWS) - 1 if r else np.inf) + 1
    ratio = tokens.mean() / (c * steps + 1).mean()
    assert big_little(f, r, c) == pytest.approx(ratio, rel=0.01)
    if not r:
        assert big_little(f, r, c) == pytest.approx(1 / (c + f))


def test_a_round_without_drafts_is_a_step():
    round_ = speculate(SMALL, LARGE, 0.8, 0, 50, 3)
    assert (round_.tokens, round_.speedup) == (pytest.approx(1), pytest.approx(1))
    assert round_.check_bytes == LARGE.decode_bytes(50, 3)
    assert round_.check_flops == LARGE.decode_flops(50, 3)


def test_speedup_tends_to_the_closed_form_for_large_models_and_short_texts():
    small, large = (model("gla", width=w, ffn=4 * w, vocabulary=50_000) for w in (256, 1024))
    round_ = speculate(small, large, 0.8, 4, 1)
    assert round_.speedup == pytest.approx(speedup(0.8, 4, round_.cost), rel=0.02)


def test_check_is_counted_on_the_real_model():
    spec = model("attention", "mamba2")
    real, t, n = LanguageModel(spec.architecture.config), 9, 4
    flops = 0
    with torch.no_grad():
        _, states = real.prefill(torch.zeros(1, t - 1, dtype=torch.long))
        for _ in range(n):
            with count_flops() as counted:
                _, states = real.step(torch.zeros(1, dtype=torch.long), states)
            flops += counted.flops
    assert speculate(SMALL, spec, 0.5, n - 1, t).check_flops == flops
    attention, tokens = model("attention", vocabulary=0), range(t, t + n)
    written = sum(attention.write_elements(i) for i in tokens)
    assert check_bytes(attention, t, n) == attention.weight_bytes() + 2 * (attention.read_elements(t + n - 1) + written)


def test_a_check_touches_more_experts_than_a_step():
    experts = model({"mixer": "attention", "experts": 8, "active_experts": 1})
    more = check_bytes(experts, 5, 4) - check_bytes(experts, 5, 1)
    one = 3 * 32 * 48 * 2
    state = experts.read_elements(8) - experts.read_elements(5) + 3 * experts.write_elements(5)
    tables = 3 * 32 * 2  # rows of the embedding
    touched = 8 * (1 - (7 / 8) ** 4) - 1
    assert more == pytest.approx(touched * one + 2 * state + tables, rel=2e-3)  # the same row may come again


@pytest.mark.parametrize(
    "name, options", [("sliding_window", {"window": 4}), ("mamba2", {}), ("gla", {}), ("attention", {})]
)
def test_what_going_back_needs_beside_the_state(name, options):
    """States after t .. t + γ: what of those before the last is not in the last, counted number by number."""
    torch.manual_seed(0)
    mixer, pending = MIXERS[name](32, **options).double(), 3
    with torch.no_grad():
        _, state = mixer.prefill(torch.randn(1, 12, 32, dtype=torch.float64))
        passed = [state]
        for _ in range(pending):
            _, state = mixer.step(torch.randn(1, 32, dtype=torch.float64), state)
            passed.append(state)
    kept = [{float(x) for u in one if u.ndim for x in u.flatten()} for one in passed]
    missing = len(set().union(*kept[:-1]) - kept[-1])
    spec = model(name, ffn=0, vocabulary=0, **options)
    assert rollback_elements(spec, pending) == missing
    assert rollback_elements(spec, 0) == 0


def test_replay_keeps_one_copy_and_budgets_keep_what_they_drop():
    mixed = model("attention", "gla")
    state = MIXERS["gla"](32).dataflow().state
    assert rollback_elements(mixed, 5, replay=True) == state
    assert rollback_elements(mixed, 5) == 5 * state
    assert rollback_elements(evict(mixed, 8), 5) == 5 * (state + 2 * 32)


def test_extra_memory():
    t, draft, batch = 40, 4, 2
    round_ = speculate(quantise(SMALL, 4), quantise_state(LARGE, 8), 0.7, draft, t, batch)
    small = quantise(SMALL, 4).weight_bytes() + batch * 2 * SMALL.state_elements(t)
    saved = batch * (rollback_elements(LARGE, draft) + 2 * rollback_elements(SMALL, draft))
    assert round_.extra_bytes == small + saved


def test_memory_bound():
    round_ = speculate(SMALL, LARGE, 0.7, 4, 100)
    intensity = round_.check_flops / round_.check_bytes
    assert round_.memory_bound(peak=intensity * 1.01, bandwidth=1.0)
    assert not round_.memory_bound(peak=intensity * 0.99, bandwidth=1.0)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: expected_tokens(1.1, 3), "acceptance, draft"),
        (lambda: expected_tokens(0.5, -1), "acceptance, draft"),
        (lambda: speedup(0.5, 3, -1), "cost: at least 0"),
        (lambda: big_little(0, 0.1, 0.1), "fallback, rollback, cost"),
        (lambda: big_little(0.1, 1.5, 0.1), "fallback, rollback, cost"),
        (lambda: speculate(SMALL, LARGE, 2, 3, 4), "acceptance, draft"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
