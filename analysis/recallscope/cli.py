"""The command line: one noun per command, the same words as in Python."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from recallscope import options
from recallscope.architectures.command import cost_command, state_command
from recallscope.audit.command import audit_command
from recallscope.bounds.command import bound_app
from recallscope.bounds.demand_command import demand_command
from recallscope.budgets.command import budget_command, train_budgets
from recallscope.doctor.command import doctor_command
from recallscope.frontier.command import frontier_command
from recallscope.invocation import invoked
from recallscope.profiling.command import profile_command, roofline_command
from recallscope.prompting.command import zero_shot_command
from recallscope.prompting.continuations.command import continuations_command
from recallscope.published.command import published_command
from recallscope.scaling.command import scaling_app
from recallscope.training.shell import sweep_command, train_app

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
app.add_typer(train_app, name="train")
app.add_typer(bound_app, name="bound")
app.add_typer(scaling_app, name="scaling")
app.command("state")(state_command)
app.command("cost")(cost_command)
app.command("sweep")(sweep_command)
app.command("zero-shot")(zero_shot_command)
app.command("continuations")(continuations_command)
app.command("demand")(demand_command)
app.command("published")(published_command)
app.command("audit")(audit_command)
app.command("frontier")(frontier_command)
app.command("budget")(budget_command)
train_app.command("budgets")(train_budgets)
app.command("profile")(profile_command)
app.command("roofline")(roofline_command)
app.command("doctor")(doctor_command)

Text = Annotated[
    str | None,
    typer.Option(
        help="File, folder, .jsonl[.gz|.zst], .parquet, .npy/.bin/.kld tokens, or hf:NAME [default: held-out packages]."
    ),
]


@app.callback()
def _recallscope() -> None:
    """Where is the quality gap between two language models, and how much of it is recall?"""


@app.command("slice")
def slice_command(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help="Reference first, 2 or more: bundled names, folders, hub names, NAME=FILE.parquet or .kld [bundled]."
        ),
    ] = None,
    text: Text = None,
    out: Annotated[Path, typer.Option(help="Folder for records, atoms and report.")] = Path("run"),
    tokenizer: options.Tokenizer = None,
    counts: options.Counts = None,
    training_text: options.TrainingText = None,
    convention: Annotated[
        str | None,
        typer.Option(
            help="zoology or jrt: that paper's windows and threshold; other options then do not apply to these."
        ),
    ] = None,
    window: Annotated[int, typer.Option(help="Input tokens per window.")] = 1024,
    stride: Annotated[int | None, typer.Option(help="New tokens per window [default: the window].")] = None,
    bos: options.Bos = "first",
    ngram: options.Ngram = 2,
    per_million: options.PerMillion = 0.125,
    limit: Annotated[int | None, typer.Option(help="Only the first so many documents.")] = None,
    by: options.By = "recall",
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    batch_tokens: options.BatchTokens = 8192,
    engine: Annotated[
        str, typer.Option(help="local, daft (workers on this machine) or ray (a cluster: see RAY_ADDRESS).")
    ] = "local",
    workers: Annotated[
        int | None, typer.Option(help="Models at work at one time [default: 1; ray: one per GPU or machine].")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Score a text with two or more models and say which tokens explain the gap between them."""
    from recallscope.bounds.demand.sliced import slice_text
    from recallscope.bundled import bundled_names
    from recallscope.slicing.attribution import attribute, format_table
    from recallscope.slicing.scoring.windows import Windowing
    from recallscope.slicing.settings import SliceSettings, convention_settings

    if convention:
        settings = convention_settings(convention, limit, dtype)
    else:
        windowing = Windowing(window, window if stride is None else stride, bos)
        settings = SliceSettings(windowing, ngram=ngram, per_million=per_million, limit=limit, dtype=dtype)
    slice_text(
        models or list(bundled_names()), text, out, tokenizer=tokenizer, counts=counts, training_text=training_text,
        settings=settings, device=device, batch_tokens=batch_tokens, log=lambda line: typer.echo(line, err=True),
        engine=engine, workers=workers,
    )  # fmt: skip
    report = json.loads((out / "report.json").read_text())
    documents = report["totals"]["documents"]
    typer.echo(format_table(attribute(out / "atoms.parquet", by, intervals=documents > 1)))
    typer.echo(f"\nreport: {(out / 'report.html').resolve()}")
    if as_json:
        typer.echo(json.dumps(report))


@app.command("tag")
def tag_command(
    text: Text = None,
    out: Annotated[Path | None, typer.Option(help="Parquet file for one row per token.")] = None,
    tokenizer: options.Tokenizer = None,
    limit: Annotated[int | None, typer.Option(help="Only the first so many documents.")] = None,
    as_json: options.Json = False,
) -> None:
    """Repeats in a text, without any model: how often and how far back each token's n-gram was seen."""
    from recallscope.slicing.tag_text import tag_text

    summary = tag_text(text, out, tokenizer, limit)
    for name, value in summary.items():
        typer.echo(f"{name:<28}{value:,.4g}" if isinstance(value, float) else f"{name:<28}{value:,}")
    if as_json:
        typer.echo(json.dumps(summary))


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; bad input gives one line on stderr and exit code 2."""
    try:
        with invoked(sys.argv[1:] if arguments is None else arguments):
            app(arguments)
    except ValueError as error:
        typer.echo(f"recallscope: {error}", err=True)
        sys.exit(2)
    except OSError as error:  # full disk, read-only folder, a file that has gone
        if error.filename is None:
            raise
        typer.echo(f"recallscope: {error.filename}: {error.strerror}; what is finished is kept", err=True)
        sys.exit(1)
    except MemoryError as error:
        typer.echo(f"recallscope: {str(error) or 'memory ended'}; what is finished is kept", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.echo("recallscope: interrupted; run the same command again to go on", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
