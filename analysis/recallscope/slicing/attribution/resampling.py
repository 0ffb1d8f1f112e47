"""Paired document bootstrap: weights per document, sums that add over shards, percentile limits, simultaneous bands.

The pairing is in the sums: a document's losses under all models are drawn together, and the statistics are functions
of differences on the same tokens.

References
----------
.. [1] Chamandy et al., "Estimating uncertainty for massive data streams", 2012 (the Poisson bootstrap).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from recallscope.slicing.attribution._intervals import Floats, Interval, quantile_t, require_documents, standard_error

SCHEMES = ("multinomial", "poisson")
_CELLS = 4_000_000  # weights held at once: 32 MB as float64

# P(Poisson(1) <= k) for k = 0..19; the rest is below 1e-18
_POISSON_CDF = np.cumsum(np.exp(-1.0) / np.cumprod(np.concatenate([[1.0], np.arange(1.0, 20.0)])))


def bootstrap_sums(
    sums: Floats,
    draws: int = 2000,
    scheme: str = "multinomial",
    document_ids: Sequence[str] | None = None,
    seed: int = 0,
) -> Floats:
    """Resampled column sums.

    Parameters
    ----------
    sums : array, [K, C]
        Per-document sums, one column per quantity; all columns get the same weights (paired).
    draws : int
        Number of resamples B; 2000 or more for percentile limits.
    scheme : {"multinomial", "poisson"}
        "multinomial" draws K documents with replacement. "poisson" gives each document an independent Poisson(1)
        weight that depends on its id, the draw and the seed only: sums over shards of documents add up to the sums
        over all of them, in any order, and a rerun agrees [1]_.
    document_ids : sequence of str, [K]
        Needed for "poisson".

    Returns
    -------
    array, [B, C]
    """
    sums = np.asarray(sums, dtype=np.float64)
    if sums.ndim != 2:
        raise ValueError(f"sums must be [documents, columns], got shape {sums.shape}")
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}")
    if scheme not in SCHEMES:
        raise ValueError(f"scheme must be one of {SCHEMES}, got {scheme!r}")
    if scheme == "multinomial":
        blocks = _multinomial_blocks(sums.shape[0], draws, seed)
    else:
        blocks = _poisson_blocks(document_ids, sums.shape[0], draws, seed)
    return np.concatenate([weights @ sums for weights in blocks])


def _multinomial_blocks(documents: int, draws: int, seed: int) -> Iterator[Floats]:
    rng = np.random.default_rng(seed)
    chance = np.full(documents, 1.0 / documents)
    block = max(1, _CELLS // documents)
    for first in range(0, draws, block):
        yield rng.multinomial(documents, chance, size=min(block, draws - first)).astype(np.float64)


def _poisson_blocks(ids: Sequence[str] | None, documents: int, draws: int, seed: int) -> Iterator[Floats]:
    if ids is None or len(ids) != documents:
        raise ValueError(f"document_ids must name all {documents} documents for scheme='poisson', got {ids!r:.80}")
    hashes = np.array([_hash(name) for name in ids], dtype=np.uint64)
    block = max(1, _CELLS // max(documents, 1))
    for first in range(0, draws, block):
        yield poisson_weights(hashes, first, min(block, draws - first), seed).astype(np.float64)


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def poisson_weights(hashes: NDArray[np.uint64], first: int, draws: int, seed: int = 0) -> NDArray[np.int64]:
    """Poisson(1) weights [draws, K] for draws ``first .. first + draws - 1``, a pure function of its arguments."""
    index = np.arange(first, first + draws, dtype=np.uint64)[:, None]
    stream = _mix(index + np.uint64(seed % 2**32) * np.uint64(2**32))
    uniform = (_mix(hashes[None, :] ^ stream) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return np.searchsorted(_POISSON_CDF, uniform, side="right")


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Finaliser of splitmix64: a bijection of 64-bit words that leaves no visible pattern."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def percentile_interval(value: float, resampled: Floats, level: float = 0.95) -> Interval:
    """Percentile limits of resampled values [B]; no limits where a draw was not finite (a denominator of 0)."""
    if not np.isfinite(resampled).all():
        return Interval(value, None, None, "unbounded: a resample had a denominator of 0")
    low, high = np.quantile(resampled, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(value, float(low), float(high))


def bootstrap(
    numerators: Floats,
    denominators: Floats,
    level: float = 0.95,
    draws: int = 2000,
    scheme: str = "multinomial",
    document_ids: Sequence[str] | None = None,
    seed: int = 0,
) -> Interval:
    """Percentile interval of ``sum(U) / sum(D)`` over resampled documents; arguments as in `bootstrap_sums`."""
    u, d = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    require_documents(u.size)
    if d.sum() == 0.0:
        raise ValueError("the denominators sum to 0: the ratio is not defined")
    resampled = bootstrap_sums(np.stack([u, d], axis=1), draws, scheme, document_ids, seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = resampled[:, 0] / resampled[:, 1]
    return percentile_interval(float(u.sum() / d.sum()), ratios, level)


def simultaneous(sums: Floats, tokens: Floats, level: float = 0.95, draws: int = 2000, seed: int = 0) -> list[Interval]:
    """Bands for many means per token that all hold together with the given level (max |t|, one set of draws).

    Parameters
    ----------
    sums : array, [K, S]
        Per-document sums of each slice.
    tokens : array, [K]
        Tokens of each document; the means are ``sums.sum(0) / tokens.sum()``.

    Returns
    -------
    list of Interval, [S]
        ``c_s -+ q SE_s`` with one q for all slices, never below the pointwise Student quantile. A slice without
        spread (empty) gets a band of width 0.
    """
    means = sums.sum(axis=0) / tokens.sum()
    influence = (sums - means * tokens[:, None]) / tokens.sum()
    errors = np.array([standard_error(column) for column in influence.T])
    resampled = bootstrap_sums(np.column_stack([sums, tokens]), draws, seed=seed)
    deviations = np.abs(resampled[:, :-1] / resampled[:, -1:] - means)
    spread = errors > 0
    largest = (deviations[:, spread] / errors[spread]).max(axis=1, initial=0.0)
    factor = max(float(np.quantile(largest, level)), quantile_t(tokens.size, level))
    return [
        Interval(float(m), float(m - factor * e), float(m + factor * e)) for m, e in zip(means, errors, strict=True)
    ]
