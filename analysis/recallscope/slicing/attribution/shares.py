"""From a panel to rows: contributions, shares, their intervals, and when a share is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from recallscope.slicing.attribution._intervals import Floats, Interval
from recallscope.slicing.attribution._records import metadata_of
from recallscope.slicing.attribution.panel import Panel
from recallscope.slicing.attribution.resampling import bootstrap, simultaneous
from recallscope.slicing.attribution.statistics import fieller, jackknife, mean_interval, significant

METHODS = ("fieller", "jackknife", "bootstrap")
FEW_DOCUMENTS = 20
SEED_NOTE = "Intervals are over documents, for these checkpoints; the spread over training seeds is not in them."


@dataclass(frozen=True)
class Gap:
    """Loss of the model minus loss of the reference, nats per token, with its interval over documents.

    ``significant`` says whether the sum per document differs from 0 at the level, which is when the interval excludes 0
    (see `recallscope.slicing.statistics.mean_interval` for the exception); None when no interval was asked for.
    """

    model: str
    reference: str
    value: float
    low: float | None
    high: float | None
    significant: bool | None


@dataclass(frozen=True)
class Settings:
    """How intervals are made; the same for all tables of one report."""

    level: float = 0.95
    method: str = "fieller"
    intervals: bool = True
    simultaneous: bool = False
    draws: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {METHODS}, got {self.method!r}")
        if not 0 < self.level < 1:
            raise ValueError(f"level must lie strictly between 0 and 1, got {self.level!r}")
        if self.draws < 1:
            raise ValueError(f"draws must be at least 1, got {self.draws!r}")


def gap_of(panel: Panel, model: str, reference: str, settings: Settings) -> Gap:
    """The gap over all tokens and whether it is significant."""
    d, n = panel.document_differences, panel.document_tokens
    if not settings.intervals:
        return Gap(model, reference, float(d.sum() / n.sum()), None, None, None)
    interval = mean_interval(d, n, settings.level)
    return Gap(model, reference, interval.value, interval.low, interval.high, significant(d, settings.level))


def share_interval(sums: Floats, panel: Panel, gap: Gap, settings: Settings) -> Interval | None:
    """Share of the gap carried by per-document sums U [K], or None where a share would mean nothing."""
    d = panel.document_differences
    if gap.significant is False or d.sum() == 0.0:
        return None
    if not settings.intervals:
        return Interval(float(sums.sum() / d.sum()), None, None)
    if settings.method == "fieller":
        return fieller(sums, d, settings.level)
    if settings.method == "jackknife":
        return jackknife(sums, d, settings.level)
    return bootstrap(sums, d, settings.level, settings.draws, seed=settings.seed)


def contribution_intervals(sums: Floats, panel: Panel, settings: Settings) -> list[Interval]:
    """Contributions in nats per token of columns of per-document sums, [K, S]."""
    n = panel.document_tokens
    if not settings.intervals:
        return [Interval(float(c), None, None) for c in sums.sum(axis=0) / n.sum()]
    if settings.simultaneous:
        return simultaneous(sums, n, settings.level, settings.draws, settings.seed)
    return [mean_interval(column, n, settings.level) for column in sums.T]


def slice_rows(panel: Panel, gap: Gap, settings: Settings) -> list[dict[str, Any]]:
    """One row per slice, in the order of the partition; None where a value does not exist."""
    tokens, total = panel.tokens.sum(axis=0), panel.tokens.sum()
    reference, model = panel.reference.sum(axis=0), panel.model.sum(axis=0)
    contributions = contribution_intervals(panel.differences, panel, settings)
    rows = []
    for s, name in enumerate(panel.names):
        mean = _mean_over(tokens[s])
        rows.append(
            {
                "slice": name,
                "tokens": int(tokens[s]),
                "token_share": float(tokens[s] / total),
                "loss_reference": mean(reference[s]),
                "loss_model": mean(model[s]),
                "difference": mean(model[s] - reference[s]),
                **contribution_fields(contributions[s]),
                **share_fields(share_interval(panel.differences[:, s], panel, gap, settings)),
            }
        )
    return rows


def _mean_over(tokens: float) -> Callable[[float], float | None]:
    return lambda total: float(total / tokens) if tokens else None


def contribution_fields(interval: Interval) -> dict[str, float | None]:
    """The three columns of a contribution."""
    return {
        "contribution": interval.value,
        "contribution_low": interval.low,
        "contribution_high": interval.high,
    }


def share_fields(interval: Interval | None) -> dict[str, float | None]:
    """The three columns of a share; all None when it is refused."""
    if interval is None:
        return {"share": None, "share_low": None, "share_high": None}
    return {"share": interval.value, "share_low": interval.low, "share_high": interval.high}


def notes_of(panel: Panel, gap: Gap, settings: Settings) -> list[str]:
    """What a reader of this comparison must know."""
    notes, documents = [], panel.tokens.shape[0]
    if gap.value == 0.0:
        notes.append(f"{gap.model}: the gap to {gap.reference} is exactly 0; shares are not defined.")
    elif gap.significant is False:
        assert gap.low is not None and gap.high is not None
        why = "is not significant" if gap.low <= 0 <= gap.high else "is summed over too few documents of unequal length"
        notes.append(
            f"{gap.model}: the gap to {gap.reference} ({gap.value:+.4f} nats, {settings.level:.0%} interval "
            f"{gap.low:+.4f} to {gap.high:+.4f}) {why}; shares are refused."
        )
    if gap.significant is None and gap.value != 0.0:
        notes.append(
            f"{gap.model}: without intervals it is not known whether the gap, and so any share, is significant."
        )
    if documents < FEW_DOCUMENTS and settings.intervals:
        notes.append(
            f"{documents} documents: below {FEW_DOCUMENTS} an interval over documents is rough; "
            "use more documents, or cut long ones into blocks longer than the window and give each its own id."
        )
    return notes


def unit_of(table: pa.Table) -> str:
    """What a row is: `token`, or `segment` where the models have different tokenizers."""
    return metadata_of(table.schema).get("unit") or "token"


def segment_notes(table: pa.Table) -> list[str]:
    """What rows are when the tokenizers differ."""
    metadata = metadata_of(table.schema)
    if unit_of(table) == "token":
        return []
    rows = float(table.column("tokens").to_numpy().sum())
    said = (
        f"The tokenizers differ: a row is a segment of text between places where tokens of all models end, "
        f"{metadata['bytes'] / rows:.2f} bytes on average. Repeats, distances and training counts are those of words, "
        "numbers and signs. Losses are sums over tokens, not over all ways to spell a segment."
    )
    left_out = metadata.get("unfaithful_documents")
    more = [f"{left_out} documents do not come back from a tokenizer's ids and are left out."] if left_out else []
    return [said, *more]


def count_notes(table: pa.Table) -> list[str]:
    """What the training counts allow."""
    known = table.column("count_bin").to_numpy() >= 0
    if not known.any():
        return ["Training counts are unknown: slices are 'repeat' and 'new', rarity is not told apart from recall."]
    if not (table.column("rare").to_numpy() >= 0).any():
        return ["No threshold for rarity: name training_tokens or give threshold_count; slices are 'repeat' and 'new'."]
    return []


def influence_of_mean(sums: Floats, tokens: Floats) -> Floats:
    """Influence of each document on ``sum(sums) / sum(tokens)``, [K]; the linearisation of a mean per token."""
    return (sums - tokens * (sums.sum() / tokens.sum())) / np.sum(tokens)
