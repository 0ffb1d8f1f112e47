"""Monte Carlo of the memory rules: draw pairs, store them by the rule, ask, decode."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recallscope.bounds._checks import whole
from recallscope.bounds.capacity.codes import unit_vectors
from recallscope.bounds.capacity.memory import Memory
from recallscope.bounds.capacity.stores import KEPT, kept_values, linear_readout

QUESTIONS = 32
BATCH_ELEMENTS = 1 << 22
"""Numbers held at once, about: 16 MB of codes, keys or scores."""


@dataclass(frozen=True)
class Estimate:
    """Mean `accuracy` over `trials` independent memories, and its `standard_error` from the spread of their means."""

    accuracy: float
    standard_error: float
    trials: int


def simulated_accuracy(memory: Memory, pairs: int, trials: int = 200, seed: int = 0) -> Estimate:
    """Accuracy of the rule itself in the model of `Memory`, by simulation.

    Every trial draws its own keys, values and codes, stores all n pairs and asks for min(n, 32) of them, evenly spaced
    from a random start, so that each of the n is as likely to be asked. Float32; least squares and delta solve in
    float64. The same arguments give the same numbers. Raises `ValueError` for fewer than 1 pair or 2 trials.
    """
    whole("pairs", pairs, 1)
    whole("trials", trials, 2)
    random = np.random.default_rng([whole("seed", seed, 0), pairs])
    keys, codes = pairs * memory.key_width, memory.vocabulary * (memory.value_width + QUESTIONS)
    batch = max(BATCH_ELEMENTS // max(keys, codes, pairs * QUESTIONS, memory.key_width * memory.value_width), 1)
    means = [_trial_means(random, memory, pairs, min(batch, trials - at)) for at in range(0, trials, batch)]
    accuracies = np.concatenate(means)
    return Estimate(float(accuracies.mean()), float(accuracies.std(ddof=1) / trials**0.5), trials)


def _trial_means(random: np.random.Generator, memory: Memory, pairs: int, trials: int) -> np.ndarray:
    """`[trials]` accuracy of each trial."""
    values = random.integers(memory.vocabulary, size=(trials, pairs))
    questions = min(pairs, QUESTIONS)
    start = random.random((trials, 1))
    asked = ((np.arange(questions) + start) * pairs / questions).astype(np.int64).clip(max=pairs - 1)
    answers = np.take_along_axis(values, asked, 1)
    if memory.rule in KEPT:
        return (kept_values(random, memory, values, asked) == answers).mean(1)
    keys = unit_vectors(random, trials, pairs, memory.key_width)
    codes = unit_vectors(random, trials, memory.vocabulary, memory.value_width)
    stored = np.take_along_axis(codes, values[:, :, None], 1)
    read = linear_readout(memory, keys, stored, np.take_along_axis(keys, asked[:, :, None], 1))
    return ((read @ codes.mT).argmax(2) == answers).mean(1)
