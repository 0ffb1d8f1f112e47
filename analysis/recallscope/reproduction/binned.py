"""Losses by log2 bins of the training count or of the distance, from atoms of token records, as rows of evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recallscope.slicing.attribution.panel import panel
from recallscope.slicing.attribution.slices import Partition, column
from recallscope.slicing.attribution.statistics import mean_interval

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

Row = dict[str, Any]


def binned_losses(atoms: pa.Table, models: list[str], inside: NDArray[np.bool_], by: str) -> list[Row]:
    """Mean loss of every model, and its difference to the first, in each bin of `count` or `distance` of some atoms.

    `inside` says which atoms [rows]; those of unknown count are left out. Intervals (95 %) resample documents.
    """
    bins, rows = column(atoms, f"{by}_bin"), []
    for number in sorted(set(bins[inside].tolist()) - {-1}):
        part = Partition(("inside", "outside"), 1 - (inside & (bins == number)).astype(np.int64))
        for model in models:
            sums = panel(atoms, part, model, models[0])
            for metric, total in (("loss", sums.model), ("difference in loss", sums.differences)):
                if metric == "loss" or model != models[0]:
                    rows.append(mean_row(model, metric, total[:, 0], sums.tokens[:, 0]) | edges(by, number))
    return rows


def mean_row(subject: str, metric: str, sums: np.ndarray, tokens: np.ndarray) -> Row:
    """A mean per token from sums per document, in nats; no interval where fewer than two documents have such tokens."""
    known = int((tokens > 0).sum()) > 1
    found = mean_interval(sums, tokens) if known else None
    value = found.value if found else float(sums.sum() / tokens.sum())
    low, high = (found.low, found.high) if found else (None, None)
    return {"subject": subject, "metric": metric, "unit": "nats", "value": value, "low": low, "high": high,
            "n": int(tokens.sum())}  # fmt: skip


def edges(name: str, number: int) -> dict[str, int]:
    """Smallest and largest value of a log2 bin."""
    return {f"{name}_low": 1 << (number - 1) if number else 0, f"{name}_high": (1 << number) - 1 if number else 0}


def recall_panels(atoms: pa.Table, half_window: int) -> dict[str, tuple[NDArray[np.bool_], str]]:
    """The three panels of JRT, Figure 3 (arXiv 2407.05483, Appendix B.4): which atoms, and what they are binned by.

    AR hits at least half a window apart by training count; rare AR hits by distance; all that is no rare AR hit by
    training count. `atoms` are those of the last half of each window; `half_window` is a power of two.
    """
    if half_window < 1 or half_window & (half_window - 1):
        raise ValueError(f"half_window: a power of two, got {half_window}")
    bins, rare = column(atoms, "distance_bin"), column(atoms, "rare") == 1
    far, hit = bins >= half_window.bit_length(), (bins > 0) & rare
    return {"recall by frequency": (far, "count"), "recall by distance": (hit, "distance"), "other": (~hit, "count")}
