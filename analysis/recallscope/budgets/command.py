"""`recallscope budget` and `recallscope train budgets`, for the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DOMAINS = 10


def budget_command(
    generic: Annotated[
        float | None, typer.Option(help="Generic training, once [default: the most that the evidence has].")
    ] = None,
    specialise: Annotated[
        float | None,
        typer.Option(help="Training after the domains' text is there, all together [default: SLM-is for one]."),
    ] = None,
    inference: Annotated[
        float | None, typer.Option(help="Parameters of the final model at most [default: the small model's].")
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(help="Specialisation set of each domain [default: the evidence's smallest].")
    ] = None,
    domains: Annotated[int, typer.Option(help="Number of domains.")] = DOMAINS,
    evidence: Annotated[
        str, typer.Option(help="published (A100 hours), own (FLOPs of our runs), or a file or folder of rows.")
    ] = "published",
    out: Annotated[
        Path | None, typer.Option(help="HTML file: which method, over domains and generic training.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The answer as the last line of stdout.")] = False,
) -> None:
    """Which method specialises a model under four budgets, its perplexity, and where the answer changes.

    Training in the unit of the evidence: A100 hours as printed (arXiv 2402.01093), or FLOPs.
    """
    from recallscope.budgets.choice import choose, flips, least_changes
    from recallscope.budgets.regions import region_figure, region_rows
    from recallscope.budgets.sources import known
    from recallscope.budgets.words import as_json as answer_json
    from recallscope.budgets.words import format_answer

    found = known(evidence)
    budgets = _asked(found.grids, generic, specialise, inference, tokens)
    answer = choose(found.grids, budgets, domains)
    changes, enough = flips(found.grids, budgets, domains), {}
    if answer.best is None:
        enough = least_changes(found.grids, answer)
    typer.echo(format_answer(answer, found, changes, enough))
    if out:
        point = (domains, budgets.generic_training, budgets.specialisation_tokens)
        region_figure(region_rows(found, budgets, domains), point).write_html(_checked(out), include_plotlyjs=True)
        typer.echo(f"\nregions: {out.resolve()}")
    if as_json:
        from recallscope.slicing.report.embed import to_json

        typer.echo(to_json(answer_json(answer, found, changes, enough)))


def _asked(grids, generic: float | None, specialise: float | None, inference: float | None, tokens: int | None):
    """The budgets, from the evidence where none is asked for."""
    from recallscope.budgets.budgets import Budgets

    cells = [(grid, cell) for grid in grids.values() for cell in grid.cells if cell.tokens]
    once = max((cell.spent for grid, cell in cells if grid.pays == "generic_training"), default=0.0)
    share = max(cell.tuning + cell.spent * (grid.pays == "specialisation_training") for grid, cell in cells)
    return Budgets(
        once if generic is None else generic,
        share if specialise is None else specialise,
        min(grid.parameters for grid in grids.values()) if inference is None else inference,
        min(cell.tokens for _, cell in cells) if tokens is None else tokens,
    )


def _checked(out: Path) -> Path:
    from recallscope.checks import check_folder

    check_folder("out", out.parent)
    if out.is_dir():
        raise ValueError(f"out: a file, got the folder {out}")
    out.parent.mkdir(parents=True, exist_ok=True)
    return out


def train_budgets(
    out: Annotated[Path, typer.Option(help="Folder for rows; an interrupted run goes on where it was.")],
    domain: Annotated[
        list[str] | None, typer.Option(help="NAME=PATH, repeatable [default: packages of this installation].")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Number of seeds.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="The rows as the last line of stdout.")] = False,
) -> None:
    """Specialise small models to domains by every method, and write rows that `budget --evidence` reads."""
    from dataclasses import replace

    from recallscope.budgets.experiment import run_budgets
    from recallscope.budgets.protocol import Protocol
    from recallscope.invocation import invocation

    if seeds < 1:
        raise ValueError(f"seeds: at least 1, got {seeds}")
    protocol = replace(Protocol(), seeds=tuple(range(seeds)))
    table = run_budgets(
        out, own_domains(domain or ()), protocol, lambda line: typer.echo(line, err=True), invocation() or ""
    )
    typer.echo(f"{table.num_rows} rows: {(out / 'rows.jsonl').resolve()}")
    if as_json:
        from recallscope.slicing.report.embed import to_json

        typer.echo(to_json(table.to_pylist()))


def own_domains(given) -> dict[str, str]:
    """`NAME=PATH` of each domain; raises `ValueError` for anything else and for a name that comes twice."""
    found: dict[str, str] = {}
    for text in given:
        name, sign, path = text.partition("=")
        if not (name and sign and path) or name in found:
            raise ValueError(f"domain: NAME=PATH, each name once, got {text!r}")
        found[name] = path
    return found
