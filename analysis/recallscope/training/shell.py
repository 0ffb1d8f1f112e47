"""`recallscope train lm`, `train task` and `sweep`, for the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from recallscope import options

train_app = typer.Typer(no_args_is_help=True, help="Train models.")


@train_app.command("lm")
def train_lm(
    model: Annotated[
        str, typer.Argument(help="Shape: attention, window, hyena or based (5.3 M parameters), or a config.json.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the model; an interrupted run goes on where it was.")],
    text: Annotated[
        str | None, typer.Option(help="Training text, as for slice --text [default: installed packages].")
    ] = None,
    tokenizer: options.Tokenizer = None,
    tokens: Annotated[int, typer.Option(help="Tokens to train on.")] = 20_070_400,
    batch: Annotated[int, typer.Option(help="Windows per step.")] = 2,
    learning_rate: Annotated[float, typer.Option(help="Peak of Muon and AdamW.")] = 2e-3,
    seed: Annotated[int, typer.Option(help="Of weights and data order.")] = 0,
    device: Annotated[str, typer.Option(help="torch device.")] = "cpu",
    compile: Annotated[bool, typer.Option(help="Compile the model (needs a C++ compiler on CPU).")] = True,
) -> None:
    """Train a small language model on real text and write it as a folder that `slice` accepts."""
    from recallscope.training.language.command import train_language_model

    card = train_language_model(
        model, out, text=text, tokenizer=tokenizer, tokens=tokens, batch=batch, learning_rate=learning_rate, seed=seed,
        device=device, compile=compile, echo=lambda line: typer.echo(line, err=True),
    )  # fmt: skip
    typer.echo(json.dumps(card))


Out = Annotated[Path, typer.Option(help="Folder for rows and curves; an interrupted run goes on where it was.")]
Load = Annotated[
    list[Path] | None, typer.Option(help="Python file that adds mixers of your own to MIXERS; repeatable.")
]


@train_app.command("task")
def train_task(
    mixers: Annotated[
        list[str], typer.Argument(help="Mixers, with options: attention based:key_width=8 gla:width=128,heads=2.")
    ],
    out: Out,
    load: Load = None,
    task: Annotated[str, typer.Option(help="Recall task, such as mqar; a wrong name lists all.")] = "mqar",
    scale: Annotated[str, typer.Option(help="smoke (seconds), small (minutes) or paper (a GPU).")] = "small",
    settings: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE of the task, repeatable.")] = None,
    width: Annotated[
        int | None, typer.Option(help="Model width where a mixer names none [default: the scale's].")
    ] = None,
    rates: Annotated[str | None, typer.Option(help="Learning rates, by commas [default: the scale's].")] = None,
    seeds: Annotated[int | None, typer.Option(help="How many [default: the scale's].")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps [default: the scale's].")] = None,
    batch: Annotated[int | None, typer.Option(help="Examples per step [default: the scale's].")] = None,
    examples: Annotated[int | None, typer.Option(help="Size of a fixed training set [default: the scale's].")] = None,
    bfloat16: Annotated[bool, typer.Option(help="Products in bfloat16.")] = False,
    compile: Annotated[bool, typer.Option(help="Compile the models (on CPU with a C++ compiler).")] = False,
    device: Annotated[str, typer.Option(help="torch device.")] = "cpu",
    as_json: options.Json = False,
) -> None:
    """Train mixers on a recall task: every rate and seed at once, the best rate with its spread."""
    from recallscope.tasks.names import settings_of
    from recallscope.training.sweeps.command import load_mixers, task_sweep

    load_mixers(load or [])
    sweep = task_sweep(
        mixers, task, scale, settings_of(settings or []), width, _numbers("rates", rates), seeds,
        steps=steps, batch=batch, examples=examples, bfloat16=bfloat16 or None, compile=compile or None,
    )  # fmt: skip
    _swept([sweep], out, device, as_json)


def sweep_command(
    plan: Annotated[
        str, typer.Argument(help="recall-vs-state, based-figure2, zoology-figure2, ...: a wrong name lists all.")
    ],
    out: Out,
    only: Annotated[str | None, typer.Option(help="Only subjects whose names contain this.")] = None,
    also: Annotated[list[str] | None, typer.Option(help="A further subject, as for train task; repeatable.")] = None,
    load: Load = None,
    device: Annotated[str, typer.Option(help="torch device.")] = "cpu",
    as_json: options.Json = False,
) -> None:
    """Run a named sweep: those of published figures, and the one whose results are in this repository."""
    from recallscope.training.sweeps.command import load_mixers, planned
    from recallscope.training.sweeps.mad import format_scores, mad_scores

    load_mixers(load or [])
    sweeps = planned(plan, only, also or ())
    _swept(sweeps, out, device, as_json, lambda table: format_scores(mad_scores(table)) if plan == "mad" else "")


def _swept(
    sweeps: list[Any],
    out: Path,
    device: str,
    as_json: bool,
    summary: Callable[[Any], str] = lambda table: "",
) -> None:
    from recallscope.invocation import invocation
    from recallscope.training.sweeps.command import format_sweep, run_sweeps

    table = run_sweeps(sweeps, out, device, lambda line: typer.echo(line, err=True), invocation() or "")
    for text in (format_sweep(table), summary(table)):
        if text:
            typer.echo(text + "\n")
    typer.echo(f"rows: {out.resolve()}")
    if as_json:
        typer.echo(json.dumps(table.to_pylist()))


def _numbers(name: str, text: str | None) -> list[float] | None:
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{name}: numbers, separated by commas, got {text!r}") from None
