"""Recall of keys and values of several tokens, against a solver and against enumeration."""

from __future__ import annotations

from itertools import permutations, product
from math import log2, prod
from typing import Any

import numpy as np
import pytest
import torch
from recallscope.tasks.multi_token import MultiTokenRecall
from recallscope.tasks.task import Examples
from scipy.stats import chisquare

SETTINGS = [
    MultiTokenRecall(),
    MultiTokenRecall(length=8, pairs=2, key_tokens=1, value_tokens=1, vocabulary=6, power=1.0),
    MultiTokenRecall(length=131, pairs=8, key_tokens=3, value_tokens=2, key_vocabulary=2, random_filler=False),
    MultiTokenRecall(length=100, pairs=9, key_tokens=2, value_tokens=3, key_vocabulary=3, value_vocabulary=3),
    MultiTokenRecall(length=60, pairs=2, key_tokens=9, value_tokens=6, vocabulary=6000),
    MultiTokenRecall(vocabulary=70_000, length=40, pairs=2, key_tokens=1, value_tokens=4),
    MultiTokenRecall(vocabulary=4, length=12, pairs=1, key_tokens=5, value_tokens=1),
]


def solved(task: MultiTokenRecall, row: list[int], positions: list[int]) -> list[int]:
    """The answers, from the inputs alone: of the key whose n tokens end at the first position of a group."""
    n, m = task.key_tokens, task.value_tokens
    stated = {}
    for start in range(0, task.pairs * (n + m), n + m):
        key, value = tuple(row[start : start + n]), row[start + n : start + n + m]
        assert key not in stated and value not in stated.values()
        stated[key] = value
    found, asked = [], set()
    for first in range(0, len(positions), m):
        group = positions[first : first + m]
        assert group == list(range(group[0], group[0] + m))
        key = tuple(row[group[0] - n + 1 : group[0] + 1])
        value = stated[key]
        assert row[group[0] + 1 : group[0] + m] == value[:-1], "the earlier tokens of the value are given"
        assert (group[0] - n + 1) % (n + m) == 0 and group[0] + 1 < len(row)
        asked.add(key)
        found += value
    assert asked == set(stated)
    return found


@pytest.mark.parametrize("task", SETTINGS, ids=str)
def test_a_solver_that_reads_only_the_inputs_finds_the_answers(task: MultiTokenRecall):
    drawn = task.sample(1000, seed=3)
    half = task.vocabulary // 2
    assert drawn.inputs.shape == (1000, task.length)
    assert drawn.answers.shape == drawn.positions.shape == (1000, task.pairs * task.value_tokens)
    assert drawn.inputs.dtype == (torch.int16 if task.vocabulary <= 2**15 else torch.int32)
    assert 0 <= drawn.inputs.min() and drawn.inputs.max() < task.vocabulary
    stated = drawn.inputs[:, : task.pairs * (task.key_tokens + task.value_tokens)].unflatten(1, (task.pairs, -1))
    keys, values = stated[..., : task.key_tokens], stated[..., task.key_tokens :]
    assert keys.min() >= 1 and keys.max() <= (task.key_vocabulary or half - 1)
    assert values.min() >= half and values.max() < half + (task.value_vocabulary or half)
    for row, positions, answers in zip(
        *(t.tolist() for t in (drawn.inputs, drawn.positions, drawn.answers)), strict=True
    ):
        assert solved(task, row, positions) == answers


def test_filler_is_what_was_asked_for():
    task = MultiTokenRecall(length=40, pairs=2, vocabulary=20, random_filler=False)
    row = task.sample(50_000, seed=1)
    used = torch.zeros(row.inputs.shape, dtype=torch.bool)
    used[:, :8] = True
    for back in (1, 0, -1):  # the key, and the token of the value that is given
        used.scatter_(1, row.positions[:, ::2].long() - back, True)
    assert (row.inputs[~used] == 0).all() and (row.inputs[used] > 0).all()
    random = MultiTokenRecall(length=40, pairs=2, vocabulary=20).sample(50_000, seed=1)
    behind = random.inputs.gather(1, random.positions[:, 1:2].long() + 1)  # the rest of a slot
    assert chisquare(np.bincount(behind.flatten().numpy(), minlength=20)).pvalue > 1e-3


@pytest.mark.parametrize("power", [0.01, 0.6, 1.0])
def test_slots_follow_the_power_law_without_replacement(power: float):
    task = MultiTokenRecall(length=5 * 2 + 5 * 5 + 3, pairs=2, key_tokens=3, value_tokens=2, power=power)
    drawn = task.sample(100_000, seed=5)
    slots = ((drawn.positions[:, ::2].numpy() - 2 - 10) // 5).astype(int)
    weights = np.arange(1, 6) ** (power - 1)
    weights /= weights.sum()
    pairs = [(i, j) for i in range(5) for j in range(5) if i != j]
    expected = [weights[i] * weights[j] / (1 - weights[i]) for i, j in pairs]
    found = np.bincount(slots @ [5, 1], minlength=25)
    assert found.reshape(5, 5).trace() == 0
    assert chisquare([found[5 * i + j] for i, j in pairs], 100_000 * np.array(expected)).pvalue > 1e-3


def test_no_single_token_tells_whose_value_when_all_keys_are_used():
    drawn = MultiTokenRecall(length=256, pairs=27, key_tokens=3, value_tokens=1, key_vocabulary=3).sample(300, seed=1)
    keys = drawn.inputs[:, : 27 * 4].unflatten(1, (27, 4))[..., :3]
    for token in (1, 2, 3):
        assert ((keys == token).sum(1) == 9).all()


def test_tokens_of_keys_and_values_are_uniform():
    drawn = MultiTokenRecall(vocabulary=10, key_vocabulary=3, value_vocabulary=4, pairs=3).sample(60_000, seed=9)
    stated = drawn.inputs[:, :12].unflatten(1, (3, 4))[:, 1].numpy().astype(int)
    assert chisquare(np.bincount(stated[:, :2] @ [3, 1] - 4, minlength=9)).pvalue > 1e-3
    assert chisquare(np.bincount((stated[:, 2:] - 5) @ [4, 1], minlength=16)).pvalue > 1e-3


@pytest.mark.parametrize(
    ("alphabet", "tokens", "count"), [(2, 2, 3), (2, 2, 4), (3, 2, 3), (2, 3, 4), (4, 1, 3), (5, 2, 1), (5, 1, 5)]
)
def test_chance_and_demand_by_enumeration(alphabet: int, tokens: int, count: int):
    task = MultiTokenRecall(length=256, pairs=count, value_tokens=tokens, value_vocabulary=alphabet)
    right, choices = 0.0, list(permutations(product(range(alphabet), repeat=tokens), count))
    for values in choices:
        for j in range(tokens):
            fits = [value for value in values if value[:j] == values[0][:j]]
            right += sum(value[j] == values[0][j] for value in fits) / len(fits)
    assert task.chance() == pytest.approx(right / (len(choices) * tokens), rel=1e-12)
    assert task.demand_bits() == pytest.approx(log2(len(choices)), rel=1e-12)


def test_drawn_answers_are_uniform_on_the_choices():
    drawn = MultiTokenRecall(length=64, pairs=3, value_vocabulary=2).sample(50_000, seed=4)
    number = (drawn.answers.numpy().astype(int) - 4096) @ [32, 16, 8, 4, 2, 1]
    numbers = [sum(v << (2 * (2 - i)) for i, v in enumerate(choice)) for choice in permutations(range(4), 3)]
    found = np.bincount(number, minlength=64)
    assert found[numbers].sum() == 50_000
    assert chisquare(found[numbers]).pvalue > 1e-3


def simulated(task: MultiTokenRecall, drawn: Examples, seed: int) -> float:
    """Accuracy of a random stated value among those that fit so far."""
    random, m = np.random.default_rng(seed), task.value_tokens
    values = drawn.answers.unflatten(1, (task.pairs, m)).numpy()
    score = random.random(values.shape[:2])[:, None, :].repeat(task.pairs, 1)
    right, fits = 0, np.ones_like(score, bool)
    row, whose = np.indices(values.shape[:2])
    for j in range(m):
        guess = np.where(fits, score, -1).argmax(2)
        right += (values[row, guess, j] == values[row, whose, j]).mean()
        fits &= values[:, None, :, j] == values[:, :, None, j]
    return right / m


def test_chance_is_that_of_a_simulated_guesser():
    task = MultiTokenRecall(length=512, pairs=24, value_tokens=3, value_vocabulary=6)
    assert simulated(task, task.sample(8000, seed=2), 1) == pytest.approx(task.chance(), abs=0.005)


def test_chance_and_demand_at_large_sizes():
    assert MultiTokenRecall(value_tokens=1).chance() == 1 / 4
    huge = MultiTokenRecall(length=400, pairs=3, value_tokens=60)
    assert huge.demand_bits() == pytest.approx(3 * 12 * 60, rel=1e-15)
    assert huge.chance() == pytest.approx((1 / 3 + 59) / 60, rel=1e-3)
    assert MultiTokenRecall().demand_bits() == pytest.approx(log2(prod(4096**2 - i for i in range(4))), rel=1e-14)


def test_a_seed_gives_the_same_examples():
    task = SETTINGS[2]
    one, same, other = task.sample(5000, seed=7), task.sample(5000, seed=7), task.sample(5000, seed=8)
    assert torch.equal(one.inputs, same.inputs) and torch.equal(one.answers, same.answers)
    assert not torch.equal(one.inputs, other.inputs)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"vocabulary": 9}, "vocabulary: even, at least 4, got 9"),
        ({"key_tokens": 0}, "key_tokens: at least 1, got 0"),
        ({"value_tokens": 0}, "value_tokens: at least 1, got 0"),
        ({"power": 0.0}, "power: above 0, got 0"),
        ({"key_vocabulary": 4096}, "key_vocabulary: 1 to 4095 for vocabulary 8192, got 4096"),
        ({"key_vocabulary": 0}, "key_vocabulary: 1 to 4095"),
        ({"value_vocabulary": 1}, "value_vocabulary: 2 to 4096 for vocabulary 8192, got 1"),
        ({"value_vocabulary": 4097}, "value_vocabulary: 2 to 4096"),
        ({"pairs": 17}, "pairs: 1 to 16 fit length 128 with 4 tokens a pair of vocabularies 4095 and 4096, got 17"),
        ({"pairs": 5, "key_vocabulary": 2}, "pairs: 1 to 4 fit"),
        ({"pairs": 10, "value_vocabulary": 3}, "pairs: 1 to 9 fit"),
        ({"pairs": 0}, "pairs: 1 to 16 fit"),
    ],
)
def test_bad_settings_are_named(wrong: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        MultiTokenRecall(**wrong)
