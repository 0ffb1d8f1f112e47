"""HTML tables of the page. Everything that comes from the report is escaped here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from recallscope.slicing.report import words

Row = Mapping[str, Any]
Cell = tuple[str, str]  # text and class: "n" number, "i" interval, "t" text

SLICE_HEAD = (
    "slice",
    "tokens",
    "% of tokens",
    "loss, reference",
    "loss, model",
    "difference",
    "contribution",
    "",
    "share, %",
    "",
)
CURVE_HEAD = ("at most", "per million", "% of tokens", "difference", "contribution", "share, %", "")
SHAPLEY_HEAD = ("slice", "contribution", "share, %", "", "inclusive contribution")
TOTAL_HEAD = ("model", "loss", "perplexity", "gap", "", "significant at 95 %")

TITLES = {
    "recall": "Recall partition",
    "distance": "By distance to the previous occurrence",
    "count": "By occurrences in the training text",
    "position": "By position in the window",
    "opportunity": "By opportunity to copy",
}


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Cell]], foot: Sequence[Cell] = ()) -> str:
    """An accessible table: caption, column headings with scope, first cell of a row as its heading.

    A heading followed by an empty one spans both columns (a value and its interval).
    """
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in rows)
    last = f"<tfoot><tr>{_cells(foot)}</tr></tfoot>" if foot else ""
    label = escape(caption)
    return (
        f'<div class="wide"><table><caption>{label}</caption>'
        f"<thead><tr>{_head(head)}</tr></thead><tbody>{body}</tbody>{last}</table></div>"
    )


def totals(report: Row) -> str:
    """Loss and perplexity of each model, with its gap to the reference."""
    gaps = {comparison["model"]: comparison["gap"] for comparison in report["comparisons"]}
    rows = [_total(model, report["totals"]["losses"].get(model), gaps.get(model)) for model in report["models"]]
    per = words.unit(report["settings"])
    return table(f"Mean loss, nats per {per}, and the gap to the reference", TOTAL_HEAD, rows)


def partition(comparison: Row, by: str) -> str:
    """The slices of one partition; the recall partition also shows the sum, which is the gap."""
    rows = comparison["partitions"][by]
    caption = f"{TITLES.get(by, by)}: {comparison['model']} against {comparison['reference']}, in nats"
    foot = _sum(comparison, rows) if by == "recall" else ()
    return table(caption, SLICE_HEAD, map(_slice, rows), foot)


def curve(comparison: Row) -> str:
    """Share on AR hits for every threshold on the training count."""
    caption = f"AR hits against the threshold on training occurrences: {comparison['model']}"
    return table(caption, CURVE_HEAD, map(_point, comparison["curve"]))


def shapley(comparison: Row) -> str:
    """Shapley values of overlapping slices, beside inclusive contributions, which may sum to more than the gap."""
    caption = f"Overlapping slices, Shapley values: {comparison['model']}"
    return table(caption, SHAPLEY_HEAD, map(_shapley, comparison["shapley"]))


def _total(model: str, loss: float | None, gap: Row | None) -> list[Cell]:
    perplexity = math.exp(loss) if loss is not None and loss < 709 else None  # beyond, no float holds it
    cells = [(model, "t"), (words.number(loss), "n"), (words.number(perplexity, 2), "n")]
    if gap is None:
        return [*cells, (words.DASH, "n"), ("reference", "i"), ("", "n")]
    limits = words.interval(gap.get("low"), gap.get("high"))
    return [
        *cells,
        (words.number(gap["value"], signed=True), "n"),
        (limits, "i"),
        ("yes" if gap["significant"] else "no", "n"),
    ]


def _slice(row: Row) -> list[Cell]:
    return [
        (row["slice"], "t"),
        (words.count(row["tokens"]), "n"),
        (words.percent(row["token_share"], 2), "n"),
        (words.number(row["loss_reference"], 3), "n"),
        (words.number(row["loss_model"], 3), "n"),
        (words.number(row["difference"], 4, signed=True), "n"),
        (words.number(row["contribution"], 4, signed=True), "n"),
        (words.interval(row.get("contribution_low"), row.get("contribution_high")), "i"),
        *_share(row),
    ]


def _share(row: Row) -> list[Cell]:
    return [
        (words.percent(row.get("share")), "n"),
        (words.interval(row.get("share_low"), row.get("share_high"), 1, 100), "i"),
    ]


def _point(row: Row) -> list[Cell]:
    rate = row.get("per_million")
    return [
        (words.count(row["count"]), "n"),
        (words.DASH if rate is None else f"{rate:,.4g}", "n"),
        (words.percent(row["token_share"], 2), "n"),
        (words.number(row["difference"], 4, signed=True), "n"),
        (words.number(row["contribution"], 4, signed=True), "n"),
        *_share(row),
    ]


def _shapley(row: Row) -> list[Cell]:
    name, value = (row["slice"], "t"), (words.number(row["contribution"], 4, signed=True), "n")
    return [name, value, *_share(row), (words.number(row.get("inclusive"), 4, signed=True), "n")]


def _sum(comparison: Row, rows: Sequence[Row]) -> list[Cell]:
    gap = comparison["gap"]
    blank = [("", "n")] * 4
    tokens = (words.count(sum(row["tokens"] for row in rows)), "n")
    limits = (words.interval(gap.get("low"), gap.get("high")), "i")
    return [
        ("sum: the gap", "t"),
        tokens,
        *blank,
        (words.number(gap["value"], 4, signed=True), "n"),
        limits,
        ("", "n"),
        ("", "i"),
    ]


def _cells(cells: Sequence[Cell]) -> str:
    (first, kind), *rest = cells
    start = f'<th scope="row" class="{kind}">{escape(first)}</th>'
    return start + "".join(f'<td class="{kind}">{escape(text)}</td>' for text, kind in rest)


def _head(head: Sequence[str]) -> str:
    spans = [2 if k + 1 < len(head) and not head[k + 1] else 1 for k in range(len(head))]
    return "".join(
        f'<th scope="col"{" colspan=2" if span == 2 else ""}>{escape(text)}</th>'
        for text, span in zip(head, spans, strict=True)
        if text
    )
