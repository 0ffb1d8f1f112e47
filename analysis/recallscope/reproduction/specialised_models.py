"""Specialised models under four budgets (arXiv 2402.01093): its tables recomputed, its findings in print and here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from recallscope.budgets.budgets import SMALL
from recallscope.budgets.tables import recomputed
from recallscope.reproduction.statements import Row, Spread, statement


def specialised_models_statements(rows: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Every number of the cost tables that follows from others, then the paper's findings about the own points.

    `rows` are those of `budgets.point_rows`, printed and own. A finding compares two methods after their longest
    pre-training, on every specialisation set: the value is the largest ratio of perplexities over the sets.
    """
    rows = [dict(row) for row in rows]
    found = [
        statement(one.what, Spread(one.value, one.low, one.high), one.holds, "equal within rounding",
                  published=Spread(*one.printed) if one.printed else None, unit=one.unit, basis="print")
        for one in recomputed()
    ]  # fmt: skip
    return found + list(_findings(rows))


def _findings(rows: list[dict[str, Any]]) -> Iterator[Row]:
    own = _longest(rows, "derived")
    printed = _longest(rows, "published")
    for what, better, worse in (
        ("generic pre-training helps the small model: SLM / SLM-nopt", "SLM", "SLM-nopt"),
        ("the large model is better than the small: LLM / SLM", "LLM", "SLM"),
        ("the hard mixture is better than one small model: SLM-mix / SLM", "SLM-mix", "SLM"),
        ("the projected network is better than one small model: SLM-pn / SLM", "SLM-pn", "SLM"),
        ("sampling by importance is the best small model: SLM-is / best of the others", "SLM-is", "the others"),
        ("distillation with the teacher counted loses to the projected network: SLM-pn / SLM-d", "SLM-pn", "SLM-d"),
        ("low-rank changes are as good as all weights: LLM-lora / LLM", "LLM-lora", "LLM"),
    ):
        value = _ratio(own, better, worse)
        if value.value is not None:
            yield statement(what, value, value.value < 1, "below 1 on every specialisation set",
                            published=_ratio(printed, better, worse), n=len(_sizes(own)))  # fmt: skip


Points = dict[tuple[str, int], float]


def _longest(rows: list[dict[str, Any]], kind: str) -> Points:
    """Perplexity of each method and set after its longest pre-training."""
    chosen = [row for row in rows if row["kind"] == kind and row["metric"] == "perplexity" and row["longest"]]
    return {(row["subject"], row["specialisation_tokens"]): row["value"] for row in chosen}


def _sizes(points: Points) -> list[int]:
    return sorted({tokens for _, tokens in points} - {0})


def _ratio(points: Points, better: str, worse: str) -> Spread:
    """The largest ratio over the sets, with the smallest as its low end; None where a method has no points."""
    ratios = []
    for tokens in _sizes(points):
        others = [points.get((name, tokens)) for name in SMALL if name != "SLM-is"]
        below = [x for x in others if x is not None] if worse == "the others" else [points.get((worse, tokens))]
        above = points.get((better, tokens))
        if above is not None and below and None not in below:
            ratios.append(above / min(x for x in below if x is not None))
    if not ratios or any(math.isnan(x) for x in ratios):
        return Spread(None)
    return Spread(max(ratios), min(ratios), max(ratios))
