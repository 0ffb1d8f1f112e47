"""Data structures, sets and depth: exact counts, all filters of tiny universes, ranks, and the statements of order."""

from __future__ import annotations

import itertools
import math
from math import comb, log2
from typing import Any

import mpmath
import numpy as np
import pytest
from recallscope.bounds.information import (
    binary_depth_limit,
    dictionary_bits,
    disjointness_bits,
    disjointness_growth,
    dynamic_extra,
    incremental_extra,
    membership_bits,
    p_hot_depth_limit,
    recall_depth_growth,
    recall_depth_scale,
    state_limit,
    static_retrieval,
)
from recallscope.tasks.set_disjointness import TEST_SIZES, TRAIN_SIZES, SetDisjointness


def test_known_values():
    assert dictionary_bits(1, 8, 4) == 5 and dictionary_bits(4, 4, 2) == 4
    assert membership_bits(1, 8, 0) == 3 and membership_bits(3, 10, 1) == 0 == membership_bits(5, 5, 0.1)
    assert membership_bits(1, 8, 1.0, vocabulary=4) == 2
    assert [binary_depth_limit(2**d) for d in (1, 2, 3, 4, 5, 8, 13, 16)] == [1, 2, 3, 3, 4, 4, 5, 5]
    assert [p_hot_depth_limit(p) for p in range(1, 9)] == [1, 2, 2, 3, 3, 3, 3, 4]
    assert disjointness_bits(1, 5, 8) == disjointness_bits(1, 5, 8, passes=1) == 3
    assert disjointness_bits(5, 1, 8, passes=2) == 1


@pytest.mark.parametrize(("pairs", "keys", "vocabulary"), [(2, 4, 3), (3, 5, 2), (1, 6, 1)])
def test_dictionaries_are_counted(pairs, keys, vocabulary):
    held = [
        tuple(zip(which, values, strict=True))
        for which in itertools.combinations(range(keys), pairs)
        for values in itertools.product(range(vocabulary), repeat=pairs)
    ]
    assert dictionary_bits(pairs, keys, vocabulary) == pytest.approx(log2(len(set(held))), abs=1e-14)


def test_the_largest_dictionary_is_the_last():
    """A memory that is read into never needs more than at the end, for D up to U/2."""
    for pairs in range(1, 50):
        assert dictionary_bits(pairs, 100, 1) < dictionary_bits(pairs + 1, 100, 1)


@pytest.mark.parametrize(("pairs", "keys"), [(1, 5), (2, 5), (3, 5)])
def test_no_filter_of_few_states_beats_the_bound(pairs, keys):
    """All choices of accepted sets for the states; a set of keys takes the state with the fewest false positives."""
    stated = [set(s) for s in itertools.combinations(range(keys), pairs)]
    accepted = [set(a) for size in range(pairs, keys + 1) for a in itertools.combinations(range(keys), size)]
    wrong = np.array([[(len(a) - pairs) / (keys - pairs) if s <= a else np.inf for s in stated] for a in accepted])
    for states in (1, 2, 3, 4):
        codes = np.array(list(itertools.combinations(range(len(accepted)), min(states, len(accepted)))))
        rate = wrong[codes].min(1).mean(1).min()
        assert membership_bits(pairs, keys, rate) <= log2(states) + 1e-12
        assert log2(states) - membership_bits(pairs, keys, rate) < 1.1  # and it is not an empty statement


def test_no_memory_that_recognises_keys_beats_the_bound():
    """One pair of 3 keys and 2 values; a state answers every key with a value or with nothing."""
    facts = list(itertools.product(range(3), range(2)))
    answers = list(itertools.product((None, 0, 1), repeat=3))
    wrong = np.array(
        [[sum(x is not None for x in a) / 2 - 0.5 if a[k] == v else np.inf for k, v in facts] for a in answers]
    )
    for states in (2, 3, 4):  # one state alone cannot give both values of a key
        codes = np.array(list(itertools.combinations(range(len(answers)), states)))
        rate = wrong[codes].min(1).mean(1).min()
        assert membership_bits(1, 3, rate, vocabulary=2) <= log2(states) + 1e-12


@pytest.mark.parametrize(
    ("pairs", "keys", "rate"), [(1, 2, 0.5), (256, 4095, 0.01), (256, 4095, 0.0), (40, 10**6, 1e-3)]
)
def test_membership_against_gamma_functions(pairs, keys, rate):
    with mpmath.workdps(50):
        among = pairs + mpmath.mpf(rate) * (keys - pairs)
        exact = mpmath.log(mpmath.binomial(keys, pairs) / mpmath.binomial(among, pairs), 2)
        assert abs(membership_bits(pairs, keys, rate) - exact) < 1e-12 * pairs * log2(keys)


def test_membership_goes_to_its_limit_from_below():
    """D log2(1/δ) is not a bound for the keys of MQAR: 256 of 4,095 with 1 % need 1,216 bits, not 1,701."""
    limit = 256 * log2(100)
    found = [membership_bits(256, keys, 0.01) for keys in (256, 300, 4095, 10**5, 10**7, 10**12)]
    assert found == sorted(found) and found[0] == 0
    assert limit - 1e-4 < found[-1] < limit
    assert found[2] == pytest.approx(1215.6, abs=0.05) and limit == pytest.approx(1700.8, abs=0.05)


def disjoint(ids: int, first: int, second: int) -> np.ndarray:
    """`[A, B]`: 1 where they share nothing."""
    rows, columns = (list(map(set, itertools.combinations(range(ids), size))) for size in (first, second))
    return np.array([[float(not a & b) for b in columns] for a in rows])


@pytest.mark.parametrize(("ids", "first", "second"), [(2, 1, 1), (5, 2, 2), (5, 2, 3), (6, 3, 1), (7, 2, 4), (7, 3, 3)])
def test_disjointness_against_the_matrix_of_answers(ids, first, second):
    """One pass: sets A with unlike rows, none alike. Several: the rank of the matrix."""
    answers = disjoint(ids, first, second)
    assert disjointness_bits(first, second, ids) == pytest.approx(log2(len(np.unique(answers, axis=0))), abs=1e-14)
    rank = int(np.linalg.matrix_rank(answers))
    for passes in (2, 3):
        assert disjointness_bits(first, second, ids, passes) == pytest.approx(log2(rank) / (2 * passes - 1), abs=1e-14)


@pytest.mark.parametrize("sizes", TRAIN_SIZES + TEST_SIZES, ids=str)
def test_one_pass_is_the_demand_of_the_task(sizes):
    task = SetDisjointness(first=sizes[0], second=sizes[1])
    if task.second > 1:  # else B gives the answer of the task away, which is promised a common id
        assert disjointness_bits(task.first, task.second, 2044) == pytest.approx(task.demand_bits(), rel=1e-14)


def left_side(layers: int, length: int, width: int, alpha: float) -> Any:
    """B d^(2^L), without logarithms of it."""
    factor = mpmath.mpf(alpha + 2) * mpmath.mpf(2) ** layers * mpmath.log(2 * length, 2)
    return factor * mpmath.mpf(width) ** (2**layers)


@pytest.mark.parametrize("length", [2, 3, 100, 8192, 2**20, 2**40])
def test_the_scale_of_depth_solves_its_inequality(length):
    for width, alpha, constant in itertools.product((1, 2, 64, 4096), (0.0, 1.0, 4.0), (1.0, 0.1, 100.0)):
        layers = recall_depth_scale(length, width, alpha, constant)
        with mpmath.workdps(50):
            wanted = mpmath.mpf(constant) * length
            assert left_side(layers, length, width, alpha) >= wanted * (1 - mpmath.mpf(10) ** -12)
            assert layers == 0 or left_side(layers - 1, length, width, alpha) < wanted


def test_depth_grows_as_the_statement_says():
    assert recall_depth_growth(2**16, 2).term == 2 and "ε = 1;" in recall_depth_growth(2**16, 2).holds
    assert recall_depth_growth(2**16, 2**16).term == 0
    assert recall_depth_growth(2**16, 2**4).term == 1  # ε = 1/2
    scales = [recall_depth_scale(2**k, 4) for k in (4, 16, 64, 256, 900)]
    assert scales == sorted(scales) and scales[-1] > scales[0]


def test_orders_are_no_bounds_but_terms():
    assert static_retrieval(256, 8192).term == state_limit(256, 8192) and "o(" in static_retrieval(2, 2).order
    assert dynamic_extra(256, 256 * 16).term == 512 and dynamic_extra(4, 5).term == 0
    assert incremental_extra(256, 4096).order == "Θ(D)" and incremental_extra(256, 4096).term == 256
    assert incremental_extra(2**16, 4).term == 4 * 2**16 and "between" in incremental_extra(2**16, 4).order
    assert incremental_extra(3, 2).term == 3
    assert disjointness_growth(16, 256, 2).term == 4 and disjointness_growth(16, 256).term == 256
    for one in (static_retrieval(2, 2), dynamic_extra(2, 9), incremental_extra(2, 2), disjointness_growth(2, 3)):
        assert one.unit == "bits" and one.holds and "arXiv" in one.source


def test_more_passes_need_no_more_state():
    for passes in range(1, 6):
        assert disjointness_bits(16, 256, 2044, passes + 1) < disjointness_bits(16, 256, 2044, passes)
    assert disjointness_bits(256, 16, 2044) == pytest.approx(log2(comb(2044, 256)), rel=1e-14)


@pytest.mark.parametrize(
    ("function", "arguments", "match"),
    [
        (dictionary_bits, (5, 4, 2), "pairs: a whole number from 1 to 4, got 5"),
        (dictionary_bits, (2, 4, 0), "vocabulary: a whole number, at least 1, got 0"),
        (membership_bits, (2, 4, 1.5), "false_positive: from 0 to 1, got 1.5"),
        (membership_bits, (2, 4, math.nan), "false_positive: from 0 to 1, got nan"),
        (membership_bits, (2, 1, 0.5), "pairs: a whole number from 1 to 1, got 2"),
        (static_retrieval, (2, 1), "vocabulary: a whole number, at least 2, got 1"),
        (dynamic_extra, (2, 1), "pairs: a whole number from 1 to 1, got 2"),
        (incremental_extra, (0, 4), "pairs: a whole number, at least 1, got 0"),
        (disjointness_bits, (3, 4, 6), "ids: a whole number, at least 7, got 6"),
        (disjointness_bits, (0, 4, 6), "first: a whole number, at least 1, got 0"),
        (disjointness_bits, (2, 2, 6, 0), "passes: a whole number, at least 1, got 0"),
        (disjointness_growth, (2, -1), "second: a whole number, at least 1, got -1"),
        (binary_depth_limit, (50_257,), "vocabulary: a power of two .*, got 50257"),
        (p_hot_depth_limit, (0,), "blocks: a whole number, at least 1, got 0"),
        (recall_depth_scale, (1, 4), "length: a whole number, at least 2, got 1"),
        (recall_depth_scale, (8, 4, -1.0), "alpha: at least 0, got -1"),
        (recall_depth_scale, (8, 4, 1.0, 0.0), "constant: above 0 and finite, got 0"),
        (recall_depth_growth, (8, 16), "width: a whole number from 2 to 8, got 16"),
    ],
)
def test_bad_input(function, arguments, match):
    with pytest.raises(ValueError, match=match):
        function(*arguments)
