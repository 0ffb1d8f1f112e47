"""`recallscope frontier`: quality against cost, from the shell."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SHOWN = 2
"""Frontiers printed in full where the quality was measured in more tests than that."""


def frontier_command(
    rows: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files of rows, folders with rows.jsonl, published tables [default: recall against state]."
        ),
    ] = None,
    quality: Annotated[str, typer.Option(help="METRIC, or METRIC:column=value,... for some of its rows.")] = "accuracy",
    cost: Annotated[str, typer.Option(help="METRIC as above, or a numeric column of the rows.")] = "state_bytes",
    better: Annotated[str | None, typer.Option(help="higher or lower, for a quality not known here.")] = None,
    cost_better: Annotated[str | None, typer.Option(help="higher or lower, for a cost not known here.")] = None,
    budget: Annotated[str | None, typer.Option(help="Costs at which quality is read off, separated by commas.")] = None,
    target: Annotated[str | None, typer.Option(help="Qualities whose cost is read off, separated by commas.")] = None,
    step: Annotated[float | None, typer.Option(help="One point of quality [default: 1 %, or 0.01].")] = None,
    every: Annotated[bool, typer.Option("--all", help="Print the frontier of every test.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The frontiers as the last line of stdout.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="HTML file: the explorer, of all metrics of the rows [no rows: of everything].")
    ] = None,
) -> None:
    """Which models nothing beats at their cost, what one more point of quality costs, and how far the limit is."""
    from recallscope.frontier import shell
    from recallscope.frontier.points import frontiers
    from recallscope.frontier.sources import every_row, rows_of

    budgets, targets = _numbers("budget", budget), _numbers("target", target)
    if any(one <= 0 for one in budgets):
        raise ValueError(f"budget: above 0, got {budget!r}")
    if step is not None and not step > 0:
        raise ValueError(f"step: above 0, got {step:g}")
    table = rows_of(rows or ())
    found = frontiers(table, quality, cost, better, cost_better)  # type: ignore[arg-type]
    shown = found if every else found[:SHOWN]
    typer.echo("\n\n".join(shell.format_frontier(one, budgets, targets, step) for one in shown))
    if found[len(shown) :]:
        typer.echo(f"\n{len(found) - len(shown)} further tests (--all):\n{shell.others(found[len(shown) :])}")
    if out:
        from recallscope.frontier.explorer import write_explorer

        write_explorer(out, table if rows else every_row(), found[0])
        typer.echo(f"\nexplorer: {out.resolve()}")
    if as_json:
        from recallscope.slicing.report.embed import to_json

        typer.echo(to_json([shell.as_json(one, budgets, targets) for one in found]))


def _numbers(name: str, text: str | None) -> list[float]:
    try:
        return [float(part) for part in text.split(",")] if text else []
    except ValueError:
        raise ValueError(f"{name}: numbers separated by commas, got {text!r}") from None
