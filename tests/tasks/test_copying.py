"""Copying and selective copying against a solver, and the curriculum by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product
from math import comb, exp, log2
from typing import Any

import numpy as np
import pytest
from recallscope.tasks.copying import Copying, SelectiveCopying, Stage, curriculum
from scipy.stats import chisquare

SETTINGS = [
    kind(**sizes)
    for kind in (Copying, SelectiveCopying)
    for sizes in (
        {"noise": 300},
        {"payload": 1, "noise": 0, "alphabet": 3},
        {"payload": 5, "noise": 2, "alphabet": 9},
        {"payload": 3, "noise": 1, "alphabet": 40_000},
        {"payload": 1, "noise": 9},
    )
]


def uniform(values: np.ndarray, count: int) -> bool:
    assert values.min() >= 0 and values.max() < count
    return chisquare(np.bincount(values, minlength=count)).pvalue > 1e-3


@pytest.mark.parametrize("task", SETTINGS, ids=str)
def test_a_solver_that_reads_only_the_inputs_finds_the_answers(task: Copying):
    drawn = task.sample(1000, seed=2)
    assert drawn.inputs.shape == (1000, 2 * task.payload + task.noise) == (1000, task.length)
    assert task.vocabulary == task.alphabet
    for row, positions, answers in zip(
        drawn.inputs.tolist(), drawn.positions.tolist(), drawn.answers.tolist(), strict=True
    ):
        markers = [i for i, token in enumerate(row) if token == task.alphabet - 1]
        said = [i for i, token in enumerate(row) if 0 < token < task.alphabet - 1]
        assert positions == markers and markers == list(range(task.payload + task.noise, task.length))
        assert [row[i] for i in said] == answers and len(answers) == task.payload
        assert row.count(0) == task.noise
        if type(task) is Copying:
            assert said == list(range(task.payload))


@pytest.mark.parametrize("kind", [Copying, SelectiveCopying])
def test_payload_is_uniform_and_independent(kind: type[Copying]):
    answers = kind(payload=3, noise=4, alphabet=7).sample(100_000, seed=1).answers.numpy().astype(int) - 1
    assert uniform(answers @ [25, 5, 1], 125)


def test_default_payload_is_uniform():
    answers = Copying(noise=0).sample(20_000, seed=4).answers.numpy().astype(int)
    assert (answers.min(), answers.max()) == (1, 14)
    for column in answers.T:
        assert uniform(column - 1, 14)


def test_every_choice_of_places_is_equally_likely_whatever_the_payload():
    task = SelectiveCopying(payload=3, noise=4, alphabet=4)
    drawn = task.sample(100_000, seed=9)
    counts = Counter(
        (tuple(i for i in range(7) if row[i]), *answers)
        for row, answers in zip(drawn.inputs.tolist(), drawn.answers.tolist(), strict=True)
    )
    assert len(counts) == comb(7, 3) * 8 and chisquare(list(counts.values())).pvalue > 1e-3


def test_places_of_a_long_sequence_follow_the_order_statistics():
    """The j-th smallest of M places among N is at i with probability C(i, j) C(N - i - 1, M - j - 1) / C(N, M)."""
    task = SelectiveCopying(payload=4, noise=36)
    said = task.sample(100_000, seed=3).inputs[:, :40].numpy()
    places = np.nonzero(said)[1].reshape(-1, 4)
    for j in range(4):
        chances = np.array([comb(i, j) * comb(39 - i, 3 - j) / comb(40, 4) for i in range(40)])
        found = np.bincount(places[:, j], minlength=40)
        assert found[chances == 0].sum() == 0
        likely = chances * 1e5 >= 5
        observed, expected = found[likely], chances[likely] * 1e5
        rest = 1e5 - expected.sum()
        if rest >= 5:
            observed, expected = np.append(observed, 1e5 - observed.sum()), np.append(expected, rest)
        assert chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-3


@pytest.mark.parametrize("kind", [Copying, SelectiveCopying])
def test_demand_is_the_entropy_of_the_answers_counted(kind: type[Copying]):
    every = list(product(range(1, 4), repeat=2))  # alphabet 5, payload 2
    entropy = -sum(1 / len(every) * log2(1 / len(every)) for _ in every)
    assert kind(payload=2, noise=1, alphabet=5).demand_bits() == pytest.approx(entropy)
    assert kind().demand_bits() == pytest.approx(16 * log2(14))
    assert kind(alphabet=3).demand_bits() == 0


@pytest.mark.parametrize("kind", [Copying, SelectiveCopying])
def test_chance_is_what_the_best_constant_gets(kind: type[Copying]):
    task = kind(payload=4, noise=3, alphabet=6)
    answers = task.sample(100_000, seed=7).answers.numpy()
    best = max((answers == token).mean() for token in range(6))
    assert best == pytest.approx(task.chance(), abs=0.003)


def test_a_seed_decides():
    for task in (Copying(noise=8), SelectiveCopying(noise=8)):
        one, same, other = task.sample(5000, 1), task.sample(5000, 1), task.sample(5000, 2)
        assert one.inputs.equal(same.inputs) and one.answers.equal(same.answers)
        assert not one.inputs.equal(other.inputs)


def test_lengths_of_the_paper():
    assert Copying().length == 4128 and replace(Copying(), noise=32).length == 64


@pytest.mark.parametrize("kind", [Copying, SelectiveCopying])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"payload": 0}, "payload: at least 1, got 0"),
        ({"noise": -1}, "noise: at least 0, got -1"),
        ({"alphabet": 2}, "alphabet: at least 3 .*, got 2"),
    ],
)
def test_bad_settings_are_refused(kind: type[Copying], settings: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        kind(**settings)


def test_the_codes_curriculum_by_hand():
    stages = curriculum([0.5, 0.29, 0.3, 0.1, 0.2, 0.2, 0.2])
    assert [stage.noise for stage in stages] == [128, 128, 256, 256, 512, 1024, 2048, 4096]
    down = [1, 1, 31 / 32, 1, 15 / 16, 7 / 8, 3 / 4, 1 / 2]  # 1 - n/8192 at n = 256, 512, 1024, 2048, 4096
    np.testing.assert_allclose([stage.factor for stage in stages], np.cumprod(down), rtol=1e-15)


def test_the_codes_factor_never_rises_at_full_noise():
    stages = curriculum([0.0, 2.0, 0.1, 3.0, 0.05], noise=256)
    base = 0.5
    expected = [1, base, base * (1 - exp(-2)), base * (1 - exp(-0.1)), base * (1 - exp(-0.1)), base * (1 - exp(-0.05))]
    assert [stage.noise for stage in stages] == [128] + [256] * 5
    np.testing.assert_allclose([stage.factor for stage in stages], expected, rtol=1e-15)


def test_the_notes_curriculum_by_hand():
    stages = curriculum([0.1] * 7 + [0.31, 0.1, 2.0], reading="note")
    assert [stage.noise for stage in stages] == [32, 64, 128, 256, 512, 1024, 2048, 4096, 4096, 4096, 4096]
    lengths = [64, 96, 160, 288, 544, 1056, 2080, 4128]
    expected = [1 - 0.5 * length / 4128 for length in lengths]
    expected += [0.5 * (1 - exp(-loss)) for loss in (0.31, 0.1, 2.0)]
    np.testing.assert_allclose([stage.factor for stage in stages], expected, rtol=1e-15)


@pytest.mark.parametrize("reading", ["code", "note"])
def test_a_longer_history_only_adds_stages(reading: Any):
    losses = [0.4, 0.2, 0.1, 0.5, 0.2, 0.2, 0.2, 0.1, 0.3]
    whole = curriculum(losses, reading=reading, noise=1000, start=100)
    assert [curriculum(losses[:i], reading=reading, noise=1000, start=100)[-1] for i in range(10)] == whole
    assert [stage.noise for stage in whole] == [100, 100, 200, 400, 400, 800, 1000, 1000, 1000, 1000]


def test_a_curriculum_may_start_at_its_end():
    assert curriculum([], noise=64) == [Stage(64, 1.0)]
    assert curriculum([0.1], noise=64) == [Stage(64, 1.0), Stage(64, 1 - exp(-0.1))]
    assert curriculum(iter([0.9, 0.8]), threshold=0.85, start=1, noise=3) == [(1, 1.0), (1, 1.0), (2, 1 - 1 / 3)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reading": "paper"}, 'reading: "code" or "note", got paper'),
        ({"noise": 0}, "noise: at least 1, got 0"),
        ({"payload": 0}, "payload: at least 1, got 0"),
        ({"threshold": 0.0}, "threshold: above 0, got 0.0"),
        ({"start": 0}, r"start: 1 to 4096 \(noise\), got 0"),
        ({"start": 99, "noise": 98}, r"start: 1 to 98 \(noise\), got 99"),
    ],
)
def test_bad_curricula_are_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        curriculum([0.1], **settings)
