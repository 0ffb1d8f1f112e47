"""Controls beside the headline: the threshold curve, the rarity-recall interaction, and equal positions.

An associative-recall slice is confounded with rarity (its tokens are rare as well as repeated), with position (repeats
come late in a window) and with the choice of the threshold. Each function here answers one of these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from recallscope.slicing.attribution._intervals import Floats, from_influence
from recallscope.slicing.attribution.atoms import Source, as_atoms, metadata_of
from recallscope.slicing.attribution.panel import Panel, chosen_models, panel
from recallscope.slicing.attribution.shares import Settings, gap_of, influence_of_mean, share_fields, share_interval
from recallscope.slicing.attribution.slices import RECALL, Partition, by_position, by_recall, column, partition

Row = dict[str, Any]
Rows = Callable[[pa.Table, str, str, Settings], list[Row]]


def over_models(
    source: Source, model: str | None, reference: str | None, settings: Settings, rows: Rows, schema: pa.Schema
) -> pa.Table:
    """Table of ``rows(atoms, model, reference, settings)`` for each model, with a leading model column."""
    table = as_atoms(source)
    models, reference = chosen_models(metadata_of(table.schema)["models"], model, reference)
    found = [{"model": name, **row} for name in models for row in rows(table, name, reference, settings)]
    return pa.Table.from_pylist(found, schema=pa.schema([("model", pa.string()), *schema]))


def _floats(*names: str) -> list[tuple[str, pa.DataType]]:
    return [(name, pa.float64()) for name in names]


_CURVE = pa.schema(
    [
        ("count", pa.int64()),
        *_floats("per_million", "token_share", "difference", "contribution", "share", "share_low", "share_high"),
    ]
)


def curve(
    source: Source,
    model: str | None = None,
    reference: str | None = None,
    level: float = 0.95,
    method: str = "fieller",
    *,
    intervals: bool = True,
) -> pa.Table:
    """AR slice over its threshold: repeats whose n-gram occurs at most `count` times in the training text.

    One row per model and threshold 0, 1, 3, 7, ... (the borders of the log2 bins) and the headline threshold. Columns:
    model, count, per_million (null without known training tokens), token_share, difference, contribution (nats), share,
    share_low, share_high (null where refused). Tokens without a known count are in no AR slice. The intervals are
    pointwise: do not pick the threshold from this curve and then quote its interval.
    """
    settings = Settings(level, method, intervals)
    return over_models(source, model, reference, settings, curve_rows, _CURVE)


def curve_rows(atoms: pa.Table, model: str, reference: str, settings: Settings) -> list[Row]:
    """Rows of `curve` for one model."""
    metadata = metadata_of(atoms.schema)
    bins, repeat = column(atoms, "count_bin"), column(atoms, "distance_bin") > 0
    top = int(bins.max())
    if top < 0:
        return []
    hits = np.where(repeat & (bins >= 0), bins, top + 1)
    sums = panel(atoms, Partition(tuple(map(str, range(top + 2))), hits), model, reference)
    points = {
        (1 << b) - 1: (sums.tokens[:, : b + 1].sum(1), sums.differences[:, : b + 1].sum(1)) for b in range(top + 1)
    }
    headline = (metadata.get("threshold") or {}).get("count")
    if headline is not None and 0 <= headline < 1 << top and headline not in points:
        rare = panel(
            atoms,
            Partition(("hit", "rest"), 1 - (repeat & (column(atoms, "rare") == 1)).astype(np.int64)),
            model,
            reference,
        )
        points[headline] = (rare.tokens[:, 0], rare.differences[:, 0])
    return [
        _curve_row(count, *points[count], sums, model, reference, settings, metadata.get("training_tokens"))
        for count in sorted(points)
    ]


def _curve_row(
    count: int, n: Floats, u: Floats, sums: Panel, model: str, reference: str, settings: Settings, training: int | None
) -> Row:
    gap, total = gap_of(sums, model, reference, settings), sums.tokens.sum()
    return {
        "count": count,
        "per_million": count * 1e6 / training if training else None,
        "token_share": float(n.sum() / total),
        "difference": float(u.sum() / n.sum()) if n.sum() else None,
        "contribution": float(u.sum() / total),
        **share_fields(share_interval(u, sums, gap, settings)),
    }


_INTERVAL = pa.schema(_floats("value", "low", "high"))


def interaction(
    source: Source,
    model: str | None = None,
    reference: str | None = None,
    level: float = 0.95,
    *,
    intervals: bool = True,
) -> pa.Table:
    """Is rarity worse for repeats than for new n-grams? Difference in differences, nats per token, a row per model.

    ``(delta_repeat,rare - delta_new,rare) - (delta_repeat,frequent - delta_new,frequent)``: 0 if the model loses on AR
    hits only what rarity and repetition cost it separately. Null where one of the four slices is empty.
    """
    settings = Settings(level, "fieller", intervals)
    return over_models(source, model, reference, settings, lambda *a: [interaction_of(*a)], _INTERVAL)


def interaction_of(atoms: pa.Table, model: str, reference: str, settings: Settings) -> Row:
    """The row of `interaction` for one model."""
    sums = panel(atoms, by_recall(atoms), model, reference)
    signs = {"AR hit": 1.0, "new, rare": -1.0, "repeat, frequent": -1.0, "new, frequent": 1.0}
    if any(name not in sums.names or not sums.tokens[:, sums.names.index(name)].sum() for name in RECALL):
        return {"value": None, "low": None, "high": None}
    columns = [(sign, sums.names.index(name)) for name, sign in signs.items()]
    return _contrast(columns, sums, settings)


def _contrast(columns: list[tuple[float, int]], sums: Panel, settings: Settings) -> Row:
    """Weighted sum of the slices' mean differences, with a linearised interval over documents."""
    terms = [(w, sums.differences[:, s], sums.tokens[:, s]) for w, s in columns]
    value = float(sum(w * u.sum() / n.sum() for w, u, n in terms))
    if not settings.intervals:
        return {"value": value, "low": None, "high": None}
    influence = np.sum([w * influence_of_mean(u, n) for w, u, n in terms], axis=0)
    interval = from_influence(value, influence, settings.level)
    return {"value": interval.value, "low": interval.low, "high": interval.high}


_STANDARDISED = pa.schema([("slice", pa.string()), *_floats("difference", "standardised", "low", "high")])


def position_standardised(
    source: Source,
    by: str = "recall",
    model: str | None = None,
    reference: str | None = None,
    level: float = 0.95,
    *,
    intervals: bool = True,
) -> pa.Table:
    """Mean difference of each slice at equal positions: sum over quarters b of pi_b delta_{s,b}, nats per token.

    pi_b is the share of all tokens in quarter b of the window, taken as fixed in the interval. Null for a slice that
    has no tokens in some quarter that others fill: it cannot be compared at equal positions. Columns: model, slice,
    difference (plain), standardised, low, high.
    """
    settings = Settings(level, "fieller", intervals)

    def rows(atoms: pa.Table, name: str, ref: str, s: Settings) -> list[Row]:
        return _standardised_rows(atoms, by, name, ref, s)

    return over_models(source, model, reference, settings, rows, _STANDARDISED)


def _standardised_rows(atoms: pa.Table, by: str, model: str, reference: str, settings: Settings) -> list[Row]:
    part, position = partition(atoms, by), by_position(atoms)
    quarters = len(position.names)
    crossed = Partition(
        tuple(f"{s} | {q}" for s in part.names for q in position.names), part.index * quarters + position.index
    )
    sums = panel(atoms, crossed, model, reference)
    tokens = sums.tokens.sum(axis=0).reshape(-1, quarters)
    weights = tokens.sum(axis=0) / tokens.sum()
    rows = []
    for s, name in enumerate(part.names):
        row: Row = {"value": None, "low": None, "high": None}
        if (tokens[s][weights > 0] > 0).all():
            row = _contrast([(w, s * quarters + b) for b, w in enumerate(weights) if w > 0], sums, settings)
        here = slice(s * quarters, (s + 1) * quarters)
        plain = float(sums.differences[:, here].sum() / tokens[s].sum()) if tokens[s].sum() else None
        rows.append(
            {"slice": name, "difference": plain, "standardised": row["value"], "low": row["low"], "high": row["high"]}
        )
    return rows
