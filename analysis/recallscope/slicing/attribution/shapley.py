"""Split the gap over overlapping slices, each token's difference equally over the slices that hold it.

For the game v(T) = sum of d over the union of the slices in T, each token is a union game of the m_i slices that
contain it, so the Shapley value has a closed form: phi_j = sum over i in j of d_i / m_i. With groups of slices (Owen's
value) d_i is split equally over the groups that contain i, then within each group over its members that contain i. This
is bookkeeping, not causation: a token can be hard for two reasons.

References
----------
.. [1] Shapley, "A value for n-person games", 1953.
.. [2] Owen, "Values of games with a priori unions", 1977.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from recallscope.slicing.attribution._intervals import Floats
from recallscope.slicing.attribution.atoms import Source
from recallscope.slicing.attribution.controls import over_models
from recallscope.slicing.attribution.panel import Panel, panel
from recallscope.slicing.attribution.shares import (
    Settings,
    contribution_fields,
    contribution_intervals,
    gap_of,
    share_fields,
    share_interval,
)
from recallscope.slicing.attribution.slices import Partition, compact, flag

DEFAULT_FLAGS = ("repeat", "rare", "distance >= 64")
NONE = "none of these"
MOST_FLAGS = 16  # combinations are numbered by bits

_SCHEMA = pa.schema(
    [("slice", pa.string())]
    + [
        (name, pa.float64())
        for name in (
            "contribution",
            "contribution_low",
            "contribution_high",
            "share",
            "share_low",
            "share_high",
            "inclusive",
        )
    ]
)


def shapley_weights(members: ArrayLike, groups: Sequence[int] | None = None) -> Floats:
    """Fraction of a token's difference that each slice receives.

    Parameters
    ----------
    members : array_like of bool, [n, m]
        Whether token (or atom) i lies in slice j.
    groups : sequence of int, [m], optional
        Group number of each slice (Owen's value); default: every slice by itself (Shapley's).

    Returns
    -------
    array, [n, m]
        Rows sum to 1, or to 0 where a token is in no slice.
    """
    inside = np.asarray(members, dtype=bool)
    if inside.ndim != 2:
        raise ValueError(f"members must be [tokens, slices], got shape {inside.shape}")
    labels = np.arange(inside.shape[1]) if groups is None else np.asarray(groups)
    if labels.shape != (inside.shape[1],):
        raise ValueError(f"groups must name one group for each of the {inside.shape[1]} slices, got {groups!r}")
    _, group = np.unique(labels, return_inverse=True)
    onehot = np.eye(group.max(initial=-1) + 1)[group]  # [m, g]
    in_group = inside @ onehot  # slices of each group that hold the token, [n, g]
    active = np.count_nonzero(in_group, axis=1)
    shared = in_group[:, group] * active[:, None]
    return np.divide(inside, shared, out=np.zeros(inside.shape), where=inside)


def shapley(
    source: Source,
    flags: Sequence[str] = DEFAULT_FLAGS,
    model: str | None = None,
    reference: str | None = None,
    level: float = 0.95,
    method: str = "fieller",
    *,
    groups: Sequence[int] | None = None,
    intervals: bool = True,
) -> pa.Table:
    """Shapley (or Owen) contributions of overlapping flags, with the same intervals as exclusive slices.

    Parameters
    ----------
    source, model, reference, level, method, intervals
        As in `attribute`.
    flags : sequence of str
        Conditions, see `recallscope.slicing.slices.flag`.
    groups : sequence of int, optional
        Group of each flag, for Owen's value.

    Returns
    -------
    pyarrow.Table
        model, slice, contribution (nats per token) with limits, share with limits (null where refused), and
        "inclusive", the flag's own c_j, which may sum to more than the gap. A last row "none of these" completes it.
    """
    settings = Settings(level, method, intervals)

    def rows(atoms: pa.Table, name: str, ref: str, s: Settings) -> list[dict[str, Any]]:
        return shapley_rows(atoms, name, ref, s, flags, groups)

    return over_models(source, model, reference, settings, rows, _SCHEMA)


def shapley_rows(
    atoms: pa.Table,
    model: str,
    reference: str,
    settings: Settings,
    flags: Sequence[str] = DEFAULT_FLAGS,
    groups: Sequence[int] | None = None,
) -> list[dict[str, Any]]:
    """Rows of `shapley` for one model."""
    if not flags or len(set(flags)) != len(flags) or len(flags) > MOST_FLAGS:
        raise ValueError(f"flags must be distinct, at least one and at most {MOST_FLAGS}, got {list(flags)}")
    patterns, sums = _pattern_panel(atoms, flags, model, reference)
    weights = shapley_weights(patterns, groups)
    nothing = ~patterns.any(axis=1)
    parts = sums.differences @ np.column_stack([weights, nothing])  # [K, m + 1]
    inclusive = sums.differences.sum(axis=0) @ np.column_stack([patterns, nothing]) / sums.tokens.sum()
    gap = gap_of(sums, model, reference, settings)
    contributions = contribution_intervals(parts, sums, settings)
    return [
        {
            "slice": name,
            **contribution_fields(contributions[j]),
            **share_fields(share_interval(parts[:, j], sums, gap, settings)),
            "inclusive": float(inclusive[j]),
        }
        for j, name in enumerate((*flags, NONE))
    ]


def _pattern_panel(
    atoms: pa.Table, flags: Sequence[str], model: str, reference: str
) -> tuple[NDArray[np.bool_], Panel]:
    """Sums per combination of flags that occurs; membership [patterns, m] and the panel."""
    members = np.stack([flag(atoms, name) for name in flags], axis=1).astype(np.int64)
    bits = 1 << np.arange(len(flags))
    present, index = compact(members @ bits)
    part = Partition(tuple(str(k) for k in range(len(present))), index)
    return (present[:, None] & bits) > 0, panel(atoms, part, model, reference)
