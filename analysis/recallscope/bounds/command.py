"""`recallscope bound`: what a state of so many bits, so many layers, a memory rule or a wiring allows at most."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from recallscope.bounds.capacity_command import capacity_command
from recallscope.bounds.dataflow_command import dataflow_command

bound_app = typer.Typer(no_args_is_help=True, help="What information, a memory rule or the wiring allows at most.")
bound_app.command("capacity")(capacity_command)
bound_app.command("dataflow")(dataflow_command)

Vocabulary = Annotated[int, typer.Option(help="Values that an answer can be, or tokens that a string is made of.")]
State = Annotated[float | None, typer.Option(help="Bits that pass from the statements to the questions.")]
Json = Annotated[bool, typer.Option("--json", help="The rows of evidence as the last line of stdout.")]


@bound_app.command("recall")
def bound_recall(
    pairs: Annotated[int, typer.Option(help="Key-value pairs.")],
    vocabulary: Vocabulary,
    state_bits: State = None,
    error: Annotated[float, typer.Option(help="Share of wrong answers.")] = 0.0,
    keys: Annotated[int | None, typer.Option(help="Keys to draw from [default: vocabulary / 2 - 1, as MQAR].")] = None,
    false_positive: Annotated[
        float | None, typer.Option(help="Share of keys never stated that may get an answer.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Recall of key-value pairs: bits needed, best accuracy, most pairs, and what data structures attain."""
    from recallscope.bounds.information.rows import recall_rows

    _show(recall_rows(pairs, vocabulary, state_bits, error, keys, false_positive), as_json)


@bound_app.command("copy")
def bound_copy(
    length: Annotated[int, typer.Option(help="Tokens of the string.")],
    vocabulary: Vocabulary,
    state_bits: State = None,
    error: Annotated[float, typer.Option(help="Probability that the copy is not the whole string.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Copying a random string: bits needed, least error, longest string."""
    from recallscope.bounds.information.rows import copy_rows

    _show(copy_rows(length, vocabulary, state_bits, error), as_json)


@bound_app.command("sets")
def bound_sets(
    first: Annotated[int, typer.Option(help="Elements of A, which is read first.")],
    second: Annotated[int, typer.Option(help="Elements of B.")],
    ids: Annotated[int, typer.Option(help="Ids that elements are drawn from.")],
    passes: Annotated[int, typer.Option(help="How often A B is read.")] = 1,
    as_json: Json = False,
) -> None:
    """Set disjointness: bits needed in one pass or several."""
    from recallscope.bounds.information.rows import set_rows

    _show(set_rows(first, second, ids, passes), as_json)


@bound_app.command("depth")
def bound_depth(
    vocabulary: Annotated[int | None, typer.Option(help="Tokens, written as bits: a power of two.")] = None,
    blocks: Annotated[int | None, typer.Option(help="One-hot blocks that write a token.")] = None,
    length: Annotated[int | None, typer.Option(help="Tokens of the input.")] = None,
    width: Annotated[int | None, typer.Option(help="Model width.")] = None,
    as_json: Json = False,
) -> None:
    """Layers that gated convolutions with fixed filters need for recall."""
    from recallscope.bounds.information.rows import depth_rows

    _show(depth_rows(vocabulary, blocks, length, width), as_json)


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    from recallscope.bounds.information.rows import format_rows

    typer.echo(format_rows(rows))
    if as_json:
        from recallscope.evidence import evidence

        typer.echo(json.dumps(evidence(rows).to_pylist()))
