"""An audit as text for people: what does not agree first, and how many numbers do."""

from __future__ import annotations

from collections.abc import Sequence

from recallscope.audit.findings import VERDICTS, Row
from recallscope.published.format import aligned

TITLES = {
    "disagrees": "does not agree, beyond rounding",
    "open": "open: the numbers do not decide it",
    "agrees": "agrees",
    "computed": "computed, nothing printed to compare with",
}


def format_audit(rows: Sequence[Row], every: bool = False) -> str:
    """One line for each number that disagrees, is open or is new; those that agree are counted, or all shown."""
    verdicts = [row["verdict"] for row in rows]
    parts = [", ".join(f"{verdicts.count(name)} {name}" for name in VERDICTS if name in verdicts)]
    for name in VERDICTS:
        own = [row for row in rows if row["verdict"] == name]
        if own and name == "agrees" and not every:
            counts = [
                f"{sum(_check(row) == check for row in own)} {check}" for check in dict.fromkeys(map(_check, own))
            ]
            parts.append(f"\n{TITLES[name]} ({len(own)}): " + ", ".join(counts))
        elif own:
            parts.append(f"\n{TITLES[name]} ({len(own)})\n" + _lines(own))
    return "\n".join(parts)


def _check(row: Row) -> str:
    return row["metric"].partition(":")[0]


def _lines(rows: Sequence[Row]) -> str:
    lines = [("table", "row", "what", "recomputed", "", "against", "off", "")]
    for row in rows:
        lines.append((
            row["table"] or "", short(row["row"] or row["subject"]), short(row["metric"]), number(row["value"]),
            interval(row["low"], row["high"]),
            number(row["against"]), f"{row['off']:+,.3g}" if row["off"] else "", row["note"] or "",
        ))  # fmt: skip
    return aligned(lines, right=(3, 5, 6))


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def interval(low: float | None, high: float | None) -> str:
    same = low is None or high is None or number(low) == number(high)
    return "" if same else f"[{number(low)}, {number(high)}]"


def short(text: str, length: int = 48) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
