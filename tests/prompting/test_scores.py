"""Means, intervals and possible answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recallscope.prompting.scores import Mean, accuracy, mean, possible_answers
from recallscope.tasks.mqar import MQAR
from scipy import stats


def limits(found: Mean) -> tuple[float, float]:
    assert found.low is not None and found.high is not None
    return found.low, found.high


@pytest.mark.parametrize("right, count", [(0, 20), (1, 20), (13, 20), (200, 200), (3, 1000), (1, 1)])
def test_one_question_an_example_has_the_interval_of_wilson(right, count):
    found = accuracy(np.arange(count) < right, np.arange(count)[::-1])
    wanted = stats.binomtest(right, count).proportion_ci(method="wilson")
    assert (found.value, found.examples, found.questions) == (right / count, count, count)
    np.testing.assert_allclose(limits(found), wanted, atol=1e-12)


def test_questions_that_always_agree_count_as_one():
    rng = np.random.default_rng(0)
    each = (rng.random(80) < 0.3).astype(float)
    once, often = accuracy(each, np.arange(80)), accuracy(np.repeat(each, 5), np.repeat(np.arange(80), 5))
    np.testing.assert_allclose(limits(often), limits(once))
    assert (often.examples, often.questions) == (80, 400)


@pytest.mark.parametrize("spread", [0.1, 1.0, 20.0])
def test_intervals_hold_the_truth_as_often_as_they_say(spread):
    """Each example has a difficulty of its own: beta with mean 0.2, the questions independent given it."""
    rng, hits, close = np.random.default_rng(1), 0, 0
    for _ in range(600):
        questions = rng.integers(1, 7, 60)
        example = np.repeat(np.arange(60), questions)
        chance = rng.beta(0.2 * spread, 0.8 * spread, 60)[example]
        low, high = limits(accuracy(rng.random(len(example)) < chance, example))
        hits += low <= 0.2 <= high
        low, high = limits(mean(rng.exponential(size=60)[example] + rng.normal(size=len(example)), example))
        close += low <= 1.0 <= high
    assert 0.92 < hits / 600 < 0.98 and 0.90 < close / 600 < 0.98


def test_values_that_do_not_count():
    numbers, example = np.array([1.0, np.nan, 0.0, np.nan]), np.array([0, 0, 2, 3])
    assert accuracy(numbers, example).questions == 2 and accuracy(numbers, example).value == 0.5
    nothing = accuracy(np.array([np.nan]), np.array([0]))
    assert (nothing.value, nothing.low, nothing.high, nothing.examples, nothing.questions) == (None, None, None, 0, 0)
    single = mean(np.array([1.0, 3.0]), np.array([5, 5]))
    assert (single.value, single.low, single.high, single.examples) == (2.0, None, None, 1)


@pytest.mark.parametrize("vocabulary", [4, 512, 8192])
def test_possible_answers_of_mqar_are_the_upper_half(vocabulary):
    task = MQAR(vocabulary=vocabulary, pairs=1)
    assert torch.equal(possible_answers(task, task.sample(3)), torch.arange(vocabulary // 2, vocabulary))
