"""Selective copying of MAD: labels, distribution, chance and demand against plain listings."""

from __future__ import annotations

from collections import defaultdict
from itertools import product

import numpy as np
import pytest
import torch
from enumeration import conditional_entropy, fits
from recallscope.tasks.mad.selective_copying import MadSelectiveCopying
from scipy.stats import chisquare

TASKS = [
    MadSelectiveCopying(),
    MadSelectiveCopying(128, 1024, 96),
    MadSelectiveCopying(3, 4, 1),
    MadSelectiveCopying(5, 13, 5),
]


def distribution(vocabulary: int, length: int, tokens: int) -> dict[tuple[int, ...], float]:
    """All inputs with their probabilities: each blank goes before one of the tokens."""
    found: dict[tuple[int, ...], float] = defaultdict(float)
    blank, copy = vocabulary - 2, vocabulary - 1
    places = list(product(range(tokens), repeat=length - 2 * tokens - 1))
    for content in product(range(blank), repeat=tokens):
        for before in places:
            said = [token for i, one in enumerate(content) for token in [blank] * before.count(i) + [one]]
            found[(*said, copy, *[blank] * tokens)] += blank**-tokens / len(places)
    assert sum(found.values()) == pytest.approx(1)
    return found


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_labels_are_the_tokens_in_their_order(task):
    examples = task.sample(1000, 3)
    assert examples.inputs.shape == (1000, task.length)
    rows = zip(examples.inputs.tolist(), examples.positions.tolist(), examples.answers.tolist(), strict=True)
    for inputs, positions, answers in rows:
        copy = inputs.index(task.vocabulary - 1)
        content = [token for token in inputs[:copy] if token != task.vocabulary - 2]
        assert len(content) == task.tokens and max(content) < task.vocabulary - 2 and min(content) >= 0
        assert answers == content
        assert inputs[copy + 1 :] == [task.vocabulary - 2] * task.tokens
        assert positions == list(range(copy + 1, task.length))
        assert inputs[copy - 1] == content[-1], "no blank between the last token and the copy token"


@pytest.mark.parametrize("setting", [(4, 8, 2), (4, 10, 3), (3, 4, 1)], ids=str)
def test_every_input_is_as_likely_as_the_definition_says(setting):
    drawn = map(tuple, MadSelectiveCopying(*setting).sample(100_000, 5).inputs.tolist())
    assert fits(drawn, distribution(*setting)) > 1e-3


def test_blanks_and_tokens_are_uniform():
    inputs = MadSelectiveCopying().sample(5000, 6).inputs[:, :239]
    places = (inputs != 14).nonzero()[:, 1].numpy()
    blanks = np.diff(np.concatenate([np.full((5000, 1), -1), places.reshape(5000, 16)], 1), axis=1) - 1
    assert (blanks.sum(1) == 223).all() and chisquare(blanks.sum(0)).pvalue > 1e-3
    # multinomial, not uniform over arrangements: a gap's variance is n p (1 - p)
    assert blanks.var() == pytest.approx(223 / 16 * 15 / 16, rel=0.05)
    assert chisquare(torch.bincount(inputs[inputs < 14].long()).numpy()).pvalue > 1e-3


@pytest.mark.parametrize("setting", [(4, 8, 2), (5, 9, 3)], ids=str)
def test_demand_is_the_entropy_of_the_answers(setting):
    _, length, tokens = setting
    layout = tuple(range(length - tokens, length))
    entropy = conditional_entropy(
        distribution(*setting),
        lambda example: (layout, tuple(token for token in example[: length - tokens - 1] if token < setting[0] - 2)),
    )
    assert MadSelectiveCopying(*setting).demand_bits() == pytest.approx(entropy, rel=1e-9)


def test_no_guess_without_the_context_beats_chance():
    task = MadSelectiveCopying()
    answers = task.sample(20_000, 7).answers
    best = [torch.bincount(column.long(), minlength=14).max().item() / 20_000 for column in answers.T]
    assert np.mean(best) == pytest.approx(task.chance(), rel=0.06)


def test_a_seed_decides():
    task = MadSelectiveCopying()
    one, same, other = task.sample(50, 1), task.sample(50, 1), task.sample(50, 2)
    assert torch.equal(one.inputs, same.inputs) and torch.equal(one.answers, same.answers)
    assert not torch.equal(one.inputs, other.inputs)
    assert not task.trained_on_all
    assert one.inputs.dtype == one.positions.dtype == one.answers.dtype == torch.int16


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"vocabulary": 2}, r"vocabulary: at least 3 \(a token, the blank, the copy token\), got 2"),
        ({"length": 3, "tokens": 1}, "length: at least 4, got 3"),
        ({"tokens": 128}, "tokens: 1 to 127 fit length 256, got 128"),
        ({"length": 33}, "tokens: 1 to 15 fit length 33, got 16"),
        ({"tokens": 0}, "tokens: 1 to 127 fit length 256, got 0"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        MadSelectiveCopying(**settings)
