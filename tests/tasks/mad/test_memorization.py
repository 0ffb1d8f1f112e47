"""Memorisation of MAD: one map for all examples, labels, distribution, chance."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from enumeration import fits
from recallscope.tasks.mad.memorization import MadMemorization
from scipy.stats import chisquare

TASKS = [MadMemorization(), MadMemorization(8192), MadMemorization(3, 2), MadMemorization(6, 8, map_seed=7)]


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_one_map_answers_all_examples(task):
    keys = (task.vocabulary - 1) // 2
    known: dict[int, int] = {}
    for seed in (1, 2):  # as if for training and for testing
        examples = task.sample(300, seed)
        assert examples.inputs.shape == (300, task.length)
        rows = zip(examples.inputs.tolist(), examples.positions.tolist(), examples.answers.tolist(), strict=True)
        for inputs, positions, answers in rows:
            assert inputs[1::2] == [task.vocabulary - 1] * (task.length // 2)
            assert positions == list(range(1, task.length, 2))
            for key, answer in zip(inputs[::2], answers, strict=True):
                assert 0 <= key < keys <= answer < task.vocabulary - 1
                assert known.setdefault(key, answer) == answer
    assert len(set(known.values())) == len(known), "one-to-one"
    values = task.values().tolist()
    assert len(values) == keys and all(values[key] == value for key, value in known.items())


def test_the_map_is_decided_by_its_own_seed():
    maps = [MadMemorization(map_seed=seed).values() for seed in (0, 0, 1)]
    assert torch.equal(maps[0], maps[1]) and not torch.equal(maps[0], maps[2])


def test_every_map_is_as_likely():
    # V = 8: keys 0 to 2, values 3 to 6, one of which is not used
    drawn = (tuple(MadMemorization(8, 2, seed).values().tolist()) for seed in range(5000))
    assert fits(drawn, {one: 1 / 24 for one in permutations(range(3, 7), 3)}) > 1e-3


def test_keys_are_uniform_and_independent():
    keys = MadMemorization(32).sample(20_000, 4).inputs[:, ::2].numpy().astype(int)
    assert chisquare(np.bincount(keys.ravel(), minlength=15)).pvalue > 1e-3
    assert chisquare(np.bincount((keys[:, ::2] * 15 + keys[:, 1::2]).ravel(), minlength=225)).pvalue > 1e-3


def test_a_third_of_the_largest_map_is_never_trained():
    # the share in the class's description: 256 examples of 16 keys
    missing = [4095 - len(MadMemorization(8192).sample(256, seed).inputs[:, ::2].unique()) for seed in range(20)]
    assert np.mean(missing) / 4095 == pytest.approx(0.368, abs=0.003)


def test_no_guess_without_the_context_beats_chance():
    task = MadMemorization(32)
    counts = torch.bincount(task.sample(20_000, 5).answers.flatten().long())
    assert counts.max() / counts.sum() == pytest.approx(task.chance(), rel=0.05)
    assert task.demand_bits() == 0 and not task.trained_on_all


def test_a_seed_decides():
    one, same, other = (MadMemorization().sample(50, seed) for seed in (1, 1, 2))
    assert torch.equal(one.inputs, same.inputs) and not torch.equal(one.inputs, other.inputs)
    assert one.inputs.dtype == one.positions.dtype == one.answers.dtype == torch.int16


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"vocabulary": 2}, r"vocabulary: at least 3 \(a key, a value, the insert token\), got 2"),
        ({"length": 31}, "length: even, at least 2, got 31"),
        ({"length": 0}, "length: even, at least 2, got 0"),
        ({"map_seed": -1}, "map_seed: at least 0, got -1"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        MadMemorization(**settings)
