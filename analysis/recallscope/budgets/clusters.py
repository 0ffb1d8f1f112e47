"""Clusters of text windows, and the importance weights that turn the generic text into a domain's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

BUCKETS = 4096
"""Columns that pairs of neighbouring tokens are hashed into."""


@dataclass(frozen=True)
class Space:
    """Where windows lie: tf-idf of tokens and of hashed pairs, projected on the first singular vectors.

    `idf` is `[columns]`, `axes` `[columns, dimensions]`, of columns = vocabulary + `BUCKETS`.
    """

    vocabulary: int
    idf: np.ndarray
    axes: np.ndarray

    def place(self, ids: np.ndarray) -> np.ndarray:
        """`[n, T]` token ids to `[n, dimensions]` vectors of length 1."""
        placed = _weighted(_counts(ids, self.vocabulary), self.idf) @ self.axes
        return placed / np.maximum(np.linalg.norm(placed, axis=1, keepdims=True), 1e-12)


def fit_space(ids: np.ndarray, vocabulary: int, dimensions: int = 32, seed: int = 0) -> Space:
    """The space of the windows `[n, T]`: idf = ln(n / windows with the column), axes by a truncated SVD."""
    from scipy.sparse.linalg import svds

    counts, columns = _counts(ids, vocabulary), vocabulary + BUCKETS
    least = min(len(ids), columns)
    if not 1 <= dimensions < least:
        raise ValueError(f"dimensions: 1 to {least - 1} with {len(ids)} windows, got {dimensions}")
    idf = np.log(len(ids) / np.maximum(np.bincount(counts.indices, minlength=columns), 1))
    start = np.random.default_rng(seed).standard_normal(least)
    found: Any = svds(_weighted(counts, idf), dimensions, v0=start)
    axes = found[2].T
    return Space(vocabulary, idf, np.ascontiguousarray(axes))


def _counts(ids: np.ndarray, vocabulary: int) -> sparse.csr_array:
    """How often each token, and each hashed pair of neighbours, occurs in each window."""
    ids = ids.astype(np.int64)
    pairs = ids[:, :-1] * 1_000_003 + ids[:, 1:] * 8_191
    columns = np.concatenate([ids, vocabulary + (pairs ^ (pairs >> 13)) % BUCKETS], 1)
    rows = np.repeat(np.arange(len(ids)), columns.shape[1])
    shape = (len(ids), vocabulary + BUCKETS)
    found = sparse.csr_array((np.ones(columns.size), (rows, columns.ravel())), shape)
    found.sum_duplicates()
    return found


def _weighted(counts: sparse.csr_array, idf: np.ndarray) -> sparse.csr_array:
    """(1 + ln tf) idf, rows of length 1."""
    values = (1 + np.log(counts.data)) * idf[counts.indices]
    weighted = sparse.csr_array((values, counts.indices, counts.indptr), counts.shape)
    norms = np.sqrt(np.asarray(weighted.multiply(weighted).sum(1)).ravel())
    return sparse.csr_array(sparse.diags_array(1 / np.maximum(norms, 1e-12)) @ weighted)


def nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Number of the nearest centre of each point, `[n, d]` and `[k, d]` to `[n]`."""
    return (points @ centres.T - (centres**2).sum(1) / 2).argmax(1)


def kmeans(points: np.ndarray, clusters: int, seed: int = 0, iterations: int = 50) -> np.ndarray:
    """Centres `[k, d]` by Lloyd's iteration from k-means++ (Arthur and Vassilvitskii 2007).

    A centre that loses all its points moves to the point that is farthest from its own centre, so each has points.
    """
    if not 1 <= clusters <= len(np.unique(points, axis=0)):
        raise ValueError(f"clusters: 1 to the number of different points, got {clusters} for {len(points)}")
    rng = np.random.default_rng(seed)
    centres = points[[rng.integers(len(points))]]
    gap = ((points - centres[0]) ** 2).sum(1)
    while len(centres) < clusters:
        centres = np.concatenate([centres, points[[rng.choice(len(points), p=gap / gap.sum())]]])
        gap = np.minimum(gap, ((points - centres[-1]) ** 2).sum(1))
    for _ in range(iterations):
        chosen = nearest(points, centres)
        moved = np.stack([points[chosen == k].mean(0) if (chosen == k).any() else centres[k] for k in range(clusters)])
        gap = ((points - moved[chosen]) ** 2).sum(1)
        for k in np.setdiff1d(np.arange(clusters), chosen):
            moved[k], gap[gap.argmax()] = points[gap.argmax()], 0
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def histogram(chosen: np.ndarray, clusters: int) -> np.ndarray:
    """Share of the windows in each cluster."""
    if not len(chosen):
        raise ValueError("chosen: the cluster of at least one window, got none")
    return np.bincount(chosen, minlength=clusters) / len(chosen)


def importance_weights(specialised: np.ndarray, generic: np.ndarray) -> np.ndarray:
    """w(c) = P(c | specialised) / P(c | generic) of each cluster, from the two histograms (arXiv 2402.01093, 3.2).

    Windows of a cluster count as equal in both texts, so the generic windows, resampled by the weight of their
    cluster, have the histogram of the domain. Their mean over generic windows is 1. Raises `ValueError` if a cluster
    has specialised windows but no generic ones: no weight makes them.
    """
    if ((generic == 0) & (specialised > 0)).any():
        raise ValueError("specialised: only clusters that generic windows are in, got some that have none")
    return np.divide(specialised, generic, out=np.zeros_like(generic, float), where=generic > 0)


def effective_share(weights: np.ndarray, generic: np.ndarray) -> float:
    """Effective sample size over sample size, (Σ w)² / (n Σ w²), of generic windows with their clusters' weights."""
    return float((generic @ weights) ** 2 / (generic @ weights**2))


def entropy(shares: np.ndarray) -> float:
    """Of a histogram, in nats."""
    own = shares[shares > 0]
    return float(-(own * np.log(own)).sum())
