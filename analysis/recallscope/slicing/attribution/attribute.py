"""Attribute the loss gap between models to slices of the tokens.

With losses l^A and l^B in nats on the same N tokens and d = l^B - l^A, the gap is G = sum d / N = ln PPL_B - ln PPL_A,
a slice s contributes c_s = (N_s / N) delta_s, and its share is c_s / G. Contributions of a partition sum to G; shares
are signed and may exceed 100 %. A share is reported only where the gap itself is significant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from recallscope.slicing.attribution.atoms import Source, as_atoms, metadata_of
from recallscope.slicing.attribution.panel import chosen_models, panel
from recallscope.slicing.attribution.shares import (
    SEED_NOTE,
    Gap,
    Settings,
    count_notes,
    gap_of,
    notes_of,
    segment_notes,
    slice_rows,
    unit_of,
)
from recallscope.slicing.attribution.slices import partition

SLICE_SCHEMA = pa.schema(
    [("model", pa.string()), ("slice", pa.string()), ("tokens", pa.int64())]
    + [
        (name, pa.float64())
        for name in (
            "token_share",
            "loss_reference",
            "loss_model",
            "difference",
            "contribution",
            "contribution_low",
            "contribution_high",
            "share",
            "share_low",
            "share_high",
        )
    ]
)


@dataclass(frozen=True)
class Attribution:
    """Result of `attribute`.

    ``table`` has one row per model and slice (columns of `SLICE_SCHEMA`; losses, difference and contribution in nats,
    shares as fractions, null where refused or undefined); ``gaps`` one entry per model; ``notes`` say why a share is
    missing and what the intervals leave out; ``unit`` is what a row is, a token, or a segment of text where the models
    have different tokenizers.
    """

    by: str | tuple[str, ...]
    reference: str
    level: float
    method: str
    table: pa.Table
    gaps: tuple[Gap, ...]
    notes: tuple[str, ...]
    unit: str = "token"

    @property
    def gap(self) -> Gap:
        """The only gap; ValueError when there are several models."""
        if len(self.gaps) != 1:
            raise ValueError(
                f"gap needs exactly one model, this attribution has {[g.model for g in self.gaps]}; use gaps"
            )
        return self.gaps[0]


def attribute(
    records_or_atoms: Source,
    by: str | Sequence[str] = "recall",
    model: str | None = None,
    reference: str | None = None,
    level: float = 0.95,
    method: str = "fieller",
    *,
    intervals: bool = True,
    simultaneous: bool = False,
    threshold_count: int | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> Attribution:
    """Attribute the gap between models to the slices of a partition.

    Parameters
    ----------
    records_or_atoms : pyarrow.Table, path, or iterable of pyarrow.RecordBatch
        Token records (reduced first) or atoms.
    by : str or sequence of str
        The partition, see `recallscope.slicing.slices.partition`.
    model, reference : str, optional
        Default: every other model against the first.
    level : float
        Confidence level of all intervals.
    method : {"fieller", "jackknife", "bootstrap"}
        Interval of the shares. The gap and the contributions always have Fieller's, over tokens.
    intervals : bool
        False gives point values only, also for a single document.
    simultaneous : bool
        Bands of the contributions hold for all slices together (max |t| over bootstrap draws).
    threshold_count : int, optional
        Passed on when records are reduced.
    draws, seed : int
        Of the bootstrap.

    Raises
    ------
    ValueError
        A single document with ``intervals=True``; unknown names.
    """
    table = as_atoms(records_or_atoms, threshold_count)
    settings = Settings(level, method, intervals, simultaneous, draws, seed)
    models, reference = chosen_models(metadata_of(table.schema)["models"], model, reference)
    part = partition(table, by)
    rows: list[dict[str, Any]] = []
    gaps, notes = [], []
    for name in models:
        sums = panel(table, part, name, reference)
        gap = gap_of(sums, name, reference, settings)
        rows += [{"model": name, **row} for row in slice_rows(sums, gap, settings)]
        gaps.append(gap)
        notes += notes_of(sums, gap, settings)
    notes += segment_notes(table) + count_notes(table) + ([SEED_NOTE] if intervals else [])
    by_name = by if isinstance(by, str) else tuple(by)
    slices = pa.Table.from_pylist(rows, schema=SLICE_SCHEMA)
    return Attribution(
        by_name, reference, level, method, slices, tuple(gaps), tuple(dict.fromkeys(notes)), unit_of(table)
    )
