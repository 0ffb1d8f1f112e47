"""`recallscope bound capacity`: what memory rules recall, from the shell."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def capacity_command(
    rules: Annotated[
        list[str] | None,
        typer.Argument(
            help="additive, decayed, delta, least-squares, slots, window, softmax-cache, n-gram-table [default: all]."
        ),
    ] = None,
    pairs: Annotated[str, typer.Option(help="Key-value pairs stored, separated by commas.")] = "16,64,256",
    vocabulary: Annotated[int, typer.Option(help="Values that an answer can be.")] = 256,
    key_width: Annotated[int, typer.Option(help="Width K of keys.")] = 64,
    value_width: Annotated[int | None, typer.Option(help="Width W of value codes [default: K].")] = None,
    places: Annotated[int, typer.Option(help="Slots, pairs of the window, buckets.")] = 64,
    decay: Annotated[float, typer.Option(help="Of decayed, a pair: above 0, at most 1.")] = 1.0,
    bits: Annotated[int, typer.Option(help="Bits per state element; a softmax cache computes with them.")] = 32,
    trials: Annotated[int, typer.Option(help="Simulate the rule itself so many times; 0: not at all.")] = 0,
    seed: Annotated[int, typer.Option(help="Of the simulation.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="The rows of evidence as the last line of stdout.")] = False,
) -> None:
    """What memory rules recall without training, beside what their bits allow at most."""
    from recallscope.bounds.capacity import RULES, Memory
    from recallscope.bounds.capacity.tables import capacity_rows, format_capacity, named_rule

    counts = _counts(pairs)
    names = [named_rule(name) for name in rules or RULES]
    if decay != 1 and "decayed" not in names:
        raise ValueError(f"decay: only with the rule decayed, got {decay:g} for {', '.join(names)}")
    width = key_width if value_width is None else value_width
    memories = [
        Memory(name, key_width, width, vocabulary, decay if name == "decayed" else 1.0, places, bits)
        for name in dict.fromkeys(names)
    ]
    table = capacity_rows(memories, counts, trials, seed)
    typer.echo(format_capacity(table))
    if as_json:
        typer.echo(json.dumps(table.to_pylist()))


def _counts(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"pairs: whole numbers separated by commas, got {text!r}") from None
