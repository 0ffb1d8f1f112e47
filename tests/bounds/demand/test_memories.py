"""Least-recently-used and best possible memories: against simulation, all choices, and a linear program."""

from __future__ import annotations

import itertools
import sys
from collections import OrderedDict
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recallscope.bounds.demand import selective_capacity, stack_distance
from recallscope.slicing.tagging.tags import repeat_distance
from scipy.optimize import linprog

Array = np.ndarray[Any, Any]
DOCUMENTS = st.lists(st.lists(st.integers(0, 3), max_size=40), min_size=1, max_size=3)


def tagged(documents: Sequence[Sequence[int]]) -> tuple[Array, Array]:
    """Distances of all bigrams, and the first token of each document."""
    tokens = np.array([token for document in documents for token in document], dtype=np.int64)
    starts = np.cumsum([0, *map(len, documents)])[:-1]
    return repeat_distance(tokens, starts).astype(np.int64), starts


def intervals(distance: Array) -> tuple[Array, Array]:
    end = np.flatnonzero(distance)
    return end - distance[end], end


def hits_of_an_lru_memory(document: Sequence[int], capacity: int) -> list[int]:
    """Positions whose bigram is in the memory when they are predicted, by keeping the memory."""
    memory: OrderedDict[tuple[int, int], None] = OrderedDict()
    hits = []
    for i, bigram in enumerate(itertools.pairwise(document), 1):
        if bigram in memory:
            hits.append(i)
        memory[bigram] = None
        memory.move_to_end(bigram)
        if len(memory) > capacity:
            memory.popitem(last=False)
    return hits


def most_by_trying(begin: Array, end: Array, capacity: int) -> int:
    """The most intervals with at most `capacity` over any point, by all subsets."""
    over = np.array([(begin < t) & (t <= end) for t in range(int(end.max(initial=0)) + 1)])  # [point, interval]
    chosen = np.array(list(itertools.product((0, 1), repeat=begin.size)))
    return int(chosen[(chosen @ over.T <= capacity).all(1)].sum(1).max())


def most_by_machines(begin: Array, end: Array, capacity: int) -> int:
    """By right end on `capacity` machines: each interval goes to the machine that was freed last, if any is free."""
    free, served = [0] * capacity, 0
    for b, e in sorted(zip(begin.tolist(), end.tolist(), strict=True), key=lambda one: one[1]):
        fitting = [at for at in free if at <= b]
        if fitting:
            free.remove(max(fitting))
            free.append(e)
            served += 1
    return served


def most_by_program(begin: Array, end: Array, capacity: int) -> float:
    over = np.array([(begin <= t) & (t < end) for t in range(int(end.max()))], dtype=float)
    return -linprog(-np.ones(begin.size), over, np.full(len(over), capacity), bounds=(0, 1)).fun


def test_by_hand():
    """a b c a b | a b b b: the pair ab returns after ab, bc, ca; then bb at once."""
    distance, _ = tagged([b"abcab", b"abbb"])
    np.testing.assert_array_equal(distance, [0, 0, 0, 0, 3, 0, 0, 0, 1])
    np.testing.assert_array_equal(stack_distance(distance), [0, 0, 0, 0, 3, 0, 0, 0, 1])
    distance, _ = tagged([b"abbbab"])  # ab, bb, bb, ba lie between: three different ones
    np.testing.assert_array_equal(distance, [0, 0, 0, 1, 0, 4])
    np.testing.assert_array_equal(stack_distance(distance), [0, 0, 0, 1, 0, 3])
    np.testing.assert_array_equal(selective_capacity([0, 1, 4], [9, 3, 6]), [2, 1, 1])
    np.testing.assert_array_equal(selective_capacity([0, 1, 4], [9, 3, 6], most=1), [0, 1, 1])
    assert stack_distance([]).size == selective_capacity([], []).size == 0


def test_a_cycle_of_p_pairs_needs_p_recent_ones_but_any_c_serve_a_share():
    period, rounds = 12, 20
    distance, _ = tagged([list(range(period)) * rounds])
    assert set(stack_distance(distance)[period + 1 :]) == {period}
    begin, end = intervals(distance)
    capacity = selective_capacity(begin, end)
    for c in range(1, period + 1):
        # the first pair ends at 1, so a place that starts by period - 1 serves rounds - 1 intervals, the last one fewer
        assert np.count_nonzero(capacity <= c) == c * (rounds - 1) - (c == period)


@settings(deadline=None, max_examples=40)
@given(DOCUMENTS)
def test_stack_distances_are_those_of_a_simulated_memory(documents):
    distance, starts = tagged(documents)
    found = stack_distance(distance)
    assert ((found > 0) == (distance > 0)).all()
    for capacity in (1, 2, 3, 5, 8, 16):
        served = [s + i for s, doc in zip(starts, documents, strict=True) for i in hits_of_an_lru_memory(doc, capacity)]
        np.testing.assert_array_equal(np.flatnonzero((found > 0) & (found <= capacity)), served)


def test_stack_distances_of_a_long_text():
    """Sizes around powers of two, against counting the different bigrams of each interval."""
    rng = np.random.default_rng(0)
    for size in (1023, 1024, 1025):
        text = (rng.zipf(1.3, size) % 60).tolist()
        distance, _ = tagged([text])
        bigrams = [None, *itertools.pairwise(text)]
        found = stack_distance(distance)
        for i in np.flatnonzero(distance):
            assert found[i] == len(set(bigrams[i - distance[i] : i]))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 9)), min_size=1, max_size=9))
def test_the_best_memory_is_the_best_of_all_subsets(pairs):
    begin, end = np.array([(b, b + d) for b, d in pairs]).T
    capacity = selective_capacity(begin, end)
    for c in range(1, 5):
        assert np.count_nonzero(capacity <= c) == most_by_trying(begin, end, c)
    points = [((begin < t) & (t <= end))[:, None] & (capacity[:, None] <= np.arange(10)) for t in range(22)]
    assert (np.sum(points, 1) <= np.arange(10)).all(), "what each capacity serves fits into it"


@pytest.mark.parametrize("seed", range(2))
def test_the_best_memory_equals_machines_and_the_linear_program(seed):
    rng = np.random.default_rng(seed)
    distance, _ = tagged([(rng.zipf(1.2, 500) % 40).tolist()])
    begin, end = intervals(distance)
    capacity = selective_capacity(begin, end, most=64)
    for c in (1, 2, 7, 20, 64):
        served = np.count_nonzero((capacity > 0) & (capacity <= c))
        assert served == most_by_machines(begin, end, c)
        assert served == pytest.approx(most_by_program(begin, end, c), abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(DOCUMENTS, st.integers(1, 6))
def test_no_rule_beats_the_best_and_no_window_the_most_recent(documents, most):
    distance, _ = tagged(documents)
    begin, end = intervals(distance)
    recent, best = stack_distance(distance)[end], selective_capacity(begin, end)
    assert (recent <= distance[end]).all()
    for c in range(1, 12):
        assert np.count_nonzero(recent <= c) <= np.count_nonzero(best <= c)
    np.testing.assert_array_equal(selective_capacity(begin, end, most), np.where(best <= most, best, 0))
    backwards = selective_capacity(-end, -begin)
    np.testing.assert_array_equal(np.bincount(backwards), np.bincount(best))
    order = np.random.default_rng(0).permutation(begin.size)
    np.testing.assert_array_equal(selective_capacity(begin[order], end[order]), best[order])


@pytest.mark.skipif(find_spec("numba") is None, reason="numba is not installed")
def test_numba_gives_the_same(monkeypatch):
    rng = np.random.default_rng(4)
    begin = rng.integers(0, 5000, 4000)
    end = begin + 1 + rng.geometric(0.01, 4000)
    monkeypatch.setenv("RECALLSCOPE_NUMBA", "0")
    plain = selective_capacity(begin, end, 50)
    monkeypatch.setenv("RECALLSCOPE_NUMBA", "1")
    np.testing.assert_array_equal(selective_capacity(begin, end, 50), plain)
    assert "numba" in sys.modules and plain.max() == 50 and plain.min() == 0


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: stack_distance([0, 2]), "distance: 0 to 1 at token 1, got 2"),
        (lambda: stack_distance([0, -1]), "distance: 0 to 1 at token 1, got -1"),
        (lambda: stack_distance([0, 1, 2]), "distance: to the previous occurrence, but two tokens have the same one"),
        (lambda: stack_distance([0.5]), "distance: a one-dimensional integer array, got float64"),
        (lambda: stack_distance([[0]]), r"distance: .* of shape \(1, 1\)"),
        (lambda: selective_capacity([1], [1]), "end: above begin, got 1 for both"),
        (lambda: selective_capacity([0, 5], [1, 4]), "begin: at most end, got 5 > 4 for interval 1"),
        (lambda: selective_capacity([0], [1, 2]), r"end: as many as begin \(1\), got 2"),
        (lambda: selective_capacity([0], [1], most=0), "most: a finite number of at least 1, got 0"),
    ],
)
def test_bad_input(call, match):
    with pytest.raises(ValueError, match=match):
        call()
