"""The most gain that a state carries: against all choices, a linear program and a flow, with a proof for each."""

from __future__ import annotations

import itertools
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recallscope.bounds.demand import carried_gain, gain_limit, selective_capacity, spans
from scipy.optimize import linprog
from scipy.sparse import csr_array

Array = np.ndarray[Any, Any]
HITS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 8), st.integers(0, 3)), min_size=1, max_size=7)
MANY = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 30), st.floats(0, 20)), min_size=1, max_size=60)


def columns(hits: list[tuple[int, int, float]]) -> tuple[Array, Array, Array]:
    begin, length, gain = np.array(hits).T
    return begin.astype(int), (begin + length).astype(int), gain


def window(seed: int, tokens: int = 2048) -> tuple[Array, Array, Array]:
    """Hits like those of a window of text: every second token, mostly near, each place used once; whole bits."""
    rng = np.random.default_rng(seed)
    end = np.flatnonzero(rng.random(tokens) < 0.5)
    begin = np.maximum(end - (1 + rng.lognormal(3.5, 1.5, end.size)).astype(int), 0)
    begin, first = np.unique(begin, return_index=True)
    kept = begin < end[first]
    return begin[kept], end[first][kept], rng.integers(0, 12, kept.sum()).astype(float)


def most_by_program(begin: Array, end: Array, gain: Array, state: float) -> float:
    size = int(end.max()) + 1
    rows = np.concatenate([np.arange(b, e) for b, e in zip(begin, end, strict=True)])
    cols = np.repeat(np.arange(begin.size), end - begin)
    over = csr_array((np.ones(rows.size), (rows, cols)), shape=(size, begin.size))
    bounds = np.column_stack([np.zeros(begin.size), gain])
    return -linprog(-np.ones(begin.size), over, np.full(size, state), bounds=bounds, method="highs").fun


def most_by_flow(begin: Array, end: Array, gain: Array, state: int) -> int:
    """S units flow along the line of cuts; a hit is a second way past its cuts, `gain` wide, that pays 1 a unit."""
    graph: Any = nx.MultiDiGraph()
    last = int(end.max())
    graph.add_node(0, demand=-state)
    graph.add_node(last, demand=state)
    for cut in range(last):
        graph.add_edge(cut, cut + 1, weight=0)
    for b, e, g in zip(begin.tolist(), end.tolist(), gain.tolist(), strict=True):
        graph.add_edge(b, e, capacity=int(g), weight=-1)
    return -nx.network_simplex(graph)[0]


def test_by_hand():
    """Two hits share cut 2; a third needs no cut at all."""
    found = carried_gain([0, 2, 4], [3, 5, 4], [3.0, 4.0, 7.0], 5)
    assert found.bits == 12 and found.cuts.tolist() == [2]
    np.testing.assert_array_equal(found.amounts, [3, 2, 7])
    assert carried_gain([0, 2, 4], [3, 5, 4], [3.0, 4.0, 7.0], 0).bits == 7
    assert carried_gain([0, 2, 4], [3, 5, 4], [3.0, 4.0, 7.0], 7).bits == 14
    assert gain_limit([0, 2, 4], [3, 5, 4], [3.0, 4.0, 7.0], 5, []) == 14, "no cut: all gains"
    assert gain_limit([0, 2, 4], [3, 5, 4], [3.0, 4.0, 7.0], 5, [2, 2, 0]) == 17, "the same cut counts once"
    assert carried_gain([], [], [], 5).bits == 0


def test_spans_by_hand():
    """x_9 last seen at 3: cuts 3 to 7; x_4 last seen at 3: none."""
    np.testing.assert_array_equal(spans([3, 3], [9, 4]), [[3, 3], [8, 3]])
    np.testing.assert_array_equal(spans([3, 3], [9, 4], reach=2), [[6, 3], [8, 3]])
    np.testing.assert_array_equal(spans([3, 3], [9, 4], reach=100), [[3, 3], [8, 3]])


@settings(deadline=None, max_examples=60)
@given(HITS, st.integers(0, 6))
def test_the_maximum_is_that_of_all_whole_amounts(hits, state):
    """Consecutive ones: with whole gains and state, whole amounts attain the maximum."""
    begin, end, gain = columns(hits)
    amounts = np.array(list(itertools.product(*(range(int(g) + 1) for g in gain))))
    over = np.array([(begin <= cut) & (cut < end) for cut in range(18)])
    best = amounts[(amounts @ over.T <= state).all(1)].sum(1).max()
    assert carried_gain(begin, end, gain, state).bits == best


@pytest.mark.parametrize(("tokens", "state"), [(2048, 40), (512, 3), (512, 150)])
def test_the_maximum_of_a_window_is_that_of_the_program_and_of_the_flow(tokens, state):
    begin, end, gain = window(state, tokens)
    found = carried_gain(begin, end, gain, state).bits
    assert found == most_by_flow(begin, end, gain, state)
    assert found == pytest.approx(most_by_program(begin, end, gain, state), rel=1e-9)


@settings(deadline=None, max_examples=30)
@given(MANY, st.floats(0, 60))
def test_real_amounts_against_the_program(hits, state):
    begin, end, gain = columns(hits)
    assert carried_gain(begin, end, gain, state).bits == pytest.approx(
        most_by_program(begin, end, gain, state), abs=1e-7
    )


@settings(deadline=None, max_examples=100)
@given(MANY, st.floats(0, 60))
def test_every_result_proves_itself(hits, state):
    begin, end, gain = columns(hits)
    found = carried_gain(begin, end, gain, state)
    assert ((found.amounts >= 0) & (found.amounts <= gain + 1e-12)).all()
    over = np.array([(begin <= cut) & (cut < end) for cut in range(72)])
    assert (over @ found.amounts <= state + 1e-9).all(), "it fits"
    assert gain_limit(begin, end, gain, state, found.cuts) == pytest.approx(found.bits, abs=1e-9), "nothing is better"


@settings(deadline=None, max_examples=50)
@given(MANY, st.lists(st.integers(0, 70), max_size=8), st.floats(0, 60), st.integers(1, 20))
def test_any_cuts_bound_the_maximum_and_less_reach_charges_less(hits, cuts, state, reach):
    begin, end, gain = columns(hits)
    assert gain_limit(begin, end, gain, state, cuts) >= carried_gain(begin, end, gain, state).bits - 1e-9
    whole = carried_gain(*spans(begin, end + 1), gain, state).bits
    assert carried_gain(*spans(begin, end + 1, reach), gain, state).bits >= whole - 1e-9


@settings(deadline=None, max_examples=30)
@given(MANY)
def test_the_curve_rises_and_is_concave(hits):
    begin, end, gain = columns(hits)
    curve = np.array([carried_gain(begin, end, gain, state).bits for state in range(0, 60, 4)])
    assert (np.diff(curve) >= 0).all() and (np.diff(curve, 2) <= 1e-9).all()
    assert carried_gain(begin, end, gain, gain.sum()).bits == pytest.approx(gain.sum(), abs=1e-9)


def test_equal_gains_are_the_best_memory_of_associations():
    begin, end, _ = window(5)
    capacity = selective_capacity(begin, end)
    for places in (1, 2, 5, 17, 60):
        found = carried_gain(begin, end, np.full(begin.size, 8.0), 8.0 * places)
        assert found.bits == 8 * np.count_nonzero((capacity > 0) & (capacity <= places))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: carried_gain([0], [1], [1.0], -1), "state_bits: a finite number of at least 0, got -1"),
        (lambda: carried_gain([0], [1], [1.0], np.nan), "state_bits: .*, got nan"),
        (lambda: carried_gain([0], [1], [-1.0], 1), "gain: bits from 0 to below 2\\^22, got -1"),
        (lambda: carried_gain([0], [1], [np.inf], 1), "gain: .*, got inf"),
        (lambda: carried_gain([0], [1], [1.0, 2.0], 1), r"gain: one number for each of 1 hits, got shape \(2,\)"),
        (lambda: carried_gain([2], [1], [1.0], 1), "begin: at most end, got 2 > 1"),
        (lambda: gain_limit([0], [1], [1.0], np.inf, []), "state_bits: .*, got inf"),
        (lambda: spans([0], [1], 0), "reach: a finite number of at least 1, got 0"),
        (lambda: spans([1], [1]), "end: above begin, got 1 for both"),
    ],
)
def test_bad_input(call, match):
    with pytest.raises(ValueError, match=match):
        call()
