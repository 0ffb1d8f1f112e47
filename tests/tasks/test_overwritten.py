"""Keys stated several times, against a solver; ages and orders against enumeration."""

from __future__ import annotations

from itertools import combinations, permutations
from math import log2
from typing import Any

import numpy as np
import pytest
import torch
from recallscope.tasks.overwritten import OverwrittenRecall
from scipy.stats import chisquare

SETTINGS = [
    OverwrittenRecall(),
    OverwrittenRecall(length=256, pairs=16, writes=5, random_filler=False),
    OverwrittenRecall(vocabulary=20, length=24, pairs=3, writes=3, power=1.0),
    OverwrittenRecall(vocabulary=40_000, length=30, pairs=7, writes=1),
    OverwrittenRecall(vocabulary=8, length=10, pairs=1, writes=4),
]


@pytest.mark.parametrize("task", SETTINGS, ids=str)
def test_a_solver_that_reads_only_the_inputs_finds_answers_and_ages(task: OverwrittenRecall):
    drawn = task.sample(1000, seed=3)
    half, end = task.vocabulary // 2, 2 * task.pairs * task.writes
    assert drawn.inputs.shape == (1000, task.length) and drawn.answers.shape == (1000, task.pairs)
    assert 0 <= drawn.inputs.min() and drawn.inputs.max() < task.vocabulary
    parts = (drawn.inputs, drawn.positions, drawn.answers, task.ages(drawn))
    for row, positions, answers, ages in zip(*(part.tolist() for part in parts), strict=True):
        told, when, times = {}, {}, {}
        for place in range(0, end, 2):
            key, value = row[place : place + 2]
            assert 0 < key < half <= value
            told[key], when[key], times[key] = value, place, times.get(key, 0) + 1
        assert set(times.values()) == {task.writes} and len(set(row[1:end:2])) == end // 2
        assert all(p >= end and p % 2 == 0 for p in positions) and len(set(positions)) == task.pairs
        assert sorted(row[p] for p in positions) == sorted(told)
        assert [told[row[p]] for p in positions] == answers
        assert [sum(later > when[row[p]] for later in range(0, end, 2)) for p in positions] == ages
        assert row[end - 1] in answers, "chance: the last value stated holds, for one of D keys"
        if not task.random_filler:
            assert all(row[i] == 0 for i in range(end, task.length) if i not in positions)


def test_statements_stand_in_every_order():
    inputs = OverwrittenRecall(pairs=2, writes=3).sample(60_000, seed=2).inputs[:, :12:2]
    first = (inputs == inputs.amin(1, keepdim=True)).int().numpy() @ (1 << np.arange(6))
    orders = [sum(1 << i for i in places) for places in combinations(range(6), 3)]
    found = np.bincount(first, minlength=64)
    assert found[orders].sum() == 60_000 and chisquare(found[orders]).pvalue > 1e-3


@pytest.mark.parametrize(("pairs", "writes"), [(3, 2), (2, 3), (5, 1), (1, 4), (2, 4)])
def test_ages_are_those_of_all_orders(pairs: int, writes: int):
    task = OverwrittenRecall(pairs=pairs, writes=writes)
    orders = list(combinations(range(pairs * writes), writes))
    share = np.bincount([pairs * writes - 1 - max(order) for order in orders]) / len(orders)
    assert task.age_probabilities() == pytest.approx(share)
    ages = task.ages(task.sample(50_000, seed=6)).numpy()
    for key in range(pairs):
        found = np.bincount(ages[:, key], minlength=len(share))
        assert len(share) == 1 or chisquare(found, 50_000 * share).pvalue > 1e-3


def test_age_and_slot_are_independent():
    task = OverwrittenRecall(length=18, pairs=2, writes=2, power=0.3)
    drawn = task.sample(100_000, seed=8)
    slots = (drawn.positions.numpy().astype(int) - 8) // 2
    weights = np.arange(1, 6) ** (0.3 - 1)
    weights /= weights.sum()
    both = np.outer(task.age_probabilities(), weights)
    found = np.bincount(task.ages(drawn).numpy()[:, 0] * 5 + slots[:, 0], minlength=15)
    assert chisquare(found, 100_000 * both.flatten()).pvalue > 1e-3
    second = [sum(weights[i] * weights[j] / (1 - weights[i]) for i in range(5) if i != j) for j in range(5)]
    assert chisquare(np.bincount(slots[:, 1], minlength=5), 100_000 * np.array(second)).pvalue > 1e-3


def test_random_filler_is_uniform_on_all_ids():
    task = OverwrittenRecall(vocabulary=12, length=20, pairs=2, writes=2)
    drawn = task.sample(50_000, seed=1)
    behind = drawn.inputs.gather(1, drawn.positions.long() + 1)
    assert chisquare(np.bincount(behind[:, 0].numpy(), minlength=12)).pvalue > 1e-3


def test_demand_by_enumeration_and_uniform_answers():
    task = OverwrittenRecall(vocabulary=8, length=24, pairs=2, writes=2)
    choices = list(permutations(range(4, 8), 2))
    assert task.demand_bits() == pytest.approx(log2(len(choices)))
    answers = task.sample(50_000, seed=5).answers.numpy().astype(int)
    found = np.bincount((answers - 4) @ [4, 1], minlength=16)
    assert chisquare(found[[4 * a + b - 20 for a, b in choices]]).pvalue > 1e-3
    assert OverwrittenRecall(writes=1).demand_bits() == OverwrittenRecall(writes=6).demand_bits()


def test_chance_is_the_share_of_the_best_value():
    task = OverwrittenRecall(length=128, pairs=4, writes=3)
    drawn = task.sample(4000, seed=3)
    right = (drawn.inputs[:, 1:24:2, None] == drawn.answers[:, None, :]).float().mean((0, 2))
    assert right.max().item() == right[-1].item() == task.chance() == 1 / 4
    assert right.mean().item() == pytest.approx(1 / 12)


def test_a_seed_gives_the_same_examples():
    one, same, other = (SETTINGS[1].sample(5000, seed=seed) for seed in (7, 7, 8))
    assert torch.equal(one.inputs, same.inputs) and torch.equal(one.answers, same.answers)
    assert not torch.equal(one.inputs, other.inputs)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"vocabulary": 7}, "vocabulary: even, at least 4, got 7"),
        ({"vocabulary": 2}, "vocabulary: even, at least 4, got 2"),
        ({"length": 65}, "length: even, got 65"),
        ({"writes": 0}, "writes: at least 1, got 0"),
        ({"power": -1.0}, "power: above 0, got -1"),
        ({"pairs": 11}, "pairs: 1 to 10 fit vocabulary 8192 and length 64 with 2 writes, got 11"),
        ({"pairs": 4, "vocabulary": 14}, "pairs: 1 to 3 fit vocabulary 14"),
        ({"pairs": 4, "vocabulary": 8, "writes": 1}, "pairs: 1 to 3 fit vocabulary 8"),
        ({"pairs": 0}, "pairs: 1 to 10 fit"),
    ],
)
def test_bad_settings_are_named(wrong: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        OverwrittenRecall(**wrong)
