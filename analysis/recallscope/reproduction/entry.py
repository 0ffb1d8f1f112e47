"""What is said of a remade figure: one entry of `paper_figures/README.md`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recallscope.reproduction.statements import statements_of, verdict

if TYPE_CHECKING:
    import pyarrow as pa
    from plotly.graph_objects import Figure


@dataclass(frozen=True)
class Remade:
    """A figure of a paper and what is drawn here.

    `figure` names it, `paper` says what it shows there, `here` what is drawn and how that differs, `fill` with which
    command a run of one's own would add what is missing, `only` what the verdict is limited to.
    """

    figure: str
    paper: str
    here: str
    fill: str
    only: str


def entry_lines(remade: Remade, script: str, rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Markdown of one entry: what is shown, every statement with both values, the verdict."""
    rows = list(rows)
    lines = [f"## {remade.figure}", "", f"`{script}` · **{verdict_line(remade, rows)}**", ""]
    lines += [f"- *In the paper:* {remade.paper}", f"- *Here:* {remade.here}", f"- *To fill:* {remade.fill}", ""]
    lines += ["| statement | published | found here | holds if | |", "| --- | --- | --- | --- | --- |"]
    for row in statements_of(rows):
        names = (("published", "published_low", "published_high"), ("value", "low", "high"))
        cells = [number(row.get(value), row.get(low), row.get(high), row["unit"]) for value, low, high in names]
        count = f" (n = {row['n']:,})" if row.get("n") else ""
        mark = {True: "yes", False: "no", None: "open"}[row.get("holds")]
        lines.append(f"| {row['subject']} | {cells[0]} | {cells[1]}{count} | {row['rule']} | {mark} |")
    return [*lines, ""]


def verdict_line(remade: Remade, rows: Iterable[Mapping[str, Any]]) -> str:
    """The verdict, what it is limited to, and the number of the first statement."""
    rows = statements_of(rows)
    word, _, count = verdict(rows).partition(": ")
    first = rows[0]
    value = number(first["value"], first.get("low"), first.get("high"), first["unit"])
    return f"{word} ({remade.only}): {count}; {first['subject']}: {value}"


def number(value: float | None, low: float | None, high: float | None, unit: str) -> str:
    """A value with its interval and unit; a dash for what is not known."""
    if value is None:
        return "–"
    interval = "" if low is None or high is None or low == high else f" [{short(low)}, {short(high)}]"
    return f"{short(value)}{interval}" + ("" if unit == "1" else f" {unit}")


def short(value: float) -> str:
    """Three or four digits, without exponents."""
    decimals = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2 if abs(value) >= 10 else 3
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def write_figure(
    script: str | Path, table: pa.Table, figure: Callable[[pa.Table], Figure], folder: str | Path | None = None
) -> pa.Table:
    """Write the table of a script (`NAME.jsonl`) and its page (`NAME.html`), and return the table.

    They go beside the script or into `folder`, which is made; the page draws with the `plotly.min.js` that is written
    beside it. Raises `ValueError` for an option in place of a folder.
    """
    from recallscope.evidence import write_evidence

    if str(folder or "").startswith("-"):
        raise ValueError(f"folder: a path, got the option {folder}; figures have none")
    target = Path(folder) if folder else Path(script).parent
    target.mkdir(parents=True, exist_ok=True)
    write_evidence(table, target / f"{Path(script).stem}.jsonl")
    figure(table).write_html(target / f"{Path(script).stem}.html", include_plotlyjs="directory")
    return table
