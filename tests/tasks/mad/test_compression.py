"""Compression of MAD: labels, distribution, chance and demand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from enumeration import conditional_entropy, fits
from recallscope.tasks.mad.compression import MadCompression
from scipy.stats import chisquare


@pytest.mark.parametrize("task", [MadCompression(), MadCompression(128, 256), MadCompression(2, 2)], ids=str)
def test_every_token_is_asked_at_the_last_position(task):
    examples = task.sample(1000, 3)
    rows = zip(examples.inputs.tolist(), examples.positions.tolist(), examples.answers.tolist(), strict=True)
    for inputs, positions, answers in rows:
        assert len(inputs) == task.length and inputs[-1] == task.vocabulary - 1
        assert all(0 <= token < task.vocabulary - 1 for token in inputs[:-1])
        assert positions == [task.length - 1] * task.length
        assert answers == inputs


def test_tokens_are_uniform_and_independent():
    inputs = MadCompression().sample(20_000, 4).inputs[:, :-1].numpy()
    for column in inputs.T[::10]:
        assert chisquare(np.bincount(column, minlength=15)).pvalue > 1e-3
    pairs = inputs[:, :-1].astype(int) * 15 + inputs[:, 1:]
    assert chisquare(np.bincount(pairs[:, ::2].ravel(), minlength=225)).pvalue > 1e-3
    drawn = map(tuple, MadCompression(4, 5).sample(50_000, 5).inputs.tolist())
    assert fits(drawn, {(*tokens, 3): 3.0**-4 for tokens in product(range(3), repeat=4)}) > 1e-3


def test_demand_is_the_entropy_of_the_answers():
    every = {(*tokens, 3): 3.0**-4 for tokens in product(range(3), repeat=4)}
    entropy = conditional_entropy(every, lambda example: (0, example))
    assert MadCompression(4, 5).demand_bits() == pytest.approx(entropy, rel=1e-9)
    assert MadCompression(2, 9).demand_bits() == 0


@pytest.mark.parametrize("task", [MadCompression(), MadCompression(3, 4)], ids=str)
def test_no_guess_without_the_context_beats_chance(task):
    answers = task.sample(20_000, 6).answers
    best = [torch.bincount(column.long()).max().item() / 20_000 for column in answers.T]
    assert best[-1] == 1 and np.mean(best) == pytest.approx(task.chance(), rel=0.06)


def test_a_seed_decides():
    one, same, other = (MadCompression().sample(50, seed) for seed in (1, 1, 2))
    assert torch.equal(one.inputs, same.inputs) and not torch.equal(one.inputs, other.inputs)
    assert not MadCompression.trained_on_all
    assert one.inputs.dtype == one.positions.dtype == one.answers.dtype == torch.int16


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"vocabulary": 1}, r"vocabulary: at least 2 \(a token, the compression token\), got 1"),
        ({"length": 1}, r"length: at least 2 \(a token, the compression token\), got 1"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        MadCompression(**settings)
