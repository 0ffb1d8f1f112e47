"""Starts of a fit: the published grid, or a draw from it where it is too large."""

from __future__ import annotations

from itertools import product

import numpy as np

from recallscope.scaling.law import Floats

EXPONENT_STARTS = (0.0, 0.5, 1.0, 1.5, 2.0)
LOG_ENTROPY_STARTS = (-1.0, -0.5, 0.0, 0.5, 1.0)
LOG_COEFFICIENT_STARTS = (0.0, 5.0, 10.0, 15.0, 20.0, 25.0)
PUBLISHED_STARTS = 4500


def grid_of_starts(terms: int, limit: int = PUBLISHED_STARTS, seed: int = 0) -> Floats:
    """Starts `[S, 1 + 2K]` of the unknowns (e, a_1 … a_K, α_1 … α_K), at most `limit`.

    The grid of Hoffmann et al. 2022, Appendix D.2 (α, β in 0, 0.5, … 2; e in -1, -0.5, … 1; a, b in 0, 5, … 25): all
    4,500 points for two terms. A grid beyond `limit`, as the 135,000 points of three terms, is sampled without
    replacement with `seed`.
    """
    axes = [LOG_ENTROPY_STARTS, *[LOG_COEFFICIENT_STARTS] * terms, *[EXPONENT_STARTS] * terms]
    grid = np.array(list(product(*axes)))
    if len(grid) <= limit:
        return grid
    return grid[np.sort(np.random.default_rng(seed).choice(len(grid), limit, replace=False))]
