"""The general form of recall, against a solver and against the probability of every possible example."""

from __future__ import annotations

from itertools import permutations, product
from math import log2
from typing import Any

import numpy as np
import pytest
import torch
from recallscope.tasks.general_recall import GeneralRecall
from scipy.stats import binomtest, chisquare

SETTINGS = [
    GeneralRecall(),
    GeneralRecall(vocabulary=8, length=6, present=0.3),
    GeneralRecall(vocabulary=40, length=54, present=0.8),
    GeneralRecall(vocabulary=40_000, length=150, present=1.0),
    GeneralRecall(vocabulary=60, length=30, present=0.0),
]


@pytest.mark.parametrize("task", SETTINGS, ids=str)
def test_a_solver_that_reads_only_the_inputs_finds_the_answers(task: GeneralRecall):
    drawn = task.sample(1000, seed=3)
    half, triples = task.vocabulary // 2, task.length // 3
    assert drawn.inputs.shape == (1000, task.length) and drawn.answers.shape == (1000, triples - 1)
    for row, positions, answers in zip(
        *(t.tolist() for t in (drawn.inputs, drawn.positions, drawn.answers)), strict=True
    ):
        keys, values, asked = row[::3], row[1::3], row[2::3]
        assert positions == [3 * i + 2 for i in range(1, triples)]
        assert len(set(keys)) == len(set(values)) == triples
        assert min(keys + asked) >= 1 and max(keys + asked) < half <= min(values) and max(values) < task.vocabulary
        found = []
        for i in range(1, triples):
            matches = [j for j in range(i) if keys[j] == asked[i]]
            found.append(values[matches[-1]] if matches else 0)
        assert found == answers
        assert all(key != question for key, question in zip(keys, asked, strict=True))


@pytest.mark.parametrize("present", [0.0, 0.35, 1.0])
def test_every_stream_of_keys_and_questions_has_its_probability(present: float):
    """Keys 1 .. 4, three triples: the probabilities written out by the definition."""
    expected = np.zeros(4**6)
    for keys in permutations(range(4), 3):
        for asked in product(range(4), repeat=3):
            chance = 1 / 24
            for i, question in enumerate(asked):
                if question in keys[:i]:
                    chance *= present / i
                elif question in keys[: i + 1]:
                    chance = 0.0
                else:
                    chance *= (1.0 if i == 0 else 1 - present) / (4 - i - 1)
            expected[int(np.dot([*keys, *asked], 4 ** np.arange(6)))] = chance
    assert expected.sum() == pytest.approx(1)
    inputs = GeneralRecall(vocabulary=10, length=9, present=present).sample(100_000, seed=2).inputs.numpy().astype(int)
    stream = inputs[:, [0, 3, 6, 2, 5, 8]] - 1
    found = np.bincount(stream @ 4 ** np.arange(6), minlength=4**6)
    possible = expected > 0
    assert found[~possible].sum() == 0
    assert chisquare(found[possible], 100_000 * expected[possible]).pvalue > 1e-3


def test_questions_are_uniform_at_the_usual_size():
    task = GeneralRecall(length=120, present=0.4)
    drawn = task.sample(5000, seed=1)
    known = drawn.answers.numpy() > 0
    assert binomtest(int(known.sum()), known.size, 0.4).pvalue > 1e-3
    keys, asked = drawn.inputs[:, ::3].numpy(), drawn.inputs[:, 38 * 3 + 2].numpy()  # the last question but one
    place = (keys == asked[:, None]).argmax(1)[known[:, 37]]
    assert chisquare(np.bincount(place, minlength=38)).pvalue > 1e-3
    unknown = drawn.inputs[:, 5::3].numpy()[~known].astype(int)  # any of 4095 ids, in 64 cells
    share = np.bincount(np.arange(1, 4096) // 64, minlength=64)
    assert chisquare(np.bincount(unknown // 64, minlength=64), len(unknown) * share / 4095).pvalue > 1e-3


@pytest.mark.parametrize("present", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_chance_is_that_of_the_best_simulated_guesser(present: float):
    task = GeneralRecall(vocabulary=100, length=36, present=present)
    drawn = task.sample(20_000, seed=5)
    best = []
    for i in range(1, 12):
        answers = drawn.answers[:, i - 1, None]
        guesses = torch.cat([torch.zeros_like(answers), drawn.inputs[:, 1 : 3 * i : 3]], 1)
        best.append((guesses == answers).double().mean(0).max().item())
    assert task.chance() == pytest.approx(np.mean(best), abs=0.01)


def test_chance_by_hand():
    assert GeneralRecall(length=12, present=0.75).chance() == pytest.approx((3 / 4 + 3 / 8 + 1 / 4) / 3)
    assert GeneralRecall(length=12, present=0.25).chance() == pytest.approx(3 / 4)


def test_demand_counts_the_memories_that_answer_differently():
    """After two triples: every key-value map, by what it answers to each question that may come."""
    task = GeneralRecall(vocabulary=10, length=9)
    maps = [
        dict(zip(keys, values, strict=True))
        for keys in permutations(range(1, 5), 2)
        for values in permutations(range(5, 10), 2)
    ]
    replies = {tuple(told.get(question, 0) for question in range(1, 5)) for told in maps}
    assert len(maps) == 2 * len(replies), "the order of statements is not asked for"
    assert task.demand_bits() == pytest.approx(log2(len(replies)))
    held = {tuple(told[question] for question in (1, 2)) for told in maps if {1, 2} <= set(told)}
    assert GeneralRecall(vocabulary=10, length=9, present=1.0).demand_bits() == pytest.approx(log2(len(held)))
    assert GeneralRecall(vocabulary=10, length=9, present=0.0).demand_bits() == 0.0


def test_a_seed_gives_the_same_examples():
    one, same, other = (SETTINGS[0].sample(5000, seed=seed) for seed in (7, 7, 8))
    assert torch.equal(one.inputs, same.inputs) and torch.equal(one.answers, same.answers)
    assert not torch.equal(one.inputs, other.inputs)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"vocabulary": 9}, "vocabulary: even, at least 8, got 9"),
        ({"vocabulary": 6}, "vocabulary: even, at least 8, got 6"),
        ({"length": 97}, "length: a multiple of 3 from 6 to 12282 for vocabulary 8192, got 97"),
        ({"length": 3}, "length: a multiple of 3 from 6"),
        ({"length": 9, "vocabulary": 8}, "length: a multiple of 3 from 6 to 6 for vocabulary 8, got 9"),
        ({"present": 1.5}, "present: 0 to 1, got 1.5"),
        ({"present": -0.1}, "present: 0 to 1, got -0.1"),
        ({"present": float("nan")}, "present: 0 to 1, got nan"),
    ],
)
def test_bad_settings_are_named(wrong: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        GeneralRecall(**wrong)
