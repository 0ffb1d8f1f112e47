"""`recallscope continuations`: answers to questions, scored, tagged and attributed from the shell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from recallscope import options


def continuations_command(
    models: Annotated[list[str], typer.Argument(help="At least 2, reference first: as of `recallscope slice`.")],
    file: Annotated[str, typer.Option(help=".jsonl of context and continuation, or a .json task of BIG-bench.")],
    out: Annotated[Path, typer.Option(help="Folder for records, atoms and report.")] = Path("run"),
    tokenizer: options.Tokenizer = None,
    counts: options.Counts = None,
    training_text: options.TrainingText = None,
    window: Annotated[
        int, typer.Option(help="Input tokens of a model at most; longer contexts lose their start.")
    ] = 1024,
    bos: options.Bos = "first",
    ngram: options.Ngram = 2,
    per_million: options.PerMillion = 0.125,
    limit: Annotated[int | None, typer.Option(help="Only the first so many questions.")] = None,
    by: options.By = "recall",
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    batch_tokens: options.BatchTokens = 8192,
    as_json: options.Json = False,
) -> None:
    """Score what follows a context with two or more models: the gap by recall, and accuracy where there are choices."""
    from recallscope.prompting.continuations.run import slice_continuations
    from recallscope.prompting.tables import format_zero_shot
    from recallscope.slicing.attribution import attribute, format_table
    from recallscope.slicing.scoring.windows import Windowing
    from recallscope.slicing.settings import SliceSettings

    windowing = Windowing(window, window, bos)
    settings = SliceSettings(windowing, ngram=ngram, per_million=per_million, limit=limit, dtype=dtype)
    _, table = slice_continuations(
        models, file, out, tokenizer=tokenizer, counts=counts, training_text=training_text, settings=settings,
        device=device, batch_tokens=batch_tokens, log=lambda line: typer.echo(line, err=True),
    )  # fmt: skip
    report = json.loads((out / "report.json").read_text())
    questions = report["totals"]["documents"]
    typer.echo(format_table(attribute(out / "atoms.parquet", by, intervals=questions > 1)))
    rows = [] if table is None else table.to_pylist()
    if rows:
        typer.echo("\n" + format_zero_shot(rows))
    typer.echo(f"\nreport: {(out / 'report.html').resolve()}")
    if as_json:
        typer.echo(json.dumps(report | {"accuracies": rows}))
