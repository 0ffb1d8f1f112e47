"""`recallscope doctor`, from the shell."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer


def doctor_command(
    as_json: Annotated[bool, typer.Option("--json", help="The findings as the last line of stdout.")] = False,
) -> None:
    """What is installed, what this machine can do, what is missing and how to get it; 1 if something is broken."""
    from recallscope.doctor import examine, format_findings

    found = examine()
    typer.echo(format_findings(found))
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found]))
    if any(one.state == "broken" for one in found):
        raise typer.Exit(1)
