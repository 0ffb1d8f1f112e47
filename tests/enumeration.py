"""Tasks small enough to list all their examples: drawn ones against the list, and the entropy of the answers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from math import log2

import numpy as np
from scipy.stats import chisquare


def fits(drawn: Iterable[tuple[int, ...]], probabilities: Mapping[tuple[int, ...], float]) -> float:
    """p-value of Pearson's test; outcomes that are expected fewer than five times count as one."""
    counts = Counter(drawn)
    assert set(counts) <= set(probabilities), "an outcome that cannot be"
    total = sum(counts.values())
    table = np.array([(counts[outcome], total * p) for outcome, p in probabilities.items()])
    rare = table[:, 1] < 5
    table = np.concatenate([table[~rare], table[rare].sum(0, keepdims=True)]) if rare.any() else table
    table = table[table[:, 1] > 0]
    if len(table) == 1:
        return 1.0
    return float(chisquare(table[:, 0], table[:, 1] * total / table[:, 1].sum()).pvalue)


def conditional_entropy(
    probabilities: Mapping[tuple[int, ...], float],
    split: Callable[[tuple[int, ...]], tuple[Hashable, Hashable]],
) -> float:
    """Bits of the answers given the questions, `split` telling both from an example."""
    joint: dict[Hashable, dict[Hashable, float]] = defaultdict(lambda: defaultdict(float))
    for example, p in probabilities.items():
        questions, answers = split(example)
        joint[questions][answers] += p
    return sum(-p * log2(p / sum(row.values())) for row in joint.values() for p in row.values() if p > 0)
