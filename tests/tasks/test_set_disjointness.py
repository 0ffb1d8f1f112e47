"""Set disjointness against a solver, the closed forms of the drawing, and state counts of tiny tasks."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, permutations
from math import comb, log2
from typing import Any

import networkx as nx
import numpy as np
import pytest
from recallscope.tasks.set_disjointness import TEST_SIZES, TRAIN_SIZES, SetDisjointness
from scipy.stats import chisquare

SETTINGS = [
    SetDisjointness(),
    SetDisjointness(fixed_halves=True),
    SetDisjointness(vocabulary=50, first=7, second=9),
    SetDisjointness(vocabulary=50, first=7, second=9, fixed_halves=True),
    SetDisjointness(vocabulary=12, first=1, second=7),
    SetDisjointness(vocabulary=12, first=7, second=1),
    SetDisjointness(vocabulary=10, first=3, second=3),
    SetDisjointness(vocabulary=10, first=1, second=5, fixed_halves=True),
    SetDisjointness(vocabulary=70_000, first=3, second=40),
]


def solve(row: list[int], position: int) -> tuple[list[int], list[int], list[int]]:
    """The two sets, in order, and the ids that stand in both; by the marks alone."""
    assert row[0] == 1 and row.count(1) == 1 and row.count(2) == 1 and row.count(0) == 0
    assert row[position] == 3 and row.count(3) == 1
    a, b = row[1 : row.index(2)], row[row.index(2) + 1 : position]
    return a, b, [token for token in a if token in b]


def split(task: SetDisjointness, examples: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    drawn = task.sample(examples, seed)
    inputs = drawn.inputs.numpy().astype(int)
    return inputs[:, 1 : task.first + 1], inputs[:, task.first + 2 : -1], drawn.answers[:, 0].numpy().astype(int)


def uniform(values: np.ndarray, count: int) -> bool:
    assert values.min() >= 0 and values.max() < count
    return chisquare(np.bincount(values, minlength=count)).pvalue > 1e-3


@pytest.mark.parametrize("task", SETTINGS, ids=str)
def test_a_solver_that_reads_only_the_inputs_finds_the_answers(task: SetDisjointness):
    drawn = task.sample(1000, seed=3)
    assert drawn.inputs.shape == (1000, task.length) and drawn.answers.shape == drawn.positions.shape == (1000, 1)
    for row, position, answer in zip(
        drawn.inputs.tolist(), drawn.positions.tolist(), drawn.answers.tolist(), strict=True
    ):
        assert position == [task.length - 1]
        a, b, common = solve(row, position[0])
        assert (len(set(a)), len(set(b))) == (len(a), len(b)) == (task.first, task.second)
        assert common == answer and 4 <= min(a + b) and max(a + b) < task.vocabulary
        if task.fixed_halves:
            assert max(a) < task.vocabulary // 2
            assert [token for token in b if token < task.vocabulary // 2] == answer


@pytest.mark.parametrize("fixed", [False, True])
def test_tokens_and_places_are_uniform(fixed: bool):
    task = SetDisjointness(vocabulary=36, first=5, second=6, fixed_halves=fixed)
    a, b, answer = split(task, 100_000, seed=5)
    low, high = (14, 18) if fixed else (32, 32)
    for column in range(task.first):
        assert uniform(a[:, column] - 4, low)
    which, place = (a == answer[:, None]).argmax(1), (b == answer[:, None]).argmax(1)
    assert uniform(which * task.second + place, 30)
    assert uniform(answer - 4, low)
    for column in range(task.second):
        others = b[place != column, column]
        assert uniform(others - (18 if fixed else 4), high)


def test_shuffled_halves_make_every_example_equally_likely():
    """All examples of V = 10, |A| = |B| = 2, counted out: ordered A, ordered B, one token in common."""
    task = SetDisjointness(vocabulary=10, first=2, second=2)
    every = [
        (*a, *b) for a in permutations(range(6), 2) for b in permutations(range(6), 2) if len(set(a) & set(b)) == 1
    ]
    number = {example: i for i, example in enumerate(every)}
    assert len(every) == 6 * 5 * 4 * 2 * 2
    a, b, _ = split(task, 100_000, seed=6)
    drawn = [number[tuple(row)] for row in (np.hstack([a, b]) - 4).tolist()]
    assert uniform(np.array(drawn), len(every))


def conflicts(ids: int, first: int, second: int) -> nx.Graph:
    """Sets A that no state can stand for at once: some B has one answer with the one and another with the other."""
    graph = nx.Graph()
    graph.add_nodes_from(combinations(range(ids), first))
    asked = [set(b) for b in combinations(range(ids), second)]
    for one, other in combinations(list(graph), 2):
        for b in asked:
            with_one, with_other = b & set(one), b & set(other)
            if len(with_one) == len(with_other) == 1 and with_one != with_other:
                graph.add_edge(one, other)
                break
    return graph


@pytest.mark.parametrize(("first", "second"), [(1, 2), (1, 5), (2, 2), (2, 4), (3, 2), (4, 2)])
def test_demand_is_the_number_of_states_of_a_tiny_task(first: int, second: int):
    graph = conflicts(6, first, second)
    states = graph.number_of_nodes()
    assert graph.number_of_edges() == states * (states - 1) // 2  # any two sets need different states
    assert SetDisjointness(vocabulary=10, first=first, second=second).demand_bits() == pytest.approx(log2(states))


@pytest.mark.parametrize(("first", "second"), [(3, 3), (5, 1), (1, 1), (3, 1)])
def test_demand_is_a_lower_bound_where_sets_may_share_a_state(first: int, second: int):
    graph = conflicts(6, first, second)
    apart = max(len(clique) for clique in nx.find_cliques(graph))
    assert graph.number_of_edges() < comb(graph.number_of_nodes(), 2)
    demand = SetDisjointness(vocabulary=10, first=first, second=second).demand_bits()
    assert demand <= log2(apart) + 1e-12
    if second == 1:
        assert demand == 0 and apart == 1  # one state serves all
    else:
        assert demand > 0


@pytest.mark.parametrize(("ids", "first", "second"), [(6, 3, 3), (8, 4, 4), (8, 5, 3), (8, 3, 5)])
def test_demand_of_the_bound_is_the_entropy_given_part_of_the_set(ids: int, first: int, second: int):
    """Who knows all but r tokens of A, or first + r ids around it, has so many sets left, all to be told apart."""
    graph, r = conflicts(ids, first, second), ids - first - second + 2
    known, among = set(range(first - r)), set(range(first + r))
    left = [[a for a in graph if known <= set(a)], [a for a in graph if set(a) <= among]]
    assert all(graph.has_edge(*pair) for sets in left for pair in combinations(sets, 2))
    assert graph.number_of_edges() < comb(graph.number_of_nodes(), 2)
    task = SetDisjointness(vocabulary=ids + 4, first=first, second=second)
    assert task.demand_bits() == pytest.approx(log2(max(map(len, left))))


@pytest.mark.parametrize("sizes", TRAIN_SIZES + TEST_SIZES, ids=str)
def test_demand_of_the_papers_sizes(sizes: tuple[int, int]):
    task = SetDisjointness(first=sizes[0], second=sizes[1])
    every = 1  # C(2044, |A|) as a product
    for i in range(sizes[0]):
        every = every * (2044 - i) // (i + 1)
    assert task.demand_bits() == pytest.approx(0 if sizes[1] == 1 else log2(every), rel=1e-12)
    assert replace(task, fixed_halves=True).demand_bits() == 0


def test_the_papers_sizes():
    assert len(TRAIN_SIZES) == 12 and len(TEST_SIZES) == 20
    for sizes in (TRAIN_SIZES, TEST_SIZES):
        assert {(b, a) for a, b in sizes} == set(sizes) and len(set(sizes)) == len(sizes)
    assert max(max(sizes) for sizes in TRAIN_SIZES) == 256 and max(max(sizes) for sizes in TEST_SIZES) == 768


@pytest.mark.parametrize("task", [SETTINGS[2], SETTINGS[3], SetDisjointness(vocabulary=30, first=8, second=4)], ids=str)
def test_chance_is_what_a_guesser_gets(task: SetDisjointness):
    a, b, answer = split(task, 100_000, seed=8)
    guesses = [(side[:, 0] == answer).mean() for side in (a, b)]  # order carries nothing: the first is as good as any
    assert max(guesses) == pytest.approx(task.chance(), abs=4 * (0.25 / 100_000) ** 0.5)


def test_everything_before_the_answer_may_be_read_without_a_mask():
    task = SetDisjointness(first=4, second=16)
    assert task.prefix == task.length == task.sample(2).inputs.shape[1]


def test_a_seed_decides():
    for task in SETTINGS[:2]:
        one, same, other = task.sample(5000, 1), task.sample(5000, 1), task.sample(5000, 2)
        assert one.inputs.equal(same.inputs) and one.answers.equal(same.answers)
        assert not one.inputs.equal(other.inputs)


def test_length_follows_the_sizes():
    task = replace(SetDisjointness(), first=4)
    assert task.length == 263 and replace(task, second=8) == SetDisjointness(first=4, second=8)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"vocabulary": 2047}, "vocabulary: even, at least 10, got 2047"),
    ({"vocabulary": 8}, "vocabulary: even, at least 10, got 8"),
    ({"first": 0}, "first: 1 to 2043 with vocabulary 2048, got 0"),
    ({"first": 2044}, "first: 1 to 2043 with vocabulary 2048, got 2044"),
    ({"first": 1021, "fixed_halves": True}, "first: 1 to 1020 with vocabulary 2048, got 1021"),
    ({"second": 0}, "second: 1 to 2028 with vocabulary 2048 and first 16, got 0"),
    ({"second": 2029}, "second: 1 to 2028 with vocabulary 2048 and first 16, got 2029"),
    ({"second": 1025, "fixed_halves": True}, "second: 1 to 1024 with vocabulary 2048 and first 16, got 1025"),
]


@pytest.mark.parametrize(("settings", "message"), BAD)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        SetDisjointness(**settings)
