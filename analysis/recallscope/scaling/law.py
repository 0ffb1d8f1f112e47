"""A loss law: an entropy and one power term per size, L = E + A/N^α + B/D^β (+ C/S^σ)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

COEFFICIENTS = ("A", "B", "C")
EXPONENTS = ("alpha", "beta", "sigma")


def constant_names(terms: Sequence[str]) -> tuple[str, ...]:
    """Names of the constants of a law in the order of every row of constants: E, A, alpha, B, beta, C, sigma.

    `terms` are one to three sizes. Raises `ValueError` for another number, or for a size that is named twice.
    """
    if not 1 <= len(terms) <= len(COEFFICIENTS) or len(set(terms)) != len(terms):
        raise ValueError(f"terms: one to {len(COEFFICIENTS)} different sizes, got {', '.join(terms) or 'none'}")
    pairs = zip(COEFFICIENTS[: len(terms)], EXPONENTS[: len(terms)], strict=True)
    return ("E", *(name for pair in pairs for name in pair))


@dataclass(frozen=True)
class LossLaw:
    """L(sizes) = E + Σ_k coefficients[k] / size_k^exponents[k], in nats per token (Hoffmann et al. 2022, Eq. 2).

    `terms` name the sizes: N parameters and D training tokens in the published form; a third may be S, the state in
    elements. `entropy` is E, `source` says where the constants are from.
    """

    entropy: float
    coefficients: tuple[float, ...]
    exponents: tuple[float, ...]
    terms: tuple[str, ...] = ("N", "D")
    source: str = ""

    def __post_init__(self) -> None:
        constant_names(self.terms)
        if not len(self.terms) == len(self.coefficients) == len(self.exponents):
            raise ValueError(
                f"coefficients, exponents: one for each of {', '.join(self.terms)}, "
                f"got {len(self.coefficients)} and {len(self.exponents)}"
            )

    def loss(self, *sizes: ArrayLike | Fraction, **named: ArrayLike | Fraction) -> Floats:
        """Predicted loss in nats per token; sizes in the order of `terms` or by name, of shapes that broadcast.

        Raises `ValueError` for sizes that are missing, unknown, or not above 0.
        """
        if len(sizes) > len(self.terms):
            raise ValueError(f"sizes: {', '.join(self.terms)}, got {len(sizes)} of them")
        columns = sizes_of(self.terms, dict(zip(self.terms, sizes, strict=False)) | named)
        total = np.asarray(self.entropy, float)
        for size, coefficient, exponent in zip(columns, self.coefficients, self.exponents, strict=True):
            total = total + coefficient * size**-exponent
        return total

    def row(self) -> Floats:
        """Constants `[1 + 2K]` in the order of `constant_names`."""
        pairs = zip(self.coefficients, self.exponents, strict=True)
        return np.array([self.entropy, *(value for pair in pairs for value in pair)])

    def constants(self) -> dict[str, float]:
        """Constants by name."""
        return dict(zip(constant_names(self.terms), map(float, self.row()), strict=True))


def law_of_row(row: ArrayLike, terms: Sequence[str] = ("N", "D"), source: str = "") -> LossLaw:
    """The law of one row of constants, E, A, alpha, B, beta, ..."""
    values = [float(value) for value in np.asarray(row, float)]
    return LossLaw(values[0], tuple(values[1::2]), tuple(values[2::2]), tuple(terms), source)


def sizes_of(terms: Sequence[str], sizes: Mapping[str, Any]) -> list[Floats]:
    """Columns of the named sizes as float64, in the order of `terms`; all finite and above 0."""
    if set(sizes) != set(terms):
        raise ValueError(f"sizes: {', '.join(terms)}, got {', '.join(sizes) or 'none'}")
    columns = []
    for name in terms:
        column = np.asarray(sizes[name], float)
        if not np.all(np.isfinite(column) & (column > 0)):
            bad = column[~(np.isfinite(column) & (column > 0))].flat[0]
            raise ValueError(f"{name}: sizes are finite and above 0, got {bad:g}")
        columns.append(column)
    return columns
