"""An interval, its Student quantile, and the clustered standard error: what all interval methods share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit  # scipy.stats takes a second to import, on every worker

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A point value with its confidence limits; ``low`` and ``high`` are None where no bounded interval exists."""

    value: float
    low: float | None
    high: float | None
    note: str = ""

    @property
    def bounded(self) -> bool:
        """Whether both limits exist."""
        return self.low is not None and self.high is not None


def quantile_t(documents: int, level: float) -> float:
    """Two-sided Student quantile with ``documents - 1`` degrees of freedom."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie strictly between 0 and 1, got {level!r}")
    require_documents(documents)
    return float(stdtrit(documents - 1, 0.5 + level / 2))


def require_documents(documents: int) -> None:
    """Refuse to estimate a spread from fewer than two documents."""
    if documents < 2:
        noun = "one document" if documents == 1 else f"{documents} documents"
        raise ValueError(
            f"{noun}: no interval possible; give at least 2 documents, or ask for point values (intervals=False)"
        )


def from_influence(value: float, influence: Floats, level: float = 0.95) -> Interval:
    """Interval ``value -+ t_{K-1} SE`` with SE^2 = K/(K-1) sum g_k^2, for influences g_k [K] that sum to 0."""
    half = quantile_t(influence.size, level) * standard_error(influence)
    return Interval(value, value - half, value + half)


def standard_error(influence: Floats) -> float:
    """Clustered standard error from the documents' influences, [K]."""
    documents = influence.shape[0]
    return float(np.sqrt(documents / (documents - 1) * (influence @ influence)))
