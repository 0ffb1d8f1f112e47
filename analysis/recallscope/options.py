"""Options that several commands of the shell share, word for word."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="One JSON object as the last line of stdout.")]
Tokenizer = Annotated[str | None, typer.Option(help="tokenizer.json, or a folder that holds one.")]
Counts = Annotated[str | None, typer.Option(help="Saved n-gram counts of the training text.")]
TrainingText = Annotated[str | None, typer.Option(help="Training text to count in (a source like --text).")]
Bos = Annotated[str, typer.Option(help="first, each-window or none.")]
Ngram = Annotated[int, typer.Option(help="2, 3 or 4 tokens make a repeat.")]
PerMillion = Annotated[float, typer.Option(help="Rare: at most so often per million training tokens.")]
By = Annotated[
    str, typer.Option(help="Partition of the printed table: recall, distance, count, position, opportunity.")
]
Device = Annotated[str, typer.Option(help="torch device, or auto: spread over all.")]
Dtype = Annotated[str | None, typer.Option(help="float32, bfloat16, ...: dtype of Hugging Face models.")]
BatchTokens = Annotated[int, typer.Option(help="Input tokens per batch.")]
