"""MQAR: labels against a solver that reads inputs alone; distributions against definition or enumeration."""

from __future__ import annotations

from itertools import permutations
from math import fsum, log2, perm, prod
from typing import Any

import numpy as np
import pytest
import torch
from enumeration import conditional_entropy, fits
from recallscope.tasks.mqar import MQAR, falling_bits, slot_weights
from scipy.stats import chi2_contingency, chisquare

SETTINGS = [
    MQAR(),
    MQAR(random_filler=False),
    MQAR(length=512, pairs=64),
    MQAR(length=256, pairs=64),
    MQAR(vocabulary=512, length=64, pairs=16, power=1.0),
    MQAR(vocabulary=32, length=48, pairs=8, passes=2),
    MQAR(vocabulary=40_000, length=40, pairs=5, passes=3, random_filler=False),
    MQAR(vocabulary=10, length=16, pairs=4),
    MQAR(vocabulary=4, length=4, pairs=1),
]
MANY = 100_000


@pytest.mark.parametrize("task", SETTINGS, ids=str)
def test_a_solver_that_reads_only_the_inputs_finds_all_labels(task: MQAR):
    drawn = task.sample(1000, seed=3)
    half, stated = task.vocabulary // 2, 2 * task.pairs
    end = stated * task.passes
    assert drawn.inputs.shape == (1000, task.length) and drawn.answers.shape == (1000, task.pairs)
    for row, positions, answers, labels in zip(
        *(part.tolist() for part in (drawn.inputs, drawn.positions, drawn.answers, drawn.targets())), strict=True
    ):
        assert row[:end] == row[:stated] * task.passes
        told = dict(zip(row[:stated:2], row[1:stated:2], strict=True))
        assert len(told) == len(set(told.values())) == task.pairs, "keys are distinct, values are"
        assert all(0 < key < half <= value < task.vocabulary for key, value in told.items())
        assert all(p >= end and (p - end) % 2 == 0 for p in positions)
        assert [row[p] for p in positions] == row[:stated:2], "question j is of key j"
        assert [told[row[p]] for p in positions] == answers
        wanted = [-100] * task.length
        for p in positions:
            wanted[p] = told[row[p]]
        assert labels == wanted
        filler = [row[i] for i in range(end, task.length) if i not in positions]
        assert all(0 <= token < task.vocabulary for token in filler)
        assert task.random_filler or not any(filler)


@pytest.mark.parametrize("task", [MQAR(length=128, pairs=8), MQAR(512, 64, 12, power=0.5)], ids=str)
def test_marginals_of_a_hundred_thousand_examples(task: MQAR):
    drawn = task.sample(MANY, seed=11)
    inputs, half, end = drawn.inputs.numpy(), task.vocabulary // 2, 2 * task.pairs
    for j in range(task.pairs):
        keys = np.bincount(inputs[:, 2 * j], minlength=half)
        assert keys[0] == 0 and len(keys) == half and chisquare(keys[1:]).pvalue > 1e-4
        values = np.bincount(inputs[:, 2 * j + 1] - half, minlength=half)
        assert chisquare(values).pvalue > 1e-4
    asked = np.zeros(inputs.shape, bool)
    np.put_along_axis(asked, drawn.positions.numpy().astype(int), True, 1)
    for place in range(end, task.length, 5):
        filler = inputs[~asked[:, place], place]
        assert chisquare(np.bincount(filler, minlength=task.vocabulary)).pvalue > 1e-5
    a, b = ((inputs[:, at].astype(int) % half) * 16 // half for at in (0, 1))
    assert chi2_contingency(np.bincount(16 * a + b, minlength=256).reshape(16, 16)).pvalue > 1e-4  # type: ignore[attr-defined]


@pytest.mark.parametrize("power", [0.01, 0.5, 1.0, 2.5])
def test_slots_are_drawn_one_after_another_without_replacement(power: float):
    """All sequences of 3 of 6 slots, with the product of renewed weights of the definition."""
    task = MQAR(length=18, pairs=3, power=power)
    weights = [power * (g + 1) ** (power - 1) for g in range(6)]
    orders = {
        order: prod(weights[g] / (sum(weights) - sum(weights[h] for h in order[:i])) for i, g in enumerate(order))
        for order in permutations(range(6), 3)
    }
    slots = (task.sample(MANY, seed=4).positions.numpy().astype(int) - 6) // 2
    assert fits(map(tuple, slots.tolist()), orders) > 1e-4


@pytest.mark.parametrize(("length", "pairs"), [(64, 4), (128, 8), (256, 16), (512, 64)])
def test_the_first_slot_of_published_sizes(length: int, pairs: int):
    weights = [0.01 * (g + 1) ** (0.01 - 1) for g in range((length - 2 * pairs) // 2)]
    wanted = np.array(weights) / fsum(weights)
    assert slot_weights(len(weights), 0.01).numpy() == pytest.approx(wanted, rel=1e-12)
    positions = MQAR(length=length, pairs=pairs).sample(50_000, seed=6).positions.numpy().astype(int)
    found = np.bincount((positions[:, 0] - 2 * pairs) // 2, minlength=len(weights))
    assert chisquare(found, 50_000 * wanted).pvalue > 1e-4


def test_slots_do_not_depend_on_keys():
    drawn = MQAR(vocabulary=64, length=32, pairs=4).sample(MANY, seed=9)
    slots, keys = (drawn.positions.numpy().astype(int)[:, 0] - 8) // 2, drawn.inputs.numpy()[:, 0] // 4
    table = np.bincount(slots * 8 + keys, minlength=96).reshape(12, 8)
    assert chi2_contingency(table).pvalue > 1e-4  # type: ignore[attr-defined]


@pytest.mark.parametrize(("vocabulary", "pairs"), [(10, 3), (10, 4), (12, 1), (34, 2)])
def test_all_orders_of_keys_and_values_are_equally_likely(vocabulary: int, pairs: int):
    """(34, 2) draws and repairs, the others rank the whole range."""
    task, half = MQAR(vocabulary, 4 * pairs, pairs), vocabulary // 2
    inputs = task.sample(MANY, seed=2).inputs
    for column, first, last in ((0, 1, half), (1, half, vocabulary)):
        orders = list(permutations(range(first, last), pairs))
        drawn = map(tuple, inputs[:, column : 2 * pairs : 2].tolist())
        assert fits(drawn, dict.fromkeys(orders, 1 / len(orders))) > 1e-4


def test_full_slots_leave_no_choice_but_the_order():
    task = MQAR(vocabulary=64, length=64, pairs=16)
    positions = task.sample(500).positions.sort(1).values
    assert torch.equal(positions.long(), torch.arange(32, 64, 2).expand(500, -1))


def test_demand_by_enumeration():
    """V = 8, D = 2: every example without its filler and slots is equally likely."""
    task = MQAR(vocabulary=8, length=8, pairs=2)
    examples = [(*keys, *values) for keys in permutations((1, 2, 3), 2) for values in permutations((4, 5, 6, 7), 2)]
    found = conditional_entropy(dict.fromkeys(examples, 1 / len(examples)), lambda e: (e[:2], e[2:]))
    assert task.demand_bits() == pytest.approx(found, abs=1e-12)


@pytest.mark.parametrize(("count", "taken"), [(4096, 1), (4096, 256), (10, 10), (16_384, 3000)])
def test_falling_bits_against_exact_integers(count: int, taken: int):
    exact = perm(count, taken)
    shift = max(exact.bit_length() - 1000, 0)
    assert falling_bits(count, taken) == pytest.approx(log2(exact >> shift) + shift, rel=1e-14)


def test_chance_is_what_a_stated_value_gives():
    task = MQAR(pairs=8)
    drawn = task.sample(4000, seed=5)
    right = (drawn.inputs[:, 1:16:2, None] == drawn.answers[:, None, :]).float().mean((0, 2))
    assert right.tolist() == pytest.approx([task.chance()] * 8)


def test_a_seed_gives_the_same_examples_whatever_the_threads():
    task, threads = MQAR(), torch.get_num_threads()
    one, other = task.sample(10_000, seed=7), task.sample(10_000, seed=8)
    try:
        torch.set_num_threads(2)
        same = task.sample(10_000, seed=7)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    for part in ("inputs", "positions", "answers"):
        assert torch.equal(getattr(one, part), getattr(same, part))
    assert not torch.equal(one.inputs, other.inputs)
    assert torch.equal(one.inputs[:4096], task.sample(4096, seed=7).inputs), "a longer sample begins with the shorter"


def test_ids_are_kept_in_narrow_integers():
    assert MQAR().sample(2).inputs.dtype == torch.int16
    assert MQAR(vocabulary=40_000).sample(2).inputs.dtype == torch.int32


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"vocabulary": 7}, "vocabulary: even, at least 4, got 7"),
        ({"vocabulary": 2}, "vocabulary: even, at least 4, got 2"),
        ({"length": 65}, "length: even, got 65"),
        ({"passes": 0}, "passes: at least 1, got 0"),
        ({"power": 0.0}, "power: above 0, got 0"),
        ({"pairs": 17}, "pairs: 1 to 16 fit vocabulary 8192 and length 64 with 1 passes, got 17"),
        ({"pairs": 11, "passes": 2}, "pairs: 1 to 10 fit vocabulary 8192 and length 64 with 2 passes, got 11"),
        ({"pairs": 4, "vocabulary": 8}, "pairs: 1 to 3 fit vocabulary 8"),
        ({"pairs": 0}, "pairs: 1 to 16 fit"),
    ],
)
def test_bad_settings_are_named(wrong: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        MQAR(**wrong)


def test_no_examples_are_refused():
    with pytest.raises(ValueError, match="examples: at least 1, got 0"):
        MQAR().sample(0)
