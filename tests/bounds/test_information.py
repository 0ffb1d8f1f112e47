"""The information limit: solves its equation, to the last digits, and no memory of few bits beats it."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from typing import Any

import mpmath
import numpy as np
import pytest
from recallscope.bounds import accuracy_limit
from scipy.optimize import brentq
from scipy.stats import entropy


@pytest.mark.parametrize("questions, choices", [(1, 2), (4, 256), (64, 7)])
def test_the_limit_solves_its_equation(questions, choices):
    demand = questions * math.log2(choices) * 0.9
    for bits in np.linspace(0, demand * 0.999, 7):
        got = float(accuracy_limit(bits, questions, choices, demand))

        def room(p: float) -> float:
            return float(entropy([p, 1 - p], base=2)) + (1 - p) * math.log2(choices - 1)

        want = brentq(lambda p: room(p) - (demand - bits) / questions, 1 / choices, 1 - 1e-15)  # noqa: B023
        assert got == pytest.approx(want, abs=1e-9)


def test_the_limit_at_its_ends():
    assert accuracy_limit(0, 1, 8, 3.0) == pytest.approx(1 / 8, abs=1e-15)  # the answer is one of eight, unseen
    np.testing.assert_array_equal(accuracy_limit(np.array([3.0, 3.5, 1e9, math.inf]), 1, 8, 3.0), 1)
    assert (np.diff(accuracy_limit(np.linspace(0, 40, 50), 8, 32, 40)) > 0).all()


def test_answers_are_independent_and_uniform_by_default():
    state = np.array([[0, 1e-9, 1], [5, 11.99, 12]])
    assert accuracy_limit(state, 4, 8).shape == state.shape
    np.testing.assert_array_equal(accuracy_limit(state, 4, 8), accuracy_limit(state, 4, 8, demand_bits=12))
    assert accuracy_limit(0, 256, 7) == pytest.approx(1 / 7, abs=1e-15)
    assert accuracy_limit(state_bits=4e6, pairs=256, vocabulary=8192) == 1


def inverted(state_bits: float, pairs: int, vocabulary: int, demand_bits: float | None) -> Any:
    """The same by bisecting on the error in 50 digits, from Fano's inequality as it stands."""
    demand = pairs * mpmath.log(vocabulary, 2) if demand_bits is None else mpmath.mpf(demand_bits)
    lacking = max(demand - mpmath.mpf(state_bits), 0) / pairs

    def room(wrong: Any) -> Any:
        surprise = wrong * mpmath.log(wrong, 2) + (1 - wrong) * mpmath.log(1 - wrong, 2)
        return wrong * mpmath.log(vocabulary - 1, 2) - surprise

    low, high = mpmath.mpf(0), 1 - mpmath.mpf(1) / vocabulary
    for _ in range(100):
        wrong = (low + high) / 2
        low, high = (wrong, high) if room(wrong) < lacking else (low, wrong)
    return 1 - low


@pytest.mark.parametrize("pairs, vocabulary", [(1, 2), (4, 3), (64, 256), (256, 8192), (8, 10**6)])
def test_the_limit_to_the_last_digits(pairs, vocabulary):
    full = pairs * math.log2(vocabulary)
    for demand in (None, full * 0.9, full * (1 - 1e-14), math.nextafter(full, 0), full * 1e-9):
        most = demand or full
        near_chance = [0, 1e-20, 1e-12, 1e-6, 1e-3 * most]
        near_one = [most * (1 - 1e-3), most * (1 - 1e-8), most * (1 - 1e-14), math.nextafter(most, 0), most]
        states = [*near_chance, 0.1 * most, 0.5 * most, *near_one]
        got = accuracy_limit(states, pairs, vocabulary, demand)
        with mpmath.workdps(50):
            errors = [float(abs(g - inverted(s, pairs, vocabulary, demand))) for g, s in zip(got, states, strict=True)]
        assert max(errors) < 1e-12


def test_no_code_of_few_bits_beats_the_limit():
    """The best of all possible memories of b bits, by trying them: every state answers one fixed tuple."""
    for questions, choices, distinct in ((2, 3, True), (2, 4, True), (2, 3, False), (3, 2, False)):
        every = list(itertools.product(range(choices), repeat=questions))
        truths = np.array([one for one in every if not distinct or len(set(one)) == questions])
        right = np.array([(truths == guess).mean(1) for guess in every])  # [guess, truth]
        for bits in (0, 1, 2):
            best = max(right[list(code)].max(0).mean() for code in itertools.combinations(range(len(every)), 2**bits))
            limit = accuracy_limit(bits, questions, choices, math.log2(len(truths)))
            assert best <= limit + 1e-9
            assert limit <= best + 0.35  # and it is not an empty statement


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((1, 0, 2, 0), "pairs: at least 1, got 0"),
        ((1, 1, 1, 0), "vocabulary: at least 2, got 1"),
        ((1, 2, 8, 7), "demand_bits: 0 to 6 for 2 answers of 8 values, got 7"),
        ((1, 2, 8, -1), "demand_bits: 0 to 6 .*, got -1"),
        ((1, 2, 8, math.nan), "demand_bits: 0 to 6 .*, got nan"),
        ((-1, 2, 8), "state_bits: at least 0, got -1"),
        (([3, -0.5], 2, 8), "state_bits: at least 0, got -0.5"),
        (([3, math.nan], 2, 8), "state_bits: at least 0, got nan"),
    ],
)
def test_bad_limits(arguments, match):
    with pytest.raises(ValueError, match=match):
        accuracy_limit(*arguments)


def test_bounds_need_no_torch():
    code = "import sys, recallscope.bounds; sys.exit(bool({'torch', 'plotly', 'pyarrow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
