"""Runs made from known constants, and the published objective once more, plainly."""

from __future__ import annotations

import numpy as np
from recallscope.scaling import LossLaw, law_of_row
from scipy.special import huber, logsumexp

DELTA = 1e-3
THREE = law_of_row([1.5, 30.0, 0.3, 200.0, 0.35, 3.0, 0.4], ("N", "D", "S"))
ONE = law_of_row([2.0, 50.0, 0.25], ("S",))


def scattered(law: LossLaw, count: int, spread: float, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Sizes even in their logs (1e7 to 1e10, for S 1e2 to 1e5), losses with normal log errors of `spread`."""
    generator = np.random.default_rng(seed)
    ranges = {"N": (7, 10), "D": (8, 11), "S": (2, 5)}
    sizes = {name: 10 ** generator.uniform(*ranges[name], count) for name in law.terms}
    return sizes, law.loss(**sizes) * np.exp(spread * generator.standard_normal(count))


def plain(theta, sizes, losses, weights=None):
    """Hoffmann et al. 2022, Appendix D.2, one candidate, unscaled sizes."""
    count = len(sizes)
    terms = [np.full(len(losses), theta[0])]
    terms += [theta[1 + k] - theta[1 + count + k] * np.log(sizes[k]) for k in range(count)]
    left = logsumexp(terms, axis=0) - np.log(losses)
    return float(huber(DELTA, left) @ (np.ones(len(losses)) if weights is None else weights))
