"""`recallscope published`: the stored tables, from the shell."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def published_command(
    table: Annotated[str | None, typer.Argument(help="One of the names that the command lists without it.")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(help="Only rows with column=value, column=one|another, column!=value; again: and."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The rows of evidence as the last line of stdout.")] = False,
) -> None:
    """Tables of published papers, cell by cell, with source, trust and what is inconsistent in print."""
    from recallscope.published.format import format_list, format_rows
    from recallscope.published.tables import published_table

    rows = published_table(*([table] if table else []), where=where or ()).to_pylist()
    if table or where:
        typer.echo(format_rows(rows))
    else:
        typer.echo(format_list(rows))
    if as_json:
        typer.echo(json.dumps(rows))
