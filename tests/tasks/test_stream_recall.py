"""Statements and questions in one stream, against a solver; ages against enumeration."""

from __future__ import annotations

from itertools import permutations, product
from math import log2
from typing import Any

import numpy as np
import pytest
import torch
from recallscope.tasks.stream_recall import StreamRecall
from scipy.stats import chisquare

SETTINGS = [
    StreamRecall(),
    StreamRecall(vocabulary=600, length=258, pairs=17),
    StreamRecall(vocabulary=8, length=12, pairs=2),
    StreamRecall(vocabulary=40_000, length=18, pairs=7),
    StreamRecall(vocabulary=64, length=126, pairs=1),
]


@pytest.mark.parametrize("task", SETTINGS, ids=str)
def test_a_solver_that_reads_only_the_inputs_finds_answers_and_ages(task: StreamRecall):
    drawn = task.sample(1000, seed=3)
    half = task.vocabulary // 2
    assert drawn.inputs.shape == (1000, task.length) and drawn.answers.shape == (1000, task.rounds)
    parts = (drawn.inputs, drawn.positions, drawn.answers, task.ages(drawn))
    for row, positions, answers, ages in zip(*(part.tolist() for part in parts), strict=True):
        told, when, said, questions = {}, {}, 0, []
        for place in range(0, task.length, 2):
            key, value = row[place : place + 2]
            if value == 0:
                questions.append((place, told[key], said - 1 - when[key]))
            else:
                assert 0 < key < half <= value < task.vocabulary and value not in told.values()
                assert place < 2 * task.pairs or key in told
                told[key], when[key], said = value, said, said + 1
        assert questions == list(zip(positions, answers, ages, strict=True))
        assert len(told) == task.pairs and len(questions) == task.rounds and said == task.pairs + task.rounds
        assert [p for p, _, _ in questions] == list(range(2 * task.pairs + 2, task.length, 4))


def test_ages_are_those_of_all_streams():
    task = StreamRecall(length=3 * 2 + 3 * 4, pairs=3)
    expected = np.zeros((3, 6))
    for *whose, asked in product(range(3), repeat=4):
        for r in (1, 2, 3):
            keys = [0, 1, 2, *whose[:r]]
            expected[r - 1, keys[::-1].index(asked)] += 1 / 81
    ages = task.ages(task.sample(60_000, seed=4)).numpy()
    for r in (1, 2, 3):
        share = expected[r - 1, : r + 3]
        assert [(1 / 3) * (2 / 3) ** min(g, r) for g in range(r + 3)] == pytest.approx(share)
        assert chisquare(np.bincount(ages[:, r - 1], minlength=r + 3), 60_000 * share).pvalue > 1e-3


def test_statements_and_questions_are_independent_and_uniform():
    inputs = StreamRecall(length=12, pairs=2).sample(60_000, seed=6).inputs
    second = (inputs[:, [4, 6, 8, 10]] == inputs[:, 2:3]).int().numpy()  # which of the two keys
    assert chisquare(np.bincount(second @ [8, 4, 2, 1], minlength=16)).pvalue > 1e-3


def test_demand_by_enumeration_and_uniform_values():
    task = StreamRecall(vocabulary=8, length=12, pairs=2)
    choices = list(permutations(range(4), 2))
    assert task.demand_bits() == pytest.approx(log2(len(choices)))
    hold = []  # the values of the two keys at the last question
    for row in task.sample(20_000, seed=2).inputs.tolist():
        told = {}
        for place in (0, 2, 4, 8):
            told[row[place]] = row[place + 1] - 4
        hold.append(4 * told[row[0]] + told[row[2]])
    found = np.bincount(hold, minlength=16)[[4 * a + b for a, b in choices]]
    assert found.sum() == 20_000 and chisquare(found).pvalue > 1e-3


def test_chance_is_that_of_the_last_value():
    task = StreamRecall(length=96, pairs=8)
    drawn = task.sample(20_000, seed=1)
    last = drawn.inputs.gather(1, drawn.positions.long() - 1)
    assert task.chance() == 1 / 8
    assert (last == drawn.answers).double().mean().item() == pytest.approx(1 / 8, abs=0.003)


def test_a_seed_gives_the_same_examples():
    one, same, other = (SETTINGS[1].sample(5000, seed=seed) for seed in (7, 7, 8))
    assert torch.equal(one.inputs, same.inputs) and torch.equal(one.answers, same.answers)
    assert not torch.equal(one.inputs, other.inputs)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"vocabulary": 7}, "vocabulary: even, at least 4, got 7"),
        ({"pairs": 0}, "pairs: 1 to 4095 for vocabulary 8192, got 0"),
        ({"pairs": 4, "vocabulary": 8}, "pairs: 1 to 3 for vocabulary 8, got 4"),
        ({"length": 16}, "length: 20 to 16368 in steps of 4 for 8 pairs and vocabulary 8192, got 16"),
        ({"length": 66}, "length: 20 to 16368 in steps of 4"),
        (
            {"length": 20, "pairs": 2, "vocabulary": 8},
            "length: 8 to 12 in steps of 4 for 2 pairs and vocabulary 8, got 20",
        ),
    ],
)
def test_bad_settings_are_named(wrong: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        StreamRecall(**wrong)
