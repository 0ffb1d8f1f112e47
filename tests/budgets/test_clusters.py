"""Clusters and importance weights against scipy and against sampling itself."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recallscope.budgets import effective_share, importance_weights
from recallscope.budgets.clusters import BUCKETS, entropy, fit_space, histogram, kmeans, nearest

RNG = np.random.default_rng(0)
COUNTS = st.lists(st.integers(0, 50), min_size=1, max_size=12)


@given(COUNTS, st.randoms(use_true_random=False))
def test_weights_have_mean_1_and_resampling_by_them_gives_the_domain(generic, random):
    generic = np.array(generic) + 1
    special = np.array([random.randint(0, 5) for _ in generic])
    special[0] += 1
    p, q = special / special.sum(), generic / generic.sum()
    weights = importance_weights(p, q)
    windows = np.repeat(weights, generic)  # the weight of every generic window
    assert windows.mean() == pytest.approx(1, abs=1e-12)
    resampled = np.bincount(np.repeat(np.arange(len(p)), generic), windows / windows.sum(), len(p))
    np.testing.assert_allclose(resampled, p, atol=1e-12)
    assert effective_share(weights, q) == pytest.approx(windows.sum() ** 2 / (windows**2).sum() / len(windows))


def test_equal_texts_weigh_1_and_a_domain_in_one_cluster_has_its_share():
    q = np.array([0.5, 0.3, 0.2])
    np.testing.assert_allclose(importance_weights(q, q), 1)
    assert effective_share(importance_weights(q, q), q) == pytest.approx(1)
    assert effective_share(importance_weights(np.array([0, 0, 1.0]), q), q) == pytest.approx(0.2)
    with pytest.raises(ValueError, match="only clusters that generic windows are in"):
        importance_weights(np.array([0.5, 0.5]), np.array([1.0, 0.0]))


def test_entropy_in_nats():
    assert entropy(np.array([0.25, 0.25, 0.5, 0])) == pytest.approx(1.5 * math.log(2))
    assert entropy(histogram(np.array([2, 2]), 4)) == 0
    with pytest.raises(ValueError, match="at least one window"):
        histogram(np.array([], int), 3)


def test_kmeans_finds_separate_groups_and_stops_at_their_means():
    middles = np.array([[0, 0], [9, 0], [0, 9], [9, 9]])
    points = np.concatenate([middle + RNG.normal(0, 0.3, (25, 2)) for middle in middles])
    centres = kmeans(points, 4, seed=1)
    chosen = nearest(points, centres)
    assert sorted(len(set(chosen[25 * k : 25 * k + 25])) for k in range(4)) == [1] * 4 and len(set(chosen)) == 4
    np.testing.assert_allclose(centres[chosen[::25]], [points[25 * k : 25 * k + 25].mean(0) for k in range(4)])
    distances = ((points[:, None] - centres) ** 2).sum(2)
    assert (chosen == distances.argmin(1)).all()


def test_every_cluster_keeps_points_even_among_few():
    points = np.repeat(np.arange(5.0), 4)[:, None]
    assert len(set(nearest(points, kmeans(points, 5)))) == 5
    with pytest.raises(ValueError, match="clusters: 1 to the number of different points, got 6 for 20"):
        kmeans(points, 6)


def test_the_space_is_tf_idf_and_its_singular_vectors():
    """Written out densely: columns of tokens, then of hashed pairs; the Gram matrix does not depend on signs."""
    ids, vocabulary = RNG.integers(0, 7, (12, 9)), 7
    counts = np.zeros((12, vocabulary + BUCKETS))
    for row, window in enumerate(ids.tolist()):
        for a in window:
            counts[row, a] += 1
        for a, b in pairwise(window):
            pair = a * 1_000_003 + b * 8_191
            counts[row, vocabulary + (pair ^ (pair >> 13)) % BUCKETS] += 1
    idf = np.log(12 / np.maximum((counts > 0).sum(0), 1))
    dense = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) * idf
    dense /= np.linalg.norm(dense, axis=1, keepdims=True)
    u, s, _ = np.linalg.svd(dense, full_matrices=False)
    placed = (u * s)[:, :5]
    placed /= np.linalg.norm(placed, axis=1, keepdims=True)
    space = fit_space(ids.astype(np.uint16), vocabulary, 5)
    np.testing.assert_allclose(space.place(ids) @ space.place(ids).T, placed @ placed.T, atol=1e-9)
    with pytest.raises(ValueError, match="dimensions: 1 to 11 with 12 windows, got 12"):
        fit_space(ids, vocabulary, 12)
