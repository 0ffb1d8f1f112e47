"""Pareto sets, dominance between boxes and hypervolume, against brute force, sampling and cases by hand."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recallscope.frontier.pareto import DOMINATED, ON, UNDECIDED, hypervolume, pareto_set, verdicts


def dominates(a, b) -> bool:
    return bool(np.all(np.asarray(a) <= b) and np.any(np.asarray(a) < b))


def grid(columns: int, size: int = 30):
    """Whole numbers, so that ties and duplicates abound."""
    point = st.tuples(*[st.integers(0, 6)] * columns)
    return st.lists(point, max_size=size)


@pytest.mark.parametrize("columns", [2, 3])
@given(data=st.data())
def test_the_set_is_what_no_point_dominates(columns, data):
    points = data.draw(grid(columns))
    expected = [not any(dominates(other, point) for other in points) for point in points]
    assert pareto_set(np.array(points, float).reshape(-1, columns)).tolist() == expected


@given(grid(2, 20), st.data())
def test_verdicts_are_those_of_all_values_in_the_boxes(points, data):
    low = np.array(points, float).reshape(-1, 2)
    width = [data.draw(st.tuples(st.integers(0, 2), st.integers(0, 2))) for _ in points]
    high = low + np.array(width, float).reshape(-1, 2)
    expected = []
    for k in range(len(low)):
        others = [j for j in range(len(low)) if j != k]
        if any(dominates(high[j], low[k]) for j in others):
            expected.append(DOMINATED)
        else:
            expected.append(UNDECIDED if any(dominates(low[j], high[k]) for j in others) else ON)
    assert verdicts(low, high) == expected


@pytest.mark.parametrize("columns", [2, 3])
@given(data=st.data())
def test_the_volume_is_that_of_inclusion_and_exclusion(columns, data):
    points = np.array(data.draw(grid(columns, 7)), float).reshape(-1, columns)
    reference = np.full(columns, 5.0)
    expected = 0.0
    for size in range(1, len(points) + 1):
        for some in itertools.combinations(points, size):
            expected += (-1) ** (size + 1) * np.prod(np.maximum(reference - np.max(some, 0), 0))
    assert hypervolume(points, reference.tolist()) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("columns", [2, 3])
def test_the_volume_agrees_with_sampling(columns):
    rng = np.random.default_rng(0)
    points, samples = rng.random((40, columns)) ** 0.5, rng.random((100_000, columns))
    inside = np.any(np.all(points[None] <= samples[:, None], 2), 1).mean()
    error = np.sqrt(inside * (1 - inside) / len(samples))
    assert abs(hypervolume(points, [1] * columns) - inside) < 5 * error


def test_cases_by_hand():
    nan = float("nan")
    points = [[1, 3], [2, 2], [2, 2], [2, 3], [3, 1], [nan, 0], [1, 4]]
    assert pareto_set(points).tolist() == [True, True, True, False, True, False, False]  # equal points both stay
    assert pareto_set([[5, 5]]).tolist() == [True] and pareto_set([]).tolist() == []
    assert hypervolume([[1, 3], [2, 2], [3, 1]], [4, 4]) == 6  # 3 + 2 + 1
    assert hypervolume([[1, 1], [1, 1], [nan, 0], [4, 0]], [4, 4]) == 9  # on the edge of the reference: nothing
    assert hypervolume([[1, 1, 1], [0, 2, 1]], [3, 3, 3]) == 2 * (4 + 3 - 2)
    assert hypervolume([], [1, 1]) == 0
    assert verdicts([[1, 1], [2, 2]], [[1, 1], [2, 2]]) == [ON, DOMINATED]
    assert verdicts([[1, 1], [1, 1]], [[1, 1], [1, 1]]) == [ON, ON]  # equal and exact
    assert verdicts([[1, 0], [2, 1]], [[1, 3], [2, 2]]) == [ON, UNDECIDED]
    assert verdicts([[nan, 0]], [[1, 1]]) == [UNDECIDED] and verdicts([], []) == []


@pytest.mark.parametrize("columns", [2, 3])
def test_a_hundred_thousand_points_take_about_a_second(columns):
    points = np.random.default_rng(1).random((100_000, columns))
    started = time.process_time()
    found = pareto_set(points)
    if columns == 2:
        assert len(verdicts(points, points + 0.01)) == len(points)
        assert 0.99 < hypervolume(points, [1, 1]) < 1
    assert time.process_time() - started < 4  # one second on an idle core
    assert 5 < found.sum() < 500


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pareto_set([1, 2]), r"costs: numbers \[n, 2\] or \[n, 3\], got an array \[2\]"),
        (lambda: hypervolume([[1, 2]], [1]), r"reference: 2 finite numbers, got \[1\]"),
        (lambda: hypervolume([[1, 2]], [1, float("inf")]), "reference: 2 finite"),
        (lambda: verdicts([[1, 1]], [[0, 1]]), "low at most high"),
        (lambda: verdicts([[1, 1, 1]], [[2, 2, 2]]), r"of one shape \[n, 2\]"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
