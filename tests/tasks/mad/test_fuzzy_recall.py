"""Fuzzy recall of MAD: labels, distribution, chance and demand against plain listings."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from itertools import groupby, permutations

import numpy as np
import pytest
import torch
from enumeration import conditional_entropy, fits
from recallscope.tasks.mad.fuzzy_recall import MadFuzzyRecall
from recallscope.tasks.task import NO_ANSWER
from scipy.stats import chisquare

TASKS = [
    MadFuzzyRecall(),
    MadFuzzyRecall(varied_keys=True),
    MadFuzzyRecall(128, 512, varied_keys=True),
    MadFuzzyRecall(16, 64, 1, 4),
    MadFuzzyRecall(3, 5, 1, 1),
    MadFuzzyRecall(8, 40, 3, 2, varied_keys=True),
]


def runs(inputs: tuple[int, ...], vocabulary: int) -> list[tuple[int, ...]]:
    """The padding, and in turn the keys and values: each a run of tokens of one kind."""
    half = (vocabulary - 1) // 2
    kinds = groupby(inputs, lambda token: 2 if token == vocabulary - 1 else int(token >= half))
    return [tuple(run) for _, run in kinds]


def asked(inputs: tuple[int, ...], vocabulary: int) -> dict[int, int]:
    """By the definition: the tokens of the value of each key that came before, one token ahead."""
    padding, *pairs = runs(inputs, vocabulary)
    assert set(padding) == {vocabulary - 1} and len(pairs) % 2 == 0
    known, found, place = {}, {}, len(padding)
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        place += len(key)
        if key in known:
            assert known[key] == value
            found |= {place + i - 1: token for i, token in enumerate(value)}
        known[key] = value
        place += len(value)
    return found


@cache
def distribution(vocabulary: int, length: int, k: int, v: int, varied: bool) -> dict[tuple[int, ...], float]:
    """All inputs with their probabilities: the definition, one statement after another."""
    half = (vocabulary - 1) // 2

    def choices(tokens: range, sizes: list[int]) -> list[tuple[tuple[int, ...], float]]:
        every = {size: list(permutations(tokens, size)) for size in sizes}
        return [(one, 1 / len(sizes) / len(every[size])) for size in sizes for one in every[size]]

    keys = choices(range(half), list(range(1, k + 1)) if varied else [k])
    values = choices(range(half, vocabulary - 1), list(range(1, v + 1)))
    found: dict[tuple[int, ...], float] = defaultdict(float)

    def go_on(said: tuple[int, ...], known: dict, last: tuple, place: int, p: float) -> None:
        key, value = last
        if len(said) >= length - len(key + value) - k - v:
            whole = said + key + value
            found[(vocabulary - 1,) * (length - len(whole)) + whole] += p
        elif len(said) >= place and key not in known:
            go_on(said + key + value, known | {key: value}, last, place, p)
        else:
            for drawn, q in keys:
                meanings = [(value, 1.0)] if drawn == key else [(known[drawn], 1.0)] if drawn in known else values
                for meaning, r in meanings:
                    go_on(said + drawn + meaning, known | {drawn: meaning}, last, place, p * q * r)

    for key, q in keys:
        for value, r in values:
            places = length - 2 * len(key + value)
            for place in range(places):
                go_on((), {}, (key, value), place, q * r / places)
    assert sum(found.values()) == pytest.approx(1)
    return found


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_labels_are_those_of_a_plain_solver(task):
    examples = task.sample(500, 3)
    assert examples.inputs.shape == (500, task.length)
    assert examples.inputs.min() >= 0 and examples.inputs.max() < task.vocabulary
    rows = zip(examples.inputs.tolist(), examples.positions.tolist(), examples.answers.tolist(), strict=True)
    for inputs, positions, answers in rows:
        slots = [(p, a) for p, a in zip(positions, answers, strict=True) if a != NO_ANSWER]
        assert dict(slots) == asked(tuple(inputs), task.vocabulary) and len(dict(slots)) == len(slots)
        assert slots == sorted(slots)
        assert all(p == 0 for p, a in zip(positions, answers, strict=True) if a == NO_ANSWER)


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_keys_and_values_have_different_tokens_and_the_right_lengths(task):
    k, v, seen = task.key_tokens, task.value_tokens, [set(), set()]
    for inputs in task.sample(300, 4).inputs.tolist():
        padding, *pairs = runs(tuple(inputs), task.vocabulary)
        for i, run in enumerate(pairs):
            assert len(set(run)) == len(run)
            seen[i % 2].add(len(run))
        # the statements end once so much stands there, and not before
        last = len(pairs[-1]) + len(pairs[-2])
        said = task.length - len(padding) - last
        assert task.length - last - k - v <= said < task.length - last
    assert seen == [set(range(1, k + 1)) if task.varied_keys else {k}, set(range(1, v + 1))]


TINY = [(5, 9, 1, 1, False), (3, 9, 1, 1, False), (5, 10, 2, 2, False), (5, 9, 2, 2, True), (6, 11, 1, 2, False)]


@pytest.mark.parametrize("setting", TINY, ids=str)
def test_every_input_is_as_likely_as_the_definition_says(setting):
    drawn = map(tuple, MadFuzzyRecall(*setting).sample(100_000, 5).inputs.tolist())
    assert fits(drawn, distribution(*setting)) > 1e-3


def test_first_pairs_are_uniform():
    # the pair set aside is one of them, and drawn like the others
    pairs = [runs(tuple(row), 16)[1:3] for row in MadFuzzyRecall(varied_keys=True).sample(10_000, 6).inputs.tolist()]
    for i, half in (0, 7), (1, 8):
        sizes = np.bincount([len(pair[i]) for pair in pairs])[1:]
        assert chisquare(sizes).pvalue > 1e-3
        codes = [sum((token % 7 if i == 0 else token - 7) * half**j for j, token in enumerate(p[i])) for p in pairs]
        threes = np.bincount([code for code, pair in zip(codes, pairs, strict=True) if len(pair[i]) == 3])
        assert (threes > 0).sum() == half * (half - 1) * (half - 2) and chisquare(threes[threes > 0]).pvalue > 1e-3


def test_the_last_key_is_asked_unless_it_is_new():
    examples = MadFuzzyRecall().sample(4000, 7)
    new = 0
    for inputs, answers in zip(examples.inputs.tolist(), examples.answers.tolist(), strict=True):
        _, *pairs = runs(tuple(inputs), 16)
        known = pairs[-2] in pairs[:-2:2]
        new += not known
        assert known == (inputs[-1] in answers and asked(tuple(inputs), 16).get(126) == inputs[-1])
    assert 0 < new < 0.05 * 4000


@pytest.mark.parametrize("setting, share", [*((one, 0.0) for one in TINY), ((5, 16, 1, 1, False), 0.8)], ids=str)
def test_demand_is_below_the_entropy_of_the_answers(setting, share):
    vocabulary = setting[0]
    half = (vocabulary - 1) // 2

    def split(example: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        layout = tuple(-1 if half <= token < vocabulary - 1 else token for token in example)
        return layout, tuple(asked(example, vocabulary).values())

    entropy = conditional_entropy(distribution(*setting), split)
    assert share * entropy <= MadFuzzyRecall(*setting).demand_bits() <= entropy + 1e-9


@pytest.mark.parametrize("varied", [False, True])
def test_demand_is_a_close_bound_at_the_usual_size(varied):
    task = MadFuzzyRecall(varied_keys=varied)
    bits = []
    for inputs in task.sample(3000, 8).inputs.tolist():
        _, *pairs = runs(tuple(inputs), 16)
        keys, values = pairs[::2], pairs[1::2]
        again = {key: value for i, (key, value) in enumerate(zip(keys, values, strict=True)) if key in keys[:i]}
        bits.append(sum(np.log2(8) + np.log2(7) * (len(v) > 1) + np.log2(6) * (len(v) > 2) for v in again.values()))
    assert 0.6 * np.mean(bits) < task.demand_bits() < np.mean(bits)


def test_demand_when_nothing_but_the_last_pair_comes_back():
    # 63 · 62 · 61 keys: no other pair counts; the last one's value has 1 to 3 of 64 tokens
    mean = np.mean([np.log2(64), np.log2(64 * 63), np.log2(64 * 63 * 62)])
    assert MadFuzzyRecall(128).demand_bits() == pytest.approx(mean, rel=0.06)
    assert MadFuzzyRecall(128, 8000, 3, 3).demand_bits() > mean


@pytest.mark.parametrize("task", [MadFuzzyRecall(), MadFuzzyRecall(9, 64, 2, 2, True)], ids=str)
def test_no_guess_without_the_context_beats_chance(task):
    examples = task.sample(20_000, 9)
    counts = torch.bincount(examples.answers[examples.answers != NO_ANSWER].long())
    assert counts.max() / counts.sum() == pytest.approx(task.chance(), rel=0.05)


def test_a_seed_decides_and_the_last_token_is_a_target_only():
    task = MadFuzzyRecall()
    one, same, other = task.sample(50, 1), task.sample(50, 1), task.sample(50, 2)
    assert torch.equal(one.inputs, same.inputs) and torch.equal(one.answers, same.answers)
    assert not torch.equal(one.inputs, other.inputs)
    assert task.trained_on_all and one.positions.max() <= task.length - 2
    assert one.inputs.dtype == one.positions.dtype == one.answers.dtype == torch.int16


def test_slots_are_enough_for_the_most_questions():
    # two keys of one token and values of one: all pairs but two are asked
    examples = MadFuzzyRecall(3, 101, 1, 1).sample(200)
    assert (examples.answers != NO_ANSWER).sum(1).max() == examples.answers.shape[1] == 49


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"vocabulary": 2}, r"vocabulary: at least 3 \(a key, a value, padding\), got 2"),
        ({"vocabulary": 6}, "key_tokens: 1 to 2 fit vocabulary 6, got 3"),
        ({"key_tokens": 0}, "key_tokens: 1 to 7 fit vocabulary 16, got 0"),
        ({"vocabulary": 2**17, "key_tokens": 4}, "key_tokens: 1 to 3 fit vocabulary 131072, got 4"),
        ({"value_tokens": 9}, "value_tokens: 1 to 8 fit vocabulary 16, got 9"),
        ({"value_tokens": 0}, "value_tokens: 1 to 8 fit vocabulary 16, got 0"),
        ({"length": 12}, "length: at least 13 with keys of 3 and values of 3 tokens, got 12"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        MadFuzzyRecall(**settings)
