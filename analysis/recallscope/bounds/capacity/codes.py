"""Random unit vectors: samples, the law of their inner products, and quadrature over such laws."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.special import betainc, betainccinv, gammainccinv, gammaincinv, ndtr


def unit_vectors(random: np.random.Generator, *shape: int) -> np.ndarray:
    """Uniform on the unit sphere of the last axis, float32."""
    vectors = random.standard_normal(shape, dtype=np.float32)
    vectors /= np.sqrt(np.einsum("...d,...d->...", vectors, vectors))[..., None]
    return vectors


def product_cdf(x: np.ndarray, width: np.ndarray | float) -> np.ndarray:
    """P(c·u ≤ x) for c uniform on the unit sphere of R^d and any unit vector u; arguments broadcast.

    The density is proportional to (1 - x²)^((d - 3) / 2), so (c·u)² ~ Beta(1/2, (d - 1)/2). Here d may be any number
    above 1: the law with variance 1/d.
    """
    x = np.clip(x, -1, 1)
    return (1 + np.sign(x) * betainc(0.5, (np.asarray(width) - 1) / 2, x * x)) / 2


@cache
def normal_nodes(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Hermite nodes `[count]` and weights `[count]` for the standard normal distribution."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    return nodes, weights / weights.sum()


@cache
def product_nodes(width: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for c·u of `product_cdf`: normal nodes, mapped quantile by quantile (right for every d)."""
    z, weights = normal_nodes(count)
    return np.sign(z) * np.sqrt(betainccinv(0.5, (width - 1) / 2, 2 * ndtr(-np.abs(z)))), weights


def gamma_nodes(variance: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes `[..., count]` and weights `[count]` for gamma laws of mean 1 and the given `variance [...]`, above 0."""
    z, weights = normal_nodes(count)
    shape = 1 / np.asarray(variance)[..., None]
    below, above = gammaincinv(shape, ndtr(np.minimum(z, 0))), gammainccinv(shape, ndtr(-np.maximum(z, 0)))
    return np.where(z < 0, below, above) / shape, weights
