"""The grid, its laws and what state does, as rows of evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recallscope.scaling.intervals import Interval, percentile_interval
from recallscope.scaling.recall.effects import difference, state_effects
from recallscope.scaling.recall.law import FORMS, RecallLaw, compare_forms, fit_recall_law, state_share, undetermined
from recallscope.scaling.recall.logs import LOG_FORMS, log_form_errors
from recallscope.scaling.recall.losses import Grid, group_losses, part_of, resampled_documents
from recallscope.scaling.recall.sums import GROUPS, SLICES

Row = dict[str, Any]

LOSS, EFFECT, SHARE = "loss", "loss per factor 4 of state", "share of the effect of state"
LEFT_OUT, MOVED = "left-out error", "loss between smallest and largest state"
FITTED = ("AR", "other", "repeat", "new", "all")
SUBJECT = "delta_net"
DOCUMENTS = "interval over documents alone: too few runs to say what is chance"


UNDETERMINED = "not determined by these cells: resamples give any value"


def loss_rows(
    grid: Grid, cells: Sequence[Mapping[str, Any]], source: Mapping[str, Any], draws: int = 2000
) -> list[Row]:
    """Mean loss of every cell on every group, with a 95 % interval over documents; `n` is the number of tokens."""
    weights = resampled_documents(grid, draws, np.random.default_rng(0))
    rows = []
    for group in GROUPS:
        tokens = int(grid.tokens[:, [SLICES.index(name) for name in GROUPS[group]]].sum())
        if not tokens:
            continue
        values, drawn = group_losses(grid, group), group_losses(grid, group, weights)
        for k, cell in enumerate(cells):
            ends = _ends(percentile_interval(drawn[:, k]))
            about = {"subject": SUBJECT, "metric": LOSS, "value": float(values[k]), "unit": "nats/token", "n": tokens}
            rows.append(about | ends | {"kind": "measured", "group": group, **cell, **source})
    return rows


def effect_rows(grid: Grid, source: Mapping[str, Any]) -> list[Row]:
    """What a factor 4 of state does to every group: over the whole grid, by budget, by size; and what part AR has."""
    parts = [({}, grid)]
    for name, column in (("D", "training_tokens"), ("N", "size_near")):
        for value in _distinct(grid.sizes[name]):
            near = np.abs(np.log(grid.sizes[name] / value)) < 0.01
            parts.append(({column: int(value)}, part_of(grid, near)))
    rows = []
    for about, part in parts:
        groups = [name for name in GROUPS if grid.tokens[:, [SLICES.index(one) for one in GROUPS[name]]].sum()]
        runs = "size_near" not in about
        about = about if runs else about | {"flag": DOCUMENTS}
        effects = state_effects(part, groups, runs=runs)
        for group, effect in effects.items():
            rows.append(_derived(EFFECT, effect.value, "nats/token", effect.interval, group, about, part, source))
        for one, other in (("AR", "other"), ("repeat", "new")):
            value, interval = difference(effects[one], effects[other])
            rows.append(_derived(EFFECT, value, "nats/token", interval, f"{one} - {other}", about, part, source))
        for group in ("AR", "repeat"):
            tokens = grid.tokens[:, [SLICES.index(one) for one in GROUPS[group]]].sum() / grid.tokens.sum()
            drawn = percentile_interval(tokens * effects[group].drawn / effects["all"].drawn)
            value = float(tokens * effects[group].value / effects["all"].value)
            rows.append(_derived(SHARE, value, "1", drawn, group, about, part, source) | {"token_share": float(tokens)})
    return rows


def repeated_rows(grid: Grid, again: Grid, source: Mapping[str, Any]) -> list[Row]:
    """The effect of state on cells that were trained with a second seed, beside that on the same cells of the first.

    Cells of equal N and D at a time.
    """
    sizes = [np.stack([one.sizes[name] for name in "NDS"], 1) for one in (grid, again)]
    same = part_of(grid, (sizes[0][:, None] == sizes[1]).all(2).any(1))
    rows = []
    for seed, one in ((0, same), (1, again)):
        for budget in _distinct(one.sizes["D"]):
            part = part_of(one, one.sizes["D"] == budget)
            about = {"training_tokens": int(budget), "size_near": int(part.sizes["N"].max()), "seed": seed}
            about |= {"flag": DOCUMENTS}
            for group, effect in state_effects(part, FITTED, runs=False).items():
                rows.append(_derived(EFFECT, effect.value, "nats/token", effect.interval, group, about, part, source))
    return rows


def law_rows(grid: Grid, source: Mapping[str, Any], bootstrap: int = 300) -> list[Row]:
    """Constants of L(N, D, S) of each group with intervals, and how well every form foretells runs left out."""
    rows = []
    for group in FITTED:
        found = fit_recall_law(grid, group, bootstrap=bootstrap)
        open_ones = undetermined(found)
        for name, value in found.law.constants().items():
            interval = None if name in open_ones else found.intervals[name]
            about = _form(found) | ({"flag": UNDETERMINED} if name in open_ones else {})
            rows.append(_derived(name, value, "1", interval, group, about, grid, source))
        value, interval = state_share(found, grid)
        rows.append(_derived(MOVED, value, "nats/token", interval, group, _form(found), grid, source))
        for other in compare_forms(grid, group, tuple(FORMS)).values():
            rows.append(_derived(LEFT_OUT, other.left_out, "1", None, group, _form(other), grid, source))
        for form in LOG_FORMS:
            residual, left_out = log_form_errors(grid, group, form)
            about = {"form": form, "residual": residual}
            rows.append(_derived(LEFT_OUT, left_out, "1", None, group, about, grid, source))
    return rows


def _form(law: RecallLaw) -> Row:
    return {"form": law.form, "residual": law.residual}


def _derived(
    metric: str, value: float, unit: str, interval: Interval | None, group: str,
    about: Mapping[str, Any], grid: Grid, source: Mapping[str, Any],
) -> Row:  # fmt: skip
    row = {"subject": SUBJECT, "metric": metric, "value": float(value), "unit": unit, "n": len(grid), "kind": "derived"}
    return row | _ends(interval) | {"group": group, **about, **source}


def _ends(interval: Interval | None) -> Row:
    low, high = interval or (None, None)
    return {"low": low, "high": high}


def _distinct(values: np.ndarray) -> list[float]:
    """Values that differ by more than 1 %, ascending; the largest of each."""
    ordered = np.unique(values)
    return [float(x) for k, x in enumerate(ordered) if k + 1 == len(ordered) or ordered[k + 1] / x > 1.01]
