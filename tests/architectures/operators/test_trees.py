"""Drafted trees against enumeration, draws, and every tree of that size."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from recallscope.architectures.operators.decoding import expected_tokens
from recallscope.architectures.operators.trees import best_tree, tree_tokens


def test_a_row_is_ordinary_speculation():
    for draft in range(6):
        row = list(range(-1, draft - 1))
        assert tree_tokens(row, [0.7] * draft) == pytest.approx(expected_tokens(0.7, draft), rel=1e-14)


def test_tokens_by_draws():
    parents, chances = [-1, -1, 0, 0, 1, 2], [0.5, 0.3, 0.6, 0.2, 0.7, 0.9]
    random, draws, total = np.random.default_rng(0), 10_000, np.zeros(10_000)
    for i in range(draws):
        at, tokens = -1, 1
        while True:
            children = [n for n, parent in enumerate(parents) if parent == at]
            ends = np.cumsum([chances[n] for n in children])
            hit = np.searchsorted(ends, random.random(), side="right")
            if hit == len(children):
                break
            at, tokens = children[hit], tokens + 1
        total[i] = tokens
    assert abs(total.mean() - tree_tokens(parents, chances)) < 4 * total.std() / draws**0.5


@pytest.mark.parametrize("nodes", [0, 1, 2, 3, 4, 5])
def test_the_best_of_all_trees(nodes):
    ranks = [0.5, 0.3, 0.1]
    best = 1.0
    for parents in itertools.product(*(range(-1, i) for i in range(nodes))):
        taken: dict[int, int] = {}
        chances = []
        for parent in parents:
            taken[parent] = taken.get(parent, 0) + 1
            chances.append(ranks[taken[parent] - 1] if taken[parent] <= 3 else 0.0)
        best = max(best, tree_tokens(parents, chances))
    parents, chances = best_tree(ranks, nodes)
    assert len(parents) == nodes
    assert tree_tokens(parents, chances) == pytest.approx(best, rel=1e-14)


def test_a_prefix_is_the_best_smaller_tree():
    parents, chances = best_tree([0.6, 0.2, 0.1], 30)
    for nodes in (1, 7, 29):
        assert best_tree([0.6, 0.2, 0.1], nodes) == (parents[:nodes], chances[:nodes])


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: tree_tokens([0], [0.5]), "parents: for each acceptance an earlier node"),
        (lambda: tree_tokens([-1], [0.5, 0.5]), "parents: for each acceptance"),
        (lambda: tree_tokens([-1, -1], [0.6, 0.6]), "acceptances: at least 0, of siblings at most 1"),
        (lambda: best_tree([0.2, 0.5], 3), "ranks, nodes: falling chances"),
        (lambda: best_tree([0.8, 0.5], 3), "ranks, nodes: falling chances"),
        (lambda: best_tree([0.5], -1), "ranks, nodes"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
