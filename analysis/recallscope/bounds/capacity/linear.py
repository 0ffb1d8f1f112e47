"""Closed forms of what the linear rules return for a stored key: signal, energy and shares of the other pairs."""

from __future__ import annotations

import numpy as np

from recallscope.bounds.capacity.codes import gamma_nodes, normal_nodes
from recallscope.bounds.capacity.memory import Memory
from recallscope.bounds.capacity.readout import Readout

STRATA, SIGNAL_NODES, LEVERAGE_NODES = 12, 5, 8  # 20, 7 and 14 change no accuracy by more than 3e-4


def additive_readout(memory: Memory, pairs: int) -> Readout:
    """h = 1 and a_i = k_i·q, of variance 1/K: E = (n - 1)/K. Exact in mean and variance."""
    others, width = pairs - 1, memory.key_width
    one = np.ones(1)
    return _independent(memory, one, one, one * others / width, one[:, None] * others, one[:, None] / others)


def decayed_readout(memory: Memory, pairs: int) -> Readout:
    """At age s (pairs stored since), h = decay^s and a_i = decay^{s_i} k_i·q: E = (Σ_i decay^{2 s_i} - decay^{2 s})/K.

    Ages are put into at most 13 strata; sums over a stratum are exact, and one age in its middle stands for it.
    """
    rate, width = memory.decay, memory.key_width
    edges = _edges(pairs, rate)
    size, age = np.diff(edges), (edges[1:] + edges[:-1] - 1) / 2
    log = 2 * np.log(rate)
    stored = np.exp(log * edges[:-1]) * np.expm1(log * size) / np.expm1(log) / width  # [strata]: sums of decay^{2s}/K
    own = rate ** (2 * age) / width
    itself = np.eye(len(age))
    count = size[:, None] - itself
    energy = np.maximum(stored[:, None] - itself * own, 0)
    total = np.maximum(energy.sum(0), np.finfo(float).tiny)
    share = np.divide(energy / total, count, out=np.zeros_like(energy), where=count > 0)
    return _independent(memory, size / pairs, rate**age, total, count, share)


def delta_readout(memory: Memory, pairs: int) -> Readout:
    """Reading walks back from the last write: q ← q - k_t (k_t·q), starting from the key asked for; a_t = k_t·q.

    After s later writes let h = k·q and p = |q|². Each (k_t·q)² takes its part of p, so the later pairs have the energy
    1 - p, the pair itself h, and the earlier ones (p - h²)(1 - ρ^{n-1-s}), ρ = 1 - 1/K. h is taken as normal with the
    moments of `walk_moments`, p as its linear regression on h; ages are in strata.
    """
    width = memory.key_width
    rate = 1 - 1 / width
    edges = _edges(pairs, rate)
    size, age = np.diff(edges), (edges[1:] + edges[:-1] - 1) / 2
    mean, spread, shared = walk_moments(width, age)
    slope = np.divide(shared, spread, out=np.zeros_like(age), where=spread > 1e-12)

    # Other pairs with the same value, one in V, move the signal as well: one set of nodes does for both.
    moved = spread + np.maximum(1 - spread - mean**2, 0) / memory.vocabulary
    z, weight = normal_nodes(SIGNAL_NODES)
    h = np.clip(mean[:, None] + np.sqrt(spread)[:, None] * z, -1, 1)
    p = np.clip(mean[:, None] + slope[:, None] * (h - mean[:, None]), h**2, 1)
    signal = mean[:, None] + np.sqrt(moved)[:, None] * z

    left = (p - h**2)[:, :, None]  # [strata asked, nodes, 1]
    lost = (1 - rate**size) * np.ones((len(age), 1, 1))  # [strata asked, 1, strata]: share that a stratum takes
    newer, older = np.tri(len(age), k=-1)[:, None], np.tri(len(age), k=-1).T[:, None]
    after = rate ** np.maximum(edges[:-1] - age[:, None] - 1, 0)[:, None]  # of an older one, by then
    later = np.maximum(1 - mean, np.finfo(float).tiny)[:, None, None]
    energy = lost * (newer * rate ** edges[:-1] * (1 - p)[:, :, None] / later + older * after * left)
    count = (size - np.eye(len(age)))[:, None] * np.ones_like(energy)
    energy += np.eye(len(age))[:, None] * count * (mean[:, None, None] + left) / 2 / width  # half newer, half older
    total = np.maximum(energy.sum(2), np.finfo(float).tiny)
    share = np.divide(energy / total[:, :, None], count, out=np.zeros_like(energy), where=count > 0)
    cases = (size / pairs)[:, None] * weight
    count, share = (one.reshape(-1, len(age)).T for one in (count, share))
    rest = total.ravel() * (1 - 1 / memory.vocabulary)
    return Readout(cases.ravel(), signal.ravel(), rest, count, share, 1.0)


def walk_moments(key_width: int, age: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """E h (= E p), var h and cov(h, p) after s later writes of the delta rule, exact; shapes as `age`.

    With k_t uniform on the sphere, its coordinates α along k and γ along q have E γ² = 1/K, E α²γ² between 1/(K(K+2))
    for orthogonal and 3/(K(K+2)) for equal directions. Step by step, E h and E p shrink by ρ = 1 - 1/K, E h p by
    e = 1 - 2/K + 3/(K(K+2)), and E h² ← c E h² + E p / (K(K+2)) with c = 1 - 2/K + 2/(K(K+2)).
    """
    step = 1 / (key_width * (key_width + 2))
    rate, own, both = 1 - 1 / key_width, 1 - 2 / key_width + 2 * step, 1 - 2 / key_width + 3 * step
    mean = rate**age
    squares = own**age + (mean - own**age) / (rate - own) * step
    return mean, np.maximum(squares - mean**2, 0), both**age - mean**2


def least_squares_readout(memory: Memory, pairs: int) -> Readout:
    """n > K: the hat matrix of the keys projects. With h its diagonal entry, a_i its others, E = h (1 - h), exactly.

    h = 1 / (1 + χ²_{n-K} / K), as 1/(k·G⁻¹k) of a Wishart matrix G is χ² (Gaussian keys; those of unit norm are near),
    scaled so that its mean is K/n, which is exact (the trace is K).
    """
    others, width = pairs - 1, memory.key_width
    chi, weight = gamma_nodes(np.array(2 / (pairs - width)), LEVERAGE_NODES)
    h = 1 / (1 + chi * (pairs - width) / width)
    h = np.minimum(h * (width / pairs) / (weight @ h), 1)
    even = np.ones((1, len(h)))
    return _with_repeats(memory, weight, h, h * (1 - h), even * others, even / others, 1.0, nodes=3)


def _independent(
    memory: Memory, weight: np.ndarray, signal: np.ndarray, energy: np.ndarray, count: np.ndarray, share: np.ndarray
) -> Readout:
    """Independent coefficients: a_i is a product of unit vectors in K dimensions, of kurtosis 3K/(K + 2)."""
    kurtosis = 3 * memory.key_width / (memory.key_width + 2)
    return _with_repeats(memory, weight, signal, energy, count, share, kurtosis, SIGNAL_NODES)


def _with_repeats(
    memory: Memory,
    weight: np.ndarray,
    signal: np.ndarray,
    energy: np.ndarray,
    count: np.ndarray,
    share: np.ndarray,
    kurtosis: float,
    nodes: int,
) -> Readout:
    """Other pairs with the value asked for, one in V: they move the signal, and are no interference."""
    z, node_weight = normal_nodes(nodes)
    moved = signal[:, None] + np.sqrt(energy / memory.vocabulary)[:, None] * z
    rest = np.repeat(energy * (1 - 1 / memory.vocabulary), nodes)
    weights = (weight[:, None] * node_weight).ravel()
    return Readout(weights, moved.ravel(), rest, count.repeat(nodes, 1), share.repeat(nodes, 1), kurtosis)


def _edges(pairs: int, rate: float) -> np.ndarray:
    """Whole edges of strata of ages 0 .. n - 1: even up to the age where 99.9 % is lost, then the rest as one."""
    reach = min(pairs, max(round(-np.log(1000) / np.log(rate)), 1))
    inner = np.unique(np.linspace(0, reach, STRATA + 1).round())
    return inner if reach == pairs else np.append(inner, pairs)
