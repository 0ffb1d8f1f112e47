"""Perplexities of all tokens, of AR hits and of the others: the share of tokens and of the gap that they imply.

Sources: Zoology (arXiv 2312.04927) Section 3.1, Table 1 and Table 2; Based (arXiv 2402.18668) Table 1 and Table 6.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left, bisect_right
from typing import NamedTuple

from recallscope.audit.findings import Row, finding, groups, known
from recallscope.audit.intervals import Cell, cell, through

SLICES = ("all", "AR", "other")


class Model(NamedTuple):
    """One row of a table of perplexities: the cell that stands for it, and its three numbers in the order of SLICES."""

    row: Row
    cells: tuple[Cell, Cell, Cell]


def evaluations(rows: list[Row]) -> list[list[Model]]:
    """Models that were evaluated alike: of one table and, where it says so, trained on equally many tokens."""
    found = []
    for group in groups(known(rows, "perplexity"), "table", "training_tokens"):
        models = []
        for own in groups(group, "row"):
            slices = {row.get("slice"): row for row in own}
            if all(name in slices for name in SLICES):
                every, hits, other = (cell(slices[name]) for name in SLICES)
                models.append(Model(slices["all"], (every, hits, other)))
        if models:
            found.append(models)
    return found


def token_share(every: Cell, hits: Cell, other: Cell) -> Cell | None:
    """Share w of AR hits among the tokens, in %, from log φ_all = w log φ_AR + (1 - w) log φ_other.

    Perplexities φ are exponentials of mean losses, so this is an identity (Zoology, Table 1 and Section 3.1). None if
    the two slices cannot be told apart.
    """
    return through(lambda a, r, o: (100 * math.log(a / o), math.log(r / o)), every, hits, other)


def consensus(cells: list[Cell]) -> tuple[Cell, int]:
    """The interval that most of the intervals contain, and how many do; its value is the middle.

    Where several are contained in equally many, the one nearest to the median of the values.
    """
    lows, highs = sorted(one.low for one in cells), sorted(one.high for one in cells)
    median = statistics.median(one.value for one in cells) if cells else 50
    best, most = Cell(50, 0, 100), 0
    for low in lows:
        ended = bisect_left(highs, low)
        count = bisect_right(lows, low) - ended  # where it is largest, no interval begins before the next one ends
        here = Cell((low + highs[ended]) / 2, low, highs[ended])
        if (count, -abs(here.value - median)) > (most, -abs(best.value - median)):
            best, most = here, count
    return best, most


def row_shares(rows: list[Row]) -> list[Row]:
    """Zoology Tables 1 and 2, Based Tables 1 and 6: every row of one evaluation implies the same AR share of tokens.

    Each is compared with the share that most rows agree on; a row alone is only computed. A share outside 0 to 100 %
    is impossible whatever the others say.
    """
    found = []
    for models in evaluations(rows):
        shares = [token_share(*model.cells) for model in models]
        usual, count = _usual(models)
        for model, share in zip(models, shares, strict=True):
            against, note = (usual, f"{count} of {len(models)} rows agree on this share") if count > 1 else (None, "")
            if share and (share.low > 100 or share.high < 0):
                against, note = Cell(50, 0, 100), "not a share"
            elif len(models) > 1 and count < 2:
                against, note = _others(share, shares), "no two rows agree"
            found.append(finding("AR share of tokens", model.row, share, against, "%", note))
    return found


def _others(own: Cell | None, shares: list[Cell | None]) -> Cell | None:
    """The nearest of the other shares."""
    others = [share for share in shares if share and share is not own]
    return min(others, key=lambda one: abs(one.value - own.value)) if own and others else None


def evaluation_shares(rows: list[Row]) -> list[Row]:
    """Based Table 1: rows of more training tokens imply the share of the others, if the test tokens are the same.

    The share that most rows of one evaluation agree on, against that of the evaluation with the most rows.
    """
    found, every = [], evaluations(rows)
    for table in dict.fromkeys(models[0].row.get("table") for models in every):
        own = [(*_usual(models), models) for models in every if models[0].row.get("table") == table]
        share, most, largest = max(own, key=lambda one: one[1])
        for other, count, models in own:
            if models is not largest:
                row = models[0].row | {"subject": f"{count} of {len(models)} rows", "row": _training(models)}
                note = f"against {most} of {len(largest)} rows, {_training(largest)}"
                found.append(finding("AR share of tokens, by training", row, other, share, "%", note))
    return found


def _usual(models: list[Model]) -> tuple[Cell, int]:
    return consensus([share for model in models if (share := token_share(*model.cells))])


def _training(models: list[Model]) -> str:
    tokens = models[0].row.get("training_tokens")
    return "training tokens not named" if tokens is None else f"{tokens:g} training tokens"


def stated_shares(rows: list[Row]) -> list[Row]:
    """Zoology Table 1, header: the share of tokens that is stated, against the one that most rows imply."""
    found = []
    for row in known(rows, "token share"):
        for models in evaluations([one for one in rows if one.get("table") == row.get("table")]):
            usual, count = _usual(models)
            if row.get("slice") == "other":
                usual = Cell(100 - usual.value, 100 - usual.high, 100 - usual.low)
            note = f"implied by {count} of {len(models)} rows"
            found.append(finding("stated share of tokens", row, usual, cell(row), "%", note))
    return found


def losses(rows: list[Row]) -> list[Row]:
    """Zoology Table 1: the loss in parentheses is the logarithm of the perplexity beside it."""
    found = []
    for own in groups(rows, "table", "row", "subject", "slice", "training_tokens"):
        for loss in known(own, "loss"):
            for perplexity in known(own, "perplexity"):
                logarithm = Cell(*map(math.log, cell(perplexity)))
                found.append(finding("log of perplexity", loss, logarithm, cell(loss), "nats"))
    return found
