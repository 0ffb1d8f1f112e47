"""The AR-aware law, a question of our own: does state act on the loss of AR tokens alone, and with what exponent?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from recallscope.reproduction.statements import Row, Spread, spread, statement
from recallscope.scaling.recall.rows import EFFECT, LEFT_OUT, SHARE

PAIRS = (
    ("AR", "other", "AR hits", "all other tokens"),
    ("repeat", "new", "repeated bigrams", "new bigrams"),
)
BETTER = 0.9
"""A form is better if its error on runs left out is below this share of the other's."""


def recall_law_statements(rows: Iterable[dict[str, Any]]) -> list[Row]:
    """What would be true if state acted on recall alone, each decided by the rows of `recall_law.jsonl`.

    Recall in the narrow sense: AR hits, which training cannot foretell; and in the wide one: every repeated bigram. Of
    the whole grid, and of its largest budget of data alone.
    """
    rows = [row for row in rows if row.get("size_near") is None and row["metric"] in (EFFECT, SHARE, LEFT_OUT)]
    found = {(row["metric"], row["group"], row.get("form"), row.get("training_tokens")): row for row in rows}
    largest = max(row["training_tokens"] for row in rows if row.get("training_tokens"))
    made = []
    for recall, rest, name, others in PAIRS:
        for budget, where in ((None, "all cells"), (largest, f"cells of {largest / 1e6:g} M tokens")):
            one, other, share = (
                spread(found[metric, group, None, budget])
                for metric, group in ((EFFECT, recall), (EFFECT, rest), (SHARE, recall))
            )
            what, unit = f"loss per factor 4 of state, {where}", "nats/token"
            made += [
                statement(f"{name}: {what}", one, _below(one), "interval below 0", unit=unit),
                statement(f"{others}: {what}", other, not _below(other), "interval not below 0", unit=unit),
                statement(
                    f"{name}: part of that of all tokens, {where}", share, _above(share, 0.5), "interval above 0.5"
                ),
            ]
        for group, label, helps in ((recall, name, True), (rest, others, False)):
            ratio = _ratio(found, group)
            holds, rule = (ratio < BETTER) == helps, f"{'below' if helps else 'at least'} {BETTER}"
            made.append(statement(f"{label}: error on runs left out, with S over without", Spread(ratio), holds, rule))
    return made


def _ratio(found: dict[tuple[Any, ...], dict[str, Any]], group: str) -> float:
    return found[LEFT_OUT, group, "N, D, S", None]["value"] / found[LEFT_OUT, group, "N, D", None]["value"]


def _below(found: Spread) -> bool:
    return found.high is not None and found.high < 0


def _above(found: Spread, least: float) -> bool:
    return found.low is not None and found.low > least
