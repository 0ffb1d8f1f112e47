"""`recallscope zero-shot`: recall tasks put to models from the shell."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from recallscope import options


def zero_shot_command(
    models: Annotated[list[str], typer.Argument(help="Bundled names, folders (Hugging Face or ours), hub names.")],
    task: Annotated[str, typer.Option(help="Name of a recall task.")] = "mqar",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE of the task, repeatable."),
    ] = None,
    examples: Annotated[int, typer.Option(help="Examples to ask.")] = 200,
    shots: Annotated[int, typer.Option(help="Solved examples before each asked one.")] = 0,
    seed: Annotated[int, typer.Option(help="Of examples, words and shots.")] = 0,
    map_to: Annotated[
        str, typer.Option(help="words of the tokenizer, or ids: those of the task as they are.")
    ] = "words",
    tokenizer: options.Tokenizer = None,
    by_distance: Annotated[bool, typer.Option(help="Also by distance of the answer.")] = False,
    show: Annotated[bool, typer.Option(help="Print the first prompt of each model on stderr.")] = False,
    device: Annotated[str, typer.Option(help="torch device.")] = "cpu",
    dtype: options.Dtype = None,
    batch_tokens: Annotated[int, typer.Option(help="Tokens per batch.")] = 8192,
    as_json: Annotated[bool, typer.Option("--json", help="The rows of evidence as the last line of stdout.")] = False,
) -> None:
    """Put a recall task to language models without training: accuracy beside chance."""
    from recallscope.prompting.tables import first_prompt, format_zero_shot
    from recallscope.prompting.zero_shot import zero_shot
    from recallscope.tasks.names import settings_of, task_by_name

    chosen = task_by_name(task, settings_of(settings or []))
    rows = []
    for model in models:
        if show:
            typer.echo(first_prompt(model, chosen, examples, seed, shots, map_to, tokenizer), err=True)
        table = zero_shot(
            model, chosen, examples=examples, seed=seed, shots=shots, map_to=map_to, tokenizer=tokenizer,
            by_distance=by_distance, device=device, dtype=dtype, batch_tokens=batch_tokens,
        )  # fmt: skip
        rows += table.to_pylist()
    typer.echo(format_zero_shot(rows))
    if as_json:
        typer.echo(json.dumps(rows))
