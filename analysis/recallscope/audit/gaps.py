"""The share of the gap to a reference that lies on AR hits."""

from __future__ import annotations

import math

from recallscope.audit.findings import Row, finding, known
from recallscope.audit.intervals import Cell, cell, through
from recallscope.audit.perplexities import consensus, evaluations, token_share

CAPPED = 100.0


def gap_share(model: tuple[Cell, Cell], reference: tuple[Cell, Cell], share: Cell) -> Cell | None:
    """Share of the gap on AR hits, in %: Δ log φ_AR · w / Δ log φ_all (Zoology, Section 3.1 and Table 1).

    `model` and `reference` are the perplexities of all tokens and of AR hits, `share` the AR share w of tokens in %.
    Below 0 or above 100 % where one slice is better than the reference. None if rounding leaves no gap.
    """
    return through(lambda a, r, a0, r0, w: (w * math.log(r / r0), math.log(a / a0)), *model, *reference, share)


def gap_shares(rows: list[Row]) -> list[Row]:
    """Zoology Table 1, column "% of gap due to AR"; the same for Zoology Table 2 and Based Table 1, which print none.

    The share of tokens is the one that most rows of the evaluation imply. What the paper prints as 100.0 is compared as
    "at least 100": Zoology caps there. Rows name their `reference`, compared at the same `scale`.
    """
    found = []
    printed = {_place(row): row for row in known(rows, "share of gap")}
    for models in evaluations(rows):
        shares = [share for model in models if (share := token_share(*model.cells))]
        usual, _ = consensus(shares)
        named = {(model.row["subject"], model.row.get("scale")): model for model in models}
        for model in models:
            reference = named.get((model.row.get("reference"), model.row.get("scale")))
            if reference and reference is not model and shares:
                share = gap_share(model.cells[:2], reference.cells[:2], usual)
                found.append(_compared(model.row, share, printed.get(_place(model.row))))
    return found


def _place(row: Row) -> tuple[str | None, ...]:
    return tuple(row.get(name) for name in ("table", "row", "subject"))


def _compared(row: Row, share: Cell | None, printed: Row | None) -> Row:
    if share is None:
        return finding("share of the gap", row, None, None, "%", "the gap is within rounding")
    if printed is None:
        return finding("share of the gap", row, share, None, "%")
    cap = printed["value"] == CAPPED and share.high >= CAPPED
    against = cell(printed)
    note = "printed capped at 100" if cap and share.value > CAPPED else ""
    return finding(
        "share of the gap", row, share, Cell(against.value, against.low, math.inf) if cap else against, "%", note
    )
