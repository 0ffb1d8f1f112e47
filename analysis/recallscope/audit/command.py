"""`recallscope audit`: printed numbers against each other, from the shell."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def audit_command(
    table: Annotated[
        str | None, typer.Argument(help="A published table, or your own .csv or .jsonl [default: all published ones].")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Show what agrees too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The rows of evidence as the last line of stdout.")] = False,
) -> None:
    """Recompute what follows from printed numbers alone; say what agrees, what does not, and by how much.

    Own tables have one cell a row: subject, metric, value; and slice (all, AR, other), reference, scale,
    training_tokens, task, row, ... as `recallscope published --json` shows them.
    """
    from recallscope.audit import audit, format_audit

    rows = audit(table).to_pylist()
    typer.echo(format_audit(rows, every))
    if as_json:
        typer.echo(json.dumps(rows))
