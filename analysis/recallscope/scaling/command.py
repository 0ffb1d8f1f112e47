"""`recallscope scaling`: loss laws and what follows from them, from the shell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

scaling_app = typer.Typer(no_args_is_help=True, help="Loss laws, compute-optimal sizes, the step law, efficient sizes.")

LawOption = Annotated[str, typer.Option(help="hoffmann, hoffmann-tex, besiroglu, or a file of `scaling fit --out`.")]
Level = Annotated[float, typer.Option(help="Of the intervals.")]
Json = Annotated[bool, typer.Option("--json", help="The answer as the last line of stdout.")]


@scaling_app.command("fit")
def fit_command(
    table: Annotated[Path, typer.Argument(help="Runs: .csv, .tsv, .parquet, or .jsonl (rows, or rows of evidence).")],
    size: Annotated[
        list[str], typer.Option(help="NAME=COLUMN for each size: N=parameters, D=tokens; S=state_elements for a third.")
    ],
    loss: Annotated[str, typer.Option(help="Column of the loss in nats per token, or metric of evidence.")] = "loss",
    flops: Annotated[str | None, typer.Option(help="Column of training FLOPs in place of D: D = FLOPs / 6N.")] = None,
    where: Annotated[list[str] | None, typer.Option(help="Only rows with column=value; several: all of them.")] = None,
    drop_highest: Annotated[int, typer.Option(help="Leave out so many runs of the highest losses.")] = 0,
    delta: Annotated[float, typer.Option(help="Huber's δ, in log loss.")] = 1e-3,
    starts: Annotated[int, typer.Option(help="Points of the published grid of starts, at most.")] = 4500,
    bootstrap: Annotated[int, typer.Option(help="Refits to resamples; 0: no intervals.")] = 1000,
    resample: Annotated[str, typer.Option(help="runs, or residuals where the runs are a designed grid.")] = "runs",
    check: Annotated[
        str | None,
        typer.Option(help="Constants of another optimiser (a law as in `optimal`): refused unless a minimum here."),
    ] = None,
    level: Level = 0.95,
    seed: Annotated[int, typer.Option(help="Of the bootstrap, and of the draw from a larger grid of starts.")] = 0,
    out: Annotated[Path | None, typer.Option(help="JSON Lines of the constants and of all bootstrap rows.")] = None,
    as_json: Json = False,
) -> None:
    """Fit L = E + A/N^α + B/D^β to a table of runs, with intervals and the outlying runs."""
    from recallscope.evidence import write_evidence
    from recallscope.scaling.fit import fit_loss_law
    from recallscope.scaling.format import format_fit
    from recallscope.scaling.residuals import check_minimum
    from recallscope.scaling.rows import fit_rows, law_and_rows
    from recallscope.scaling.runs import read_runs, runs_of, without_highest

    runs = runs_of(read_runs(table), _columns(size), loss=loss, flops=flops, where=where or ())
    runs = without_highest(runs, drop_highest)
    if check:
        check_minimum(law_and_rows(check)[0], runs.sizes, runs.losses, delta=delta)
    found = fit_loss_law(
        runs.sizes, runs.losses, delta=delta, starts=starts, bootstrap=bootstrap, resample=resample, seed=seed
    )
    typer.echo(format_fit(found, level))
    source = f"fit to {len(runs.losses):,} runs of {table.name}"
    rows = fit_rows(found, table.stem, level=level, source=source, resamples=out is not None)
    if out:
        write_evidence(rows, out)
        typer.echo(f"\nwritten: {out.resolve()}")
    if as_json:
        typer.echo(json.dumps([row for row in rows.to_pylist() if row["resample"] is None]))


@scaling_app.command("optimal")
def optimal_command(
    flops: Annotated[str | None, typer.Argument(help="Training FLOPs, separated by commas: 1e22,5.76e23.")] = None,
    law: LawOption = "besiroglu",
    loss: Annotated[
        str | None, typer.Option(help="Losses to reach in place of FLOPs, separated by commas, nats per token.")
    ] = None,
    inference_tokens: Annotated[
        float, typer.Option(help="With --loss: tokens that the model will read and write.")
    ] = 0.0,
    state: Annotated[float | None, typer.Option(help="State in elements, for a law with a third size.")] = None,
    level: Level = 0.95,
    as_json: Json = False,
) -> None:
    """Parameters and tokens of the least loss for compute, or of the least compute, inference included, for a loss."""
    from dataclasses import asdict

    from recallscope.scaling.allocation import at_state, compute_optimal, inference_aware
    from recallscope.scaling.format import format_allocations
    from recallscope.scaling.rows import law_and_rows

    if (flops is None) == (loss is None):
        raise ValueError("flops, --loss: one of the two")
    if flops and inference_tokens:
        raise ValueError("inference_tokens: only with --loss, for the least of training and inference together")
    used, rows = at_state(*law_and_rows(law), state)
    if flops:
        found = [compute_optimal(one, used, rows, level=level) for one in _numbers("flops", flops)]
    else:
        targets = _numbers("loss", loss or "")
        found = [inference_aware(one, inference_tokens, used, rows, level=level) for one in targets]
    typer.echo(format_allocations(found, f"{law} ({used.source})"))
    if as_json:
        extra = [{"tokens_per_parameter": one.tokens_per_parameter} for one in found]
        typer.echo(json.dumps([asdict(one) | more for one, more in zip(found, extra, strict=True)]))


@scaling_app.command("step")
def step_command(
    parameters: Annotated[float, typer.Argument(help="Without embeddings.")],
    tokens: Annotated[float, typer.Argument(help="Of training.")],
    level: Level = 0.95,
    as_json: Json = False,
) -> None:
    """Peak learning rate and batch of a run by the step law, its bootstrap band, and whether it was fitted there."""
    from dataclasses import asdict

    from recallscope.scaling.format import format_step
    from recallscope.scaling.rates import step_law

    found = step_law(parameters, tokens, level=level)
    typer.echo(format_step(found, level))
    if as_json:
        typer.echo(json.dumps(asdict(found)))


@scaling_app.command("efficient")
def efficient_command(
    tokens: Annotated[float | None, typer.Argument(help="Of the corpus; then an anchor is needed.")] = None,
    anchor_tokens: Annotated[float | None, typer.Option(help="A corpus whose right size is known.")] = None,
    anchor_parameters: Annotated[float | None, typer.Option(help="That size.")] = None,
    law: LawOption = "hoffmann",
    beta: Annotated[float | None, typer.Option(help="Data exponent in place of that of a law.")] = None,
    level: Level = 0.95,
    as_json: Json = False,
) -> None:
    """Exponent γ of the size that a corpus deserves, N ∝ D^γ, and sizes from an anchor (reconstructed derivation)."""
    from dataclasses import asdict

    from recallscope.scaling.efficient import efficient_exponent, efficient_size
    from recallscope.scaling.format import format_efficient
    from recallscope.scaling.rows import law_and_rows

    anchor = (tokens, anchor_tokens, anchor_parameters)
    if any(one is not None for one in anchor) and any(one is None for one in anchor):
        raise ValueError("tokens, --anchor-tokens, --anchor-parameters: all three for a size, or none for the exponent")
    used, rows = law_and_rows(law)
    if "D" not in used.terms:
        raise ValueError(f"law: one with the size D, got one of {', '.join(used.terms)}")
    place = used.terms.index("D")
    value, drawn = (used.exponents[place], rows[:, 2 + 2 * place]) if beta is None else (beta, [])
    exponent = efficient_exponent(value, drawn, level=level)
    size = None if tokens is None else efficient_size(tokens, anchor_tokens or 0, anchor_parameters or 0, value)
    typer.echo(format_efficient(exponent, size))
    if as_json:
        typer.echo(json.dumps({"exponent": asdict(exponent), "size": asdict(size) if size else None}))


def _columns(pairs: list[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        name, sign, column = pair.partition("=")
        if not (name and sign and column):
            raise ValueError(f"size: NAME=COLUMN as N=parameters, got {pair!r}")
        found[name] = column
    return found


def _numbers(name: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{name}: numbers separated by commas, got {text!r}") from None
