"""What is trained to compare the methods: shapes, budgets, rates; and the text it is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recallscope.architectures.config import ModelConfig
from recallscope.budgets.clusters import Space, fit_space, kmeans, nearest
from recallscope.budgets.text import Domain, Windows, domains, generic
from recallscope.bundled import bundled_tokenizer


def _model(width: int, layers: int, hidden: int) -> ModelConfig:
    return ModelConfig(4096, width, ({"mixer": "attention", "heads": width // 24},) * layers, hidden, context=256)


SMALL, LARGE = _model(48, 2, 256), _model(96, 3, 384)


@dataclass(frozen=True)
class Protocol:
    """A comparison of all methods on equal text, for two cores.

    Attributes
    ----------
    small, large : ModelConfig
        The models that a method may end in; of one vocabulary and context.
    batch : int
        Windows in a step.
    generic_steps : tuple of int
        Steps of generic training after which every method is specialised: one run, its rate constant after warm-up.
    sizes : tuple of (int, int)
        Tokens of the specialisation set and passes over it; the rate falls to zero over them.
    seeds : tuple of int
        Of weights, order of the text, and the specialisation sets.
    experts, resampling : int
        Clusters of the hard mixture, and of importance sampling.
    projected : tuple of int
        Clusters k, capacity h and parameters m of an expert of the projected network.
    rank : int
        Of the low-rank changes.
    pool : int
        Windows of generic text.
    rates : mapping
        Of pre-training (`small`, `large`), of fine-tuning them (`tune_small`, `tune_large`), without pre-training
        (`scratch`) and of low-rank changes.
    """

    small: ModelConfig = SMALL
    large: ModelConfig = LARGE
    batch: int = 4
    generic_steps: tuple[int, ...] = (40, 160)
    sizes: tuple[tuple[int, int], ...] = ((2048, 4), (6144, 2), (18_432, 1))
    seeds: tuple[int, ...] = (0, 1, 2)
    experts: int = 4
    resampling: int = 16
    projected: tuple[int, int, int] = (8, 4, 8)
    rank: int = 8
    pool: int = 16_384
    rates: tuple[tuple[str, float], ...] = (
        ("small", 4e-3), ("large", 2e-3), ("tune_small", 4e-3), ("tune_large", 2e-3), ("scratch", 5e-3), ("rank", 1e-2)
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.small.context != self.large.context or self.small.vocabulary != self.large.vocabulary:
            raise ValueError("small, large: models of the same context and vocabulary")
        step = self.batch * self.small.context
        for tokens, times in self.sizes:
            if tokens % step or times < 1:
                raise ValueError(
                    f"sizes: multiples of a step's {step} tokens, at least one pass, got {tokens}, {times}"
                )

    def rate(self, name: str) -> float:
        return dict(self.rates)[name]


@dataclass(frozen=True)
class World:
    """The text of a comparison: generic windows, their places in `space`, and the domains."""

    pool: Windows
    test: Windows
    domains: tuple[Domain, ...]
    space: Space
    places: np.ndarray

    def clusters(self, count: int) -> Clusters:
        centres = kmeans(self.places, count)
        return Clusters(self.space, centres, nearest(self.places, centres))


@dataclass(frozen=True)
class Clusters:
    """k-means clusters of the generic windows: `centres` `[k, d]`, and the cluster `of_pool` of each window."""

    space: Space
    centres: np.ndarray
    of_pool: np.ndarray

    def of(self, ids: np.ndarray) -> np.ndarray:
        """The cluster of each window `[n, T]`."""
        return nearest(self.space.place(ids), self.centres)

    def most_frequent(self, ids: np.ndarray) -> int:
        """The cluster that most windows of a specialisation set are in: whose expert is fine-tuned."""
        return int(np.bincount(self.of(ids), minlength=len(self.centres)).argmax())


def load_world(protocol: Protocol, own: Mapping[str, str]) -> World:
    """The generic text of this installation, and `own` domains (name to source), or those of `PACKAGES`.

    Raises `ValueError` for a domain without text or with less than the largest specialisation set.
    """
    tokenizer, context = bundled_tokenizer(), protocol.small.context
    found = domains(own, tokenizer, context)
    largest = max(tokens for tokens, _ in protocol.sizes)
    for domain in found:
        domain.specialisation(largest, 0)
    pool, test = generic(tokenizer, context, protocol.pool)
    space = fit_space(pool.ids, tokenizer.vocabulary)
    return World(pool, test, tuple(found), space, space.place(pool.ids))
