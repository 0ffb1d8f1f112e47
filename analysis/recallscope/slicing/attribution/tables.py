"""Plain-text tables for people: shares in %, differences in nats, limits beside the value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recallscope.slicing.attribution.attribute import Attribution

_HEAD = ("slice", "tokens", "difference", "contribution", "interval", "share of gap", "interval")


def format_table(attribution: Attribution) -> str:
    """Aligned plain text of an `Attribution`: one block per model, then the notes.

    Tokens (or segments) in % of all, difference and contribution in nats per token (or segment), share in % of the gap;
    "-" where a value is refused or does not exist.
    """
    rows = attribution.table.to_pylist()
    blocks = []
    for gap in attribution.gaps:
        lines = [_cells(row) for row in rows if row["model"] == gap.model]
        limits = "" if gap.low is None else f" ({_limits(gap.low, gap.high, '{:+.4f}')})"
        head = f"{gap.model} against {gap.reference}: gap {gap.value:+.4f} nats per {attribution.unit}{limits}"
        blocks.append("\n".join([head, *_aligned([_HEAD, *lines])]))
    if attribution.notes:
        blocks.append("\n".join(f"note: {note}" for note in attribution.notes))
    return "\n\n".join(blocks)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["slice"],
        _number(row["token_share"], "{:.1%}"),
        _number(row["difference"], "{:+.4f}"),
        _number(row["contribution"], "{:+.4f}"),
        _limits(row["contribution_low"], row["contribution_high"], "{:+.4f}"),
        _number(row["share"], "{:.1%}"),
        _limits(row["share_low"], row["share_high"], "{:.1%}"),
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _limits(low: float | None, high: float | None, form: str) -> str:
    return "-" if low is None or high is None else f"{form.format(low)} to {form.format(high)}"


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """First column left, the others right, two spaces between."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
