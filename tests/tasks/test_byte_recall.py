"""Recall in bytes, against a solver that splits the text at its delimiters, and against enumeration."""

from __future__ import annotations

from itertools import product
from math import log2
from typing import Any

import numpy as np
import pytest
import torch
from recallscope.tasks.byte_recall import ByteRecall
from recallscope.tasks.task import NO_ANSWER, Examples
from scipy.stats import chisquare

SETTINGS = [
    ByteRecall(),
    ByteRecall(length=400, pairs=26, key_lengths=(1, 1), value_lengths=(3, 3)),
    ByteRecall(length=130, pairs=4, key_lengths=(2, 5), value_lengths=(1, 9), letters=(48, 49), delimiters=(61, 59)),
    ByteRecall(length=40, pairs=2, key_lengths=(4, 4), value_lengths=(1, 4), delimiters=(44, 44)),
    ByteRecall(
        vocabulary=40_000, length=80, pairs=1, key_lengths=(3, 20), value_lengths=(1, 18), letters=(300, 39_999)
    ),
]


def solved(task: ByteRecall, row: list[int]) -> list[tuple[int, int]]:
    """All (position, next byte) in the values of the second half, looked up in the first."""
    words, start = [], 0
    for place, token in enumerate(row):
        if token in task.delimiters:
            assert token == task.delimiters[len(words) % 2]
            words.append((start, tuple(row[start:place])))
            start = place + 1
    assert not any(row[start:]), "zero bytes to the end"
    assert len(words) == 4 * task.pairs
    for place, (_, word) in enumerate(words):
        low, high = task.value_lengths if place % 2 else task.key_lengths
        assert low <= len(word) <= high and all(task.letters[0] <= letter <= task.letters[1] for letter in word)
    stated, asked = words[: 2 * task.pairs], words[2 * task.pairs :]
    told = {key: value for (_, key), (_, value) in zip(stated[::2], stated[1::2], strict=True)}
    assert len(told) == task.pairs and {key for _, key in asked[::2]} == set(told)
    found = []
    for (_, key), (start, value) in zip(asked[::2], asked[1::2], strict=True):
        assert value == told[key]
        found += [(start - 1 + i, byte) for i, byte in enumerate([*told[key], task.delimiters[1]])]
    return found


@pytest.mark.parametrize("task", SETTINGS, ids=str)
def test_a_solver_that_reads_only_the_inputs_finds_the_answers(task: ByteRecall):
    drawn = task.sample(1000, seed=3)
    most = task.value_lengths[1] + 1
    assert drawn.inputs.shape == (1000, task.length) and drawn.inputs.is_contiguous()
    assert drawn.positions.shape == drawn.answers.shape == (1000, task.pairs * most)
    assert drawn.inputs.dtype == drawn.answers.dtype == (torch.int16 if task.vocabulary <= 2**15 else torch.int32)
    for row, positions, answers in zip(
        *(t.tolist() for t in (drawn.inputs, drawn.positions, drawn.answers)), strict=True
    ):
        slots = list(zip(positions, answers, strict=True))
        assert [slot for slot in slots if slot[1] != NO_ANSWER] == solved(task, row)
        assert all(position == 0 for position, answer in slots if answer == NO_ANSWER)
        assert all(row[position + 1] == answer for position, answer in slots if answer != NO_ANSWER)


def test_white_space_splits_the_usual_text_into_its_words():
    task = ByteRecall()
    for row in task.sample(200, seed=1).inputs.tolist():
        words = bytes(row).rstrip(b"\0").split()
        assert len(words) == 32 and dict(zip(words[:16:2], words[1:16:2], strict=True)) == dict(
            zip(words[16::2], words[17::2], strict=True)
        )


def test_longest_words_fill_the_length():
    task = ByteRecall(length=2 * 3 * (4 + 5 + 2), pairs=3, key_lengths=(4, 4), value_lengths=(5, 5))
    assert (task.sample(500).inputs > 0).all()


def texts(task: ByteRecall, examples: int, seed: int) -> list[list[bytes]]:
    rows = task.sample(examples, seed).inputs.to(torch.uint8).numpy()
    return [row.tobytes().rstrip(b"\0").split() for row in rows]


def test_words_have_the_probabilities_of_the_definition():
    task = ByteRecall(length=64, pairs=2, key_lengths=(1, 2), value_lengths=(1, 3), letters=(97, 98))
    drawn = texts(task, 40_000, 2)
    values = {"".join(w): 1 / 3 / 2**n for n in (1, 2, 3) for w in product("ab", repeat=n)}
    names = {word.encode(): i for i, word in enumerate(values)}
    pairs = [names[words[1]] * len(names) + names[words[3]] for words in drawn]
    expected = np.outer(list(values.values()), list(values.values())).flatten()
    assert chisquare(np.bincount(pairs, minlength=len(expected)), 40_000 * expected).pvalue > 1e-3
    keys = ["".join(w) for n in (1, 2) for w in product("ab", repeat=n)]
    share = {(a, b): 1 / (4 * 2 ** len(a) * (2 ** len(b) - (len(a) == len(b)))) for a in keys for b in keys if a != b}
    found = dict.fromkeys(share, 0)
    for words in drawn:
        found[words[0].decode(), words[2].decode()] += 1
    assert chisquare(list(found.values()), 40_000 * np.array(list(share.values()))).pvalue > 1e-3


def test_questions_come_in_every_order():
    task = ByteRecall(length=60, pairs=3, key_lengths=(2, 3), value_lengths=(1, 2))
    orders = [tuple(words[:6:2].index(key) for key in words[6::2]) for words in texts(task, 12_000, 4)]
    found = [orders.count(order) for order in sorted(set(orders))]
    assert len(found) == 6 and chisquare(found).pvalue > 1e-3


@pytest.mark.parametrize(
    ("count", "alphabet", "lengths"), [(3, 2, (1, 2)), (2, 3, (1, 3)), (4, 2, (2, 2)), (1, 2, (2, 4))]
)
def test_chance_and_demand_by_enumeration(count: int, alphabet: int, lengths: tuple[int, int]):
    task = ByteRecall(pairs=count, letters=(97, 96 + alphabet), key_lengths=(2, 6), value_lengths=lengths)
    low, high = lengths
    words = {
        (*word, -1): 1 / (high - low + 1) / alphabet**n
        for n in range(low, high + 1)
        for word in product(range(alphabet), repeat=n)
    }
    assert sum(words.values()) == pytest.approx(1)
    right = asked = entropy = 0.0
    for values in product(words, repeat=count):
        weight = np.prod([words[value] for value in values])
        entropy -= weight * log2(weight)
        asked += weight * len(values[0])
        for j in range(len(values[0])):
            fits = [value for value in values if value[:j] == values[0][:j]]
            right += weight * sum(value[j] == values[0][j] for value in fits) / len(fits)
    assert task.chance() == pytest.approx(right / asked, rel=1e-10)
    assert task.demand_bits() == pytest.approx(entropy, rel=1e-10)


def guessed(task: ByteRecall, drawn: Examples, seed: int) -> float:
    """Accuracy over all answers of a random stated value among those that fit so far."""
    random, m = np.random.default_rng(seed), task.value_lengths[1] + 1
    values = drawn.answers.unflatten(1, (task.pairs, m)).numpy()
    score = random.random(values.shape[:2])[:, None, :].repeat(task.pairs, 1)
    right, fits = 0, np.ones_like(score, bool)
    row, whose = np.indices(values.shape[:2])
    for j in range(m):
        guess = np.where(fits, score, -1).argmax(2)
        asked = values[..., j] != NO_ANSWER
        right += ((values[row, guess, j] == values[row, whose, j]) & asked).sum()
        fits &= values[:, None, :, j] == values[:, :, None, j]
    return right / (values != NO_ANSWER).sum()


def test_chance_is_that_of_a_simulated_guesser():
    task = ByteRecall(length=512, pairs=16, value_lengths=(1, 5), letters=(97, 100))
    assert guessed(task, task.sample(8000, seed=2), 1) == pytest.approx(task.chance(), abs=0.005)


def test_a_seed_gives_the_same_examples():
    one, same, other = (SETTINGS[0].sample(5000, seed=seed) for seed in (7, 7, 8))
    assert torch.equal(one.inputs, same.inputs) and torch.equal(one.answers, same.answers)
    assert not torch.equal(one.inputs, other.inputs)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"key_lengths": (0, 4)}, "key_lengths: shortest and longest, from 1, got "),
        ({"value_lengths": (5, 4)}, "value_lengths: shortest and longest, from 1, got "),
        ({"letters": (0, 9)}, "letters: first and last byte, from 1, got "),
        ({"letters": (99, 98)}, "letters: first and last byte"),
        ({"delimiters": (32, 97)}, "delimiters: from 1, outside the letters 97 to 122, got "),
        ({"delimiters": (0, 32)}, "delimiters: from 1"),
        ({"delimiters": (32,)}, "delimiters: two, after a key and after a value, got "),
        ({"vocabulary": 122}, "vocabulary: at least 123 for these bytes, got 122"),
        ({"vocabulary": 200, "delimiters": (32, 200)}, "vocabulary: at least 201 for these bytes, got 200"),
        ({"pairs": 10}, "pairs: 1 to 9 fit length 256, keys of 2 letters, records of 14 bytes, got 10"),
        ({"pairs": 5, "letters": (97, 98)}, "pairs: 1 to 4 fit"),
        ({"pairs": 0}, "pairs: 1 to 9 fit"),
    ],
)
def test_bad_settings_are_named(wrong: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        ByteRecall(**wrong)
