"""`recallscope state` and `recallscope cost`: what architectures keep, compute and move, from the shell."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from recallscope import options

Architectures = Annotated[
    list[str], typer.Argument(help="Presets, mixers with options (attention:width=512,heads=8), or model folders.")
]
Dtype = Annotated[str, typer.Option(help="Of weights and activations: float32, bfloat16, float8, int8, int4.")]
StateDtype = Annotated[str | None, typer.Option(help="Of the state [default: as --dtype].")]


def state_command(
    architectures: Architectures,
    length: Annotated[str, typer.Option(help="Tokens seen, separated by commas.")] = "4096,131072",
    dtype: Dtype = "bfloat16",
    state_dtype: StateDtype = None,
    as_json: options.Json = False,
) -> None:
    """State that survives between two decoding steps, stored and read, and where two architectures cross."""
    from recallscope.architectures.tables import STATE_COLUMNS

    _costs(as_json, architectures, length, 1, dtype, state_dtype, STATE_COLUMNS, ("state_elements",))


def cost_command(
    architectures: Architectures,
    length: Annotated[str, typer.Option(help="Tokens, separated by commas.")] = "4096,131072",
    batch: Annotated[int, typer.Option(help="Sequences.")] = 1,
    dtype: Dtype = "bfloat16",
    state_dtype: StateDtype = None,
    as_json: options.Json = False,
) -> None:
    """Parameters, FLOPs per token of training, prefill and decoding, bytes per decoding step, and the crossings."""
    from recallscope.architectures.tables import COST_COLUMNS

    crossing = ("decode_flops", "decode_bytes")
    _costs(as_json, architectures, length, batch, dtype, state_dtype, COST_COLUMNS, crossing)


def _costs(as_json: bool, *arguments: Any) -> None:
    from recallscope.architectures.tables import shell_table

    table, text = shell_table(*arguments)
    typer.echo(text)
    if as_json:
        typer.echo(json.dumps(table.to_pylist()))
