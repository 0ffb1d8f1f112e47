"""An answer as text for people, and as an object for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from recallscope.budgets.budgets import METHODS, Cost, break_even
from recallscope.budgets.choice import Answer, Flip
from recallscope.budgets.prediction import Prediction
from recallscope.budgets.sources import Known
from recallscope.published.format import aligned

AXES = {
    "domains": "domains", "generic_training": "generic training", "specialisation_training": "specialisation training",
    "inference": "parameters at inference", "specialisation_tokens": "tokens of a domain",
}  # fmt: skip


def format_answer(answer: Answer, known: Known, changes: Sequence[Flip], enough: dict[str, float]) -> str:
    """The method, its perplexity, what it costs, the others, where the answer changes; or which budget binds."""
    lines = [*_head(answer, known), "", *_table(answer, known)]
    if answer.best is None:
        found = [f"binding; enough alone: {_budget(name, least, known)}" for name, least in enough.items()]
        lines += ["", *(found or ["several budgets bind: none is enough alone"])]
    if changes:
        lines += ["", "the answer changes, one budget at a time:", *(_flip(one, answer, known) for one in changes)]
    return "\n".join(lines)


def _head(answer: Answer, known: Known) -> list[str]:
    budgets, best = answer.budgets, answer.best
    asked = ", ".join(_budget(name, getattr(budgets, name), known) for name in list(AXES)[1:])
    lines = [f"{answer.domains} domain{'s' * (answer.domains > 1)}; {asked}", f"evidence: {known.source}", ""]
    if best is None:
        return [*lines, "no method of the evidence meets these budgets"]
    lines += [f"{best.method}: {METHODS[best.method]}", f"perplexity {perplexity(best)}", _cost(best, answer, known)]
    if answer.undecided:
        lines.append(f"not decided against {', '.join(answer.undecided)}: the intervals meet")
    return [*lines, *best.notes]


def perplexity(one: Prediction) -> str:
    """The value and its interval, or the bound that is known."""
    if one.perplexity is None:
        return f"below {one.high:.4g}"
    ends = "" if one.low is None or one.high is None else f" [{one.low:.4g}, {one.high:.4g}]"
    return f"{one.perplexity:.4g}{ends}"


def _cost(one: Prediction, answer: Answer, known: Known) -> str:
    cost, total = one.cost, one.cost.total(answer.domains)
    inference = f"{cost.inference * 1e9:.3g} {known.unit} for 1e9 tokens of inference"
    return f"{cost.generic:.4g} + {answer.domains} x {cost.specialise:.4g} = {total:.4g} {known.unit}; {inference}"


def _table(answer: Answer, known: Known) -> list[str]:
    lines: list[tuple[str, ...]] = [("method", "perplexity", "once", "a domain", "in all", "equal cost at", "")]
    best = answer.best
    for one in answer.ranked:
        cost, note = one.cost, "; ".join(one.notes)
        even = None if best is None or one is best else break_even(one.cost, best.cost)
        cells = (f"{x:.4g}" for x in (cost.generic, cost.specialise, cost.total(answer.domains)))
        lines.append((one.method, perplexity(one), *cells, "" if even is None else f"{even:.3g} domains", note))
    for one in answer.refused:
        needs = "; ".join(f"needs {_budget(name, least, known)}" for name, least in one.binding)
        lines.append((one.method, "-", "", "", "", "", needs))
    return aligned(lines, right=(2, 3, 4, 5)).splitlines()


def _budget(name: str, value: float, known: Known) -> str:
    unit = {"inference": "", "specialisation_tokens": "", "domains": ""}.get(name, f" {known.unit}")
    text = f"{value:,.0f}" if 1000 <= value < 1e7 else f"{value:.4g}"
    return f"{AXES[name]} {text}{unit}"


def _flip(one: Flip, answer: Answer, known: Known) -> str:
    start = answer.domains if one.axis == "domains" else getattr(answer.budgets, one.axis)
    word = "from" if one.value > start else "up to" if one.axis in ("domains", "specialisation_tokens") else "below"
    axis = AXES[one.axis]
    amount = _budget(one.axis, one.value, known).removeprefix(axis)
    return f"  {axis} {word}{amount}: {one.method or 'no method'}"


def as_json(answer: Answer, known: Known, changes: Sequence[Flip], enough: dict[str, float]) -> dict[str, Any]:
    """Everything of an answer; perplexities and costs unrounded, None for what is not known."""
    ranked = [asdict(one) | {"total": one.cost.total(answer.domains)} for one in answer.ranked]
    return {
        "method": answer.best and answer.best.method, "budgets": asdict(answer.budgets), "domains": answer.domains,
        "unit": known.unit, "evidence": known.source, "kind": known.kind, "ranked": ranked,
        "undecided": list(answer.undecided), "refused": [asdict(one) for one in answer.refused],
        "changes": [asdict(one) for one in changes], "enough_alone": enough,
        "break_even": [pair for pair in _pairs(answer) if pair["domains"] is not None],
    }  # fmt: skip


def _pairs(answer: Answer) -> list[dict[str, Any]]:
    """Domains at which the best method and another cost the same in training."""
    best = answer.best
    costs: list[tuple[str, Cost]] = [(one.method, one.cost) for one in answer.ranked[1:]]
    return [{"method": name, "domains": break_even(cost, best.cost)} for name, cost in costs] if best else []
