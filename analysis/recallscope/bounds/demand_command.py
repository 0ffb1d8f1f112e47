"""`recallscope demand`: the recall demand of a text from the shell."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from recallscope import options

if TYPE_CHECKING:
    from recallscope.bounds.demand.corpus import Demand
    from recallscope.bounds.demand.states import AtState


def demand_command(
    records: Annotated[Path | None, typer.Option(help="records.parquet of a run, or its folder.")] = None,
    text: Annotated[str | None, typer.Option(help="A text to tag instead [default: held-out packages].")] = None,
    tokenizer: options.Tokenizer = None,
    limit: Annotated[int | None, typer.Option(help="Only the first so many documents of the text.")] = None,
    state_bits: Annotated[str, typer.Option(help="States in bits, separated by commas.")] = "256,4096,65536,1048576",
    memoryless: Annotated[str | None, typer.Option(help="Model whose losses lack memory [default: second].")] = None,
    whole: Annotated[str | None, typer.Option(help="Model that sees the whole context [default: first].")] = None,
    reach: Annotated[int | None, typer.Option(help="Tokens that the memoryless model sees.")] = None,
    per_million: options.PerMillion = 0.125,
    out: Annotated[Path | None, typer.Option(help="JSON Lines file for the rows of evidence; a figure beside.")] = None,
    as_json: options.Json = False,
) -> None:
    """How many hits memories of every size can serve, and how much a state of so many bits can gain at most."""
    from recallscope.bounds.demand.corpus import demand
    from recallscope.bounds.demand.tables import format_demand

    if records is not None and text is not None:
        raise ValueError("records: either records or text, got both")
    states = _numbers(state_bits)
    with TemporaryDirectory() as folder:
        source = records if records is not None else _tagged(text, Path(folder), tokenizer, limit)
        found = demand(source, memoryless, whole, reach=reach, per_million=per_million)
        reached = found.at_states(states) if found.models else []
    typer.echo(format_demand(found, reached))
    if out:
        _write(found, reached, out, str(records or text or "held-out packages"))
    if as_json:
        from recallscope.bounds.demand.tables import state_table

        counts = {"documents": found.documents, "tokens": found.tokens, "hits": found.hits}
        sizes, bits = found.table().to_pylist(), state_table(reached).to_pylist()
        typer.echo(json.dumps(counts | {"models": found.models, "reach": found.reach, "sizes": sizes, "states": bits}))


def _tagged(text: str | None, folder: Path, tokenizer: str | None, limit: int | None) -> Path:
    from recallscope.slicing.tag_text import tag_text

    tag_text(text, folder / "tags.parquet", tokenizer, limit)
    return folder / "tags.parquet"


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"state_bits: numbers separated by commas, got {text!r}") from None


def _write(found: Demand, reached: list[AtState], out: Path, subject: str) -> None:
    from recallscope.bounds.demand.plots import served_against_size
    from recallscope.bounds.demand.tables import demand_evidence, state_evidence
    from recallscope.evidence import evidence, write_evidence
    from recallscope.invocation import invocation

    rows = demand_evidence(found, subject, source=invocation()).to_pylist()
    rows += state_evidence(found, reached, subject, source=invocation()).to_pylist()
    write_evidence(evidence(rows), out)
    served_against_size(found.table()).write_html(out.with_suffix(".html"), include_plotlyjs=True)
