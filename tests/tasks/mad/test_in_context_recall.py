"""In-context and noisy recall of MAD: labels, distribution, chance and demand against plain listings."""

from __future__ import annotations

from collections import defaultdict
from itertools import product

import numpy as np
import pytest
import torch
from enumeration import conditional_entropy, fits
from recallscope.tasks.mad.in_context_recall import MadRecall
from recallscope.tasks.mad.noisy_recall import MadNoisyRecall
from recallscope.tasks.task import NO_ANSWER
from scipy.stats import chisquare

TASKS = [
    MadRecall(),
    MadRecall(128, 256),
    MadRecall(4, 4),
    MadRecall(6, 1024),
    MadNoisyRecall(),
    MadNoisyRecall(144, 128, 16, 0.8),
    MadNoisyRecall(5, 6, 1, 0.5),
    MadNoisyRecall(20, 64, 16, 0.0),
]


def noise_of(task):
    return getattr(task, "noise_vocabulary", 0)


def asked(inputs: tuple[int, ...], half: int) -> dict[int, int]:
    """By the definition: at each key that came before, its value; ids from 2 half are noise."""
    known, found = {}, {}
    for place in range(0, len(inputs), 2):
        key, value = inputs[place : place + 2]
        if key >= 2 * half:
            continue
        if key in known:
            found[place] = known[key]
        known[key] = value
    return found


def distribution(half: int, length: int, noise: float = 0.0, symbols: int = 0) -> dict[tuple[int, ...], float]:
    """All inputs with their probabilities, from the definition."""
    found: dict[tuple[int, ...], float] = defaultdict(float)
    stated = length // 2 - 1
    noisy = [
        (mask, np.prod([noise if m else 1 - noise for i, m in enumerate(mask) if i != spared]) / stated)
        for spared in range(stated)
        for mask in product((False, True), repeat=stated)
        if not mask[spared]
    ]
    fillings = list(product(range(2 * half, 2 * half + symbols), repeat=2))
    for mask, p in noisy:
        for keys in product(range(half), repeat=stated):
            known = sorted({key for key, m in zip(keys, mask, strict=True) if not m})
            for values, last in product(product(range(half, 2 * half), repeat=half), known):
                for fill in product(fillings, repeat=sum(mask)):
                    left = list(fill)
                    pairs = [left.pop() if m else (k, values[k]) for k, m in zip(keys, mask, strict=True)]
                    example = tuple(token for pair in [*pairs, (last, values[last])] for token in pair)
                    weight = half ** -(stated + half) / len(known)
                    found[example] += p * weight / (len(fillings) ** sum(mask) if symbols else 1)
    assert sum(found.values()) == pytest.approx(1)
    return found


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_labels_are_those_of_a_plain_solver(task):
    examples = task.sample(500, 3)
    half = (task.vocabulary - noise_of(task)) // 2
    assert examples.inputs.shape == (500, task.length)
    assert examples.inputs.min() >= 0 and examples.inputs.max() < task.vocabulary
    assert examples.positions.shape == examples.answers.shape == (500, task.length // 2 - 1)
    rows = zip(examples.inputs.tolist(), examples.positions.tolist(), examples.answers.tolist(), strict=True)
    for inputs, positions, answers in rows:
        slots = [(p, a) for p, a in zip(positions, answers, strict=True) if a != NO_ANSWER]
        assert dict(slots) == asked(tuple(inputs), half) and len(dict(slots)) == len(slots)
        assert all(inputs[p + 1] == a for p, a in slots)
        assert slots[-1][0] == task.length - 2, "the last key is always asked"
        assert all(p == 0 for p, a in zip(positions, answers, strict=True) if a == NO_ANSWER)


@pytest.mark.parametrize("half, length", [(2, 4), (2, 8), (3, 6)])
def test_every_input_is_as_likely_as_the_definition_says(half, length):
    drawn = map(tuple, MadRecall(2 * half, length).sample(100_000, 5).inputs.tolist())
    assert fits(drawn, distribution(half, length)) > 1e-3


@pytest.mark.parametrize(
    "half, length, noise, symbols", [(2, 6, 0.3, 1), (2, 8, 0.6, 1), (2, 6, 0.5, 2), (2, 6, 0.0, 2)]
)
def test_every_noisy_input_is_as_likely_as_the_definition_says(half, length, noise, symbols):
    task = MadNoisyRecall(2 * half + symbols, length, symbols, noise)
    drawn = map(tuple, task.sample(100_000, 6).inputs.tolist())
    assert fits(drawn, distribution(half, length, noise, symbols)) > 1e-3


def test_keys_values_and_noise_are_uniform():
    inputs = MadNoisyRecall(32, 128, 16, 0.4).sample(4000, 7).inputs.numpy()
    clean = inputs[:, ::2] < 16
    assert (
        clean[:, -1].all()
        and chisquare(np.bincount(inputs[:, :-2][np.repeat(~clean, 2, 1)[:, :-2]] - 16)).pvalue > 1e-3
    )
    assert chisquare(np.bincount(inputs[:, :-2:2][clean[:, :-1]])).pvalue > 1e-3
    # one of 63 pairs is never noise, the others with probability 0.4
    assert (~clean).sum() == pytest.approx(4000 * 62 * 0.4, abs=5 * (4000 * 62 * 0.24) ** 0.5)
    # first statements of values are independent, and uniform
    first = inputs[np.arange(4000), 2 * clean.argmax(1) + 1] - 8
    assert chisquare(np.bincount(first, minlength=8)).pvalue > 1e-3


def split(half: int):
    """Questions: everything but the values; answers: what is asked, in order."""

    def parts(example: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        keys = tuple(token if p % 2 == 0 or token >= 2 * half else -1 for p, token in enumerate(example))
        return keys, tuple(asked(example, half).values())

    return parts


@pytest.mark.parametrize("half, length", [(2, 4), (2, 6), (2, 10), (3, 8)])
def test_demand_is_the_entropy_of_the_answers(half, length):
    entropy = conditional_entropy(distribution(half, length), split(half))
    assert MadRecall(2 * half, length).demand_bits() == pytest.approx(entropy, rel=1e-9)


@pytest.mark.parametrize("half, length, noise", [(2, 6, 0.3), (2, 8, 0.6), (3, 6, 0.5), (2, 8, 0.0)])
def test_noisy_demand_is_the_entropy_of_the_answers(half, length, noise):
    entropy = conditional_entropy(distribution(half, length, noise, 1), split(half))
    assert MadNoisyRecall(2 * half + 1, length, 1, noise).demand_bits() == pytest.approx(entropy, rel=1e-9)


@pytest.mark.parametrize("task", [MadRecall(128, 128), MadNoisyRecall(144, 128, 16, 0.8)], ids=str)
def test_demand_counts_the_keys_that_are_asked(task):
    half = (task.vocabulary - noise_of(task)) // 2
    counts = []
    for inputs in task.sample(3000, 8).inputs.tolist():
        counts.append(len({inputs[p] for p in asked(tuple(inputs), half)}))
    error = np.std(counts) / len(counts) ** 0.5
    assert task.demand_bits() / np.log2(half) == pytest.approx(np.mean(counts), abs=4 * error)


@pytest.mark.parametrize("task", [MadRecall(), MadRecall(6, 16), MadNoisyRecall(24, 64, 16, 0.3)], ids=str)
def test_no_guess_without_the_context_beats_chance(task):
    examples = task.sample(20_000, 9)
    given = examples.answers[examples.answers != NO_ANSWER].long()
    counts = torch.bincount(given)
    assert counts.max() / counts.sum() == pytest.approx(task.chance(), rel=0.02)
    # nor does the best guess for each key, chosen on other examples
    keys, answers = examples.inputs[:, -2].long(), examples.answers[:, -1].long()
    seen = torch.bincount(keys[:10_000] * 32 + answers[:10_000], minlength=32 * 32).view(32, 32)
    right = (seen.argmax(1)[keys[10_000:]] == answers[10_000:]).double().mean()
    assert right == pytest.approx(task.chance(), abs=4 * (task.chance() / 10_000) ** 0.5)


@pytest.mark.parametrize("task", TASKS[:1] + TASKS[4:5], ids=str)
def test_a_seed_decides_and_the_last_token_is_a_target_only(task):
    one, same, other = task.sample(50, 1), task.sample(50, 1), task.sample(50, 2)
    assert torch.equal(one.inputs, same.inputs) and torch.equal(one.answers, same.answers)
    assert not torch.equal(one.inputs, other.inputs)
    assert task.trained_on_all and one.positions.max() == task.length - 2
    assert one.inputs.dtype == one.positions.dtype == one.answers.dtype == torch.int16


def test_long_inputs_take_wider_ids():
    examples = MadRecall(4, 40_000).sample(2)
    assert examples.positions.dtype == torch.int32 and examples.positions.max() == 39_998


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: MadRecall(15), "vocabulary: even, at least 4, got 15"),
        (lambda: MadRecall(2), "vocabulary: even, at least 4, got 2"),
        (lambda: MadRecall(16, 7), r"length: even, at least 4 \(two pairs\), got 7"),
        (lambda: MadRecall(16, 2), "length: even, at least 4"),
        (lambda: MadNoisyRecall(32, 5), "length: even, at least 4"),
        (lambda: MadNoisyRecall(18), "vocabulary: noise_vocabulary = 16 and an even number of at least 4, got 18"),
        (lambda: MadNoisyRecall(33), "vocabulary: noise_vocabulary = 16 and an even number of at least 4, got 33"),
        (lambda: MadNoisyRecall(noise_vocabulary=0), "noise_vocabulary: at least 1, got 0"),
        (lambda: MadNoisyRecall(noise=1.0), "noise: at least 0 and below 1, got 1.0"),
        (lambda: MadNoisyRecall(noise=-0.1), "noise: at least 0 and below 1, got -0.1"),
    ],
)
def test_bad_settings(make, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make()
