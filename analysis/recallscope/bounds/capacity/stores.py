"""The rules themselves: what is stored, and what a question reads. No closed form in here."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import ndtri

from recallscope.bounds.capacity.caches import EXACT_BITS, cell_means
from recallscope.bounds.capacity.codes import unit_vectors
from recallscope.bounds.capacity.memory import Memory

KEPT = ("slots", "window", "n-gram table")
"""Rules that keep value ids as they are: nothing to decode."""


def linear_readout(memory: Memory, keys: np.ndarray, stored: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Read-outs `[T, Q, W]` of T trials, from keys `[T, n, K]`, their codes `[T, n, W]`, queries `[T, Q, K]`."""
    match memory.rule:
        case "additive":
            return queries @ (keys.mT @ stored)
        case "decayed":
            ages = np.arange(keys.shape[1])[::-1, None]
            return queries @ ((keys * np.float32(memory.decay) ** ages).mT @ stored)
        case "delta":
            return queries @ (keys.mT @ _delta_updates(keys, stored))
        case "least squares":
            return queries @ _least_squares_state(keys.astype(np.float64), stored).astype(np.float32)
    kept, codes = (_quantised(one, memory.bits) for one in (keys, stored))
    return np.take_along_axis(codes, (queries @ kept.mT).argmax(2)[:, :, None], 1)


def _delta_updates(keys: np.ndarray, stored: np.ndarray) -> np.ndarray:
    """u_t with S = Σ k_t u_tᵀ: u_t = c_t - Σ_{s<t} (k_t·k_s) u_s, a triangular system instead of a loop over pairs."""
    updates = np.empty_like(stored)
    for one, (key, code) in enumerate(zip(keys.astype(np.float64), stored, strict=True)):
        updates[one] = solve_triangular(key @ key.T, code, lower=True, unit_diagonal=True, check_finite=False)
    return updates


def _least_squares_state(keys: np.ndarray, stored: np.ndarray) -> np.ndarray:
    """`[T, K, W]` of least squares, of least norm where keys are fewer than K."""
    if keys.shape[1] <= keys.shape[2]:
        return keys.mT @ np.linalg.solve(keys @ keys.mT, stored.astype(np.float64))
    return np.linalg.solve(keys.mT @ keys, keys.mT @ stored.astype(np.float64))


def _quantised(vectors: np.ndarray, bits: int) -> np.ndarray:
    """Coordinates, of variance 1/d, in cells of equal probability under the normal law, each read as its mean."""
    if bits >= EXACT_BITS:
        return vectors
    edges = ndtri(np.arange(1, 1 << bits) / (1 << bits)).astype(np.float32)
    scale = np.float32(vectors.shape[-1] ** 0.5)
    return cell_means(bits).astype(np.float32)[np.searchsorted(edges, vectors * scale)]


def kept_values(random: np.random.Generator, memory: Memory, values: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Value ids `[T, Q]` that are read for the pairs `asked [T, Q]`, when pairs with `values [T, n]` were stored."""
    trials, pairs = values.shape
    if memory.rule == "window":
        writer = np.broadcast_to(np.arange(max(pairs - memory.places, 0), pairs), (trials, min(pairs, memory.places)))
        place = None
    else:
        place = random.integers(memory.places, size=(trials, pairs))
        writer = np.full((trials, memory.places), -1)
        np.maximum.at(writer, (np.arange(trials)[:, None], place), np.arange(pairs))  # the last one stays
    if memory.rule == "n-gram table":
        assert place is not None
        read = np.take_along_axis(writer, np.take_along_axis(place, asked, 1), 1)
    else:
        keys = unit_vectors(random, trials, pairs, memory.key_width)
        queries = np.take_along_axis(keys, asked[:, :, None], 1)
        scores = queries @ np.take_along_axis(keys, np.maximum(writer, 0)[:, :, None], 1).mT  # [T, Q, places]
        nearest = np.where(writer[:, None] < 0, -np.inf, scores).argmax(2)
        read = np.take_along_axis(writer, nearest, 1)
    return np.take_along_axis(values, read, 1)
