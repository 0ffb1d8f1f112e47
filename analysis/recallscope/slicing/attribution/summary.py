"""The report: every partition, curve and control of every model against the reference, as one JSON-ready dictionary."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from importlib import metadata as packages
from typing import Any

import numpy as np
import pyarrow as pa

from recallscope.slicing.attribution.atoms import Source, as_atoms, metadata_of
from recallscope.slicing.attribution.controls import curve_rows, interaction_of
from recallscope.slicing.attribution.panel import chosen_models, clusters, panel
from recallscope.slicing.attribution.shapley import DEFAULT_FLAGS, shapley_rows
from recallscope.slicing.attribution.shares import (
    SEED_NOTE,
    Settings,
    count_notes,
    gap_of,
    notes_of,
    segment_notes,
    slice_rows,
)
from recallscope.slicing.attribution.slices import PARTITIONS, partition

REPORT_FORMAT = "recallscope-report-1"
_COPIED = ("text", "tokenizer", "window", "stride", "bos", "ngram", "threshold", "training_tokens", "training_source",
           "unit", "bytes", "tokenizers", "unfaithful_documents", "window_tokens")  # fmt: skip


def report(
    records_or_atoms: Source,
    reference: str | None = None,
    level: float = 0.95,
    method: str = "fieller",
    *,
    intervals: bool | None = None,
    threshold_count: int | None = None,
    flags: Sequence[str] = DEFAULT_FLAGS,
) -> dict[str, Any]:
    """Everything about every model against the reference, ready for JSON: no NaN, missing values are None.

    ``intervals`` None means: if there are at least two documents; with one the report holds point values and says so.
    The other arguments are as in `attribute` and `shapley`. The keys are format, reference, models, settings,
    totals (nats per token), comparisons (gap, partitions, curve, interaction, shapley, notes of each model) and notes.
    """
    table = as_atoms(records_or_atoms, threshold_count)
    metadata = metadata_of(table.schema)
    models, reference = chosen_models(metadata["models"], None, reference)
    documents = len(clusters(table)[0])
    settings = Settings(level, method, documents > 1 if intervals is None else intervals)
    why = SEED_NOTE if settings.intervals else "No intervals: " + ("one document." if documents == 1 else "as asked.")
    return {
        "format": REPORT_FORMAT,
        "reference": reference,
        "models": [reference, *models],
        "settings": _settings(metadata, settings),
        "totals": _totals(table, [reference, *models], documents),
        "comparisons": [_comparison(table, name, reference, settings, flags) for name in models],
        "notes": [*segment_notes(table), *count_notes(table), why],
    }


def _settings(metadata: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """What the numbers depend on, for the reader and for a rerun."""
    versions = {name: _version(name) for name in ("recallscope", "numpy", "scipy", "pyarrow")}
    return {
        **{name: metadata.get(name) for name in _COPIED},
        "scored": metadata.get("scored", "all"),
        "level": settings.level,
        "method": settings.method,
        "versions": {"python": platform.python_version(), **versions},
    }


def _version(name: str) -> str | None:
    try:
        return packages.version(name)
    except packages.PackageNotFoundError:
        return None


def _totals(table: pa.Table, models: list[str], documents: int) -> dict[str, Any]:
    tokens = int(table.column("tokens").to_numpy().sum())
    losses = {name: float(np.sum(table.column(f"loss_{name}").to_numpy()) / tokens) for name in models}
    size = metadata_of(table.schema).get("bytes")
    bits = (
        {"bits_per_byte": {name: loss * tokens / (size * math.log(2)) for name, loss in losses.items()}} if size else {}
    )
    return {"tokens": tokens, "documents": documents, "losses": losses, **bits}


def _comparison(
    table: pa.Table, model: str, reference: str, settings: Settings, flags: Sequence[str]
) -> dict[str, Any]:
    """One model against the reference."""
    panels = {by: panel(table, partition(table, by), model, reference) for by in PARTITIONS}
    whole = panels["recall"]
    gap = gap_of(whole, model, reference, settings)
    return {
        "model": model,
        "reference": reference,
        "gap": {"value": gap.value, "low": gap.low, "high": gap.high, "significant": gap.significant},
        "partitions": {by: slice_rows(sums, gap, settings) for by, sums in panels.items()},
        "curve": curve_rows(table, model, reference, settings),
        "interaction": interaction_of(table, model, reference, settings),
        "shapley": shapley_rows(table, model, reference, settings, flags),
        "notes": notes_of(whole, gap, settings),
    }
