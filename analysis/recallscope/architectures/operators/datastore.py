"""Memory outside the model: stored outputs that a query looks up, as in kNN prompting and kNN-LM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recallscope.architectures.operators._choice import need_whole
from recallscope.architectures.specification import Specification

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Datastore:
    """What n stored outputs take and cost.

    Attributes
    ----------
    entries : int
        n.
    width : int
        Numbers of one entry, m: the vocabulary for whole distributions, fewer for the largest of each, D for keys.
    bits : float
        Of a number.
    value_bits : float
        Of what an entry is looked up for: a label, or the id of the next token.
    index_bits : float
        Of the position of each number, where an entry holds the largest m only.
    """

    entries: int
    width: int
    bits: float = 32.0
    value_bits: float = 32.0
    index_bits: float = 0.0

    def __post_init__(self) -> None:
        need_whole("entries", self.entries)
        need_whole("width", self.width)

    def elements(self) -> int:
        """Numbers kept outside the context: n m, which is the state that the store adds."""
        return self.entries * self.width

    def bytes(self) -> float:
        """With labels and positions."""
        return self.entries * (self.width * (self.bits + self.index_bits) + self.value_bits) / 8

    def search_flops(self) -> int:
        """An exact search: one product with every entry, 2 n m; logarithms and norms of entries are stored."""
        return 2 * self.elements()

    def query_flops(self, specification: Specification, t: int) -> float:
        """A forward pass over the t tokens of the query, and the search."""
        return specification.prefill_flops(t) + self.search_flops()

    def build_flops(self, specification: Specification, t: int) -> float:
        """A forward pass over t tokens for every entry, as in kNN prompting."""
        return self.entries * specification.prefill_flops(t)


def divergences(query: Array, store: Array) -> Array:
    """KL(query ‖ entry) in nats, `[m]` and `[n, m]` to `[n]`: `Σ p ln p − p · ln q`, one product with the store.

    Entries must be positive wherever the query is, or the divergence is infinite. Reconstruction: the direction.
    """
    if query.ndim != 1 or store.ndim != 2 or store.shape[1] != len(query):
        raise ValueError(f"query, store: [m] and [n, m], got {query.shape} and {store.shape}")
    seen = query > 0
    p = query[seen]
    with np.errstate(divide="ignore"):
        return p @ np.log(p) - np.log(store[:, seen]) @ p


def nearest_labels(distances: Array, labels: NDArray[np.integer], neighbours: int, classes: int) -> Array:
    """Distribution over labels: the share of each among the k nearest entries (Xu et al. 2023, kNN prompting)."""
    if not 1 <= neighbours <= len(distances) or len(labels) != len(distances):
        raise ValueError(f"neighbours: between 1 and {len(distances)} entries with labels, got {neighbours}")
    nearest = np.argsort(distances, kind="stable")[:neighbours]
    return np.bincount(labels[nearest], minlength=classes) / neighbours


def interpolate(model: Array, distances: Array, tokens: NDArray[np.integer], share: float, neighbours: int) -> Array:
    """`λ p_kNN + (1 − λ) p_LM`, p_kNN(y) ∝ Σ e^{−d} over the k nearest entries with next token y.

    Khandelwal et al. 2020 (kNN-LM).

    Parameters
    ----------
    model : array `[V]`
        p_LM.
    distances, tokens : array `[n]`
        Distance of every entry to the query, and its next token.
    share, neighbours : float, int
        λ and k.
    """
    if not 0 <= share <= 1 or not 1 <= neighbours <= len(distances):
        raise ValueError(f"share, neighbours: in [0, 1] and [1, {len(distances)}], got {share} and {neighbours}")
    nearest = np.argsort(distances, kind="stable")[:neighbours]
    weights = np.exp(distances[nearest].min() - distances[nearest])
    found = np.bincount(tokens[nearest], weights, minlength=len(model)) / weights.sum()
    return share * found + (1 - share) * model
