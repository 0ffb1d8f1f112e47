"""`recallscope bound dataflow`: what the wiring of an architecture lets through, from the shell."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def dataflow_command(
    architectures: Annotated[
        list[str], typer.Argument(help="Presets, mixers with options (attention:width=64,heads=2), or model folders.")
    ],
    length: Annotated[int, typer.Option(help="Tokens read before the cut.")] = 32,
    source: Annotated[str | None, typer.Option(help="Tokens to be recalled, such as 0-3,8.")] = None,
    target: Annotated[str | None, typer.Option(help="Positions whose outputs are read, such as 10-15.")] = None,
    bits_per_element: Annotated[float, typer.Option(help="Bits that an element holds.")] = 32,
    as_json: Annotated[bool, typer.Option("--json", help="The rows of evidence as the last line of stdout.")] = False,
) -> None:
    """State and reach of an architecture as it is wired, and the most that it can recall over a distance."""
    from recallscope.bounds.dataflow.tables import dataflow_rows, format_dataflow, numbers

    tokens = None if source is None else numbers("source", source)
    outputs = None if target is None else numbers("target", target)
    if (tokens is None) != (outputs is None):
        raise ValueError(f"source, target: both or none, got {source} and {target}")
    from recallscope.architectures.names import architecture

    table = dataflow_rows([architecture(name) for name in architectures], length, tokens, outputs, bits_per_element)
    typer.echo(format_dataflow(table))
    if as_json:
        typer.echo(json.dumps(table.to_pylist()))
