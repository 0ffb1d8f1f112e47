"""`slice_text` whose report also says what the text demands of a memory, and where the models stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import Any

from recallscope.bounds.demand.corpus import demand
from recallscope.bounds.demand.page import section
from recallscope.bounds.demand.sample import sampled
from recallscope.bounds.demand.standing import closing, standings
from recallscope.slicing import run
from recallscope.slicing.report.section import Section

FEW, MANY = 10_000, 60_000  # hits; with two models the section takes one second and seven


@wraps(run.slice_text)  # docstring and signature are those of slicing
def slice_text(models: Sequence[Any], *arguments: Any, **options: Any) -> Any:
    settings = options.get("settings")
    slow = options.get("device", "cpu") == "cpu" and all(map(_names_weights, models))
    demanded = partial(demand_section, models=models, dtype=settings.dtype if settings else None, slow=slow)
    further = [demanded, *options.pop("further", ())]
    return run.slice_text(models, *arguments, further=further, **options)


def demand_section(folder: Path, models: Sequence[Any], dtype: str | None = None, slow: bool = False) -> Section | None:
    """The section of the report of a finished run's `folder`; `models` as in `slice_text`, the reference first. None if
    the models' tokenizers differ or documents were given a context: a memory is asked token by token, from the first.

    `slow`: models were scored on a CPU, a thousand tokens in a quarter of a second or more, beside which 40 hits of
    each thousand are soon done with.
    """
    import pyarrow.parquet as pq

    from recallscope.slicing.records import read_records

    metadata = read_records(folder).metadata
    if metadata.get("unit", "token") != "token" or metadata.get("given"):
        return None
    tokens = pq.read_metadata(folder / "records.parquet").num_rows
    return section(demand_numbers(folder, models, dtype, max(FEW, min(MANY, tokens // 25)) if slow else FEW))


def demand_numbers(folder: Path, models: Sequence[Any], dtype: str | None = None, hits: int = FEW) -> dict[str, Any]:
    """What the section says, ready for JSON: the key `demand` of report.json.

    It speaks of a sample of at most so many `hits` (`sampled`).

    Returns
    -------
    dict: `kind` of the hits, `hits`, `tokens`, `documents` and `documents_of` of the sample (`sampled`), `length` in
    tokens; `sizes`, a row per memory of C associations (`Demand.table`); `models` (`standings`); `comparisons`
    (`closing`), a row per model but the reference. Without hits the last three are empty.
    """
    from recallscope.slicing.records import read_records

    sample = sampled(folder, hits)
    counts = {name: getattr(sample, name) for name in ("kind", "hits", "documents", "documents_of", "length")}
    counts["tokens"] = sample.rows.num_rows
    if not sample.hits:
        return counts | {"sizes": [], "models": [], "comparisons": []}
    named: Mapping[str, Any] = dict(zip(read_records(folder).models, models, strict=True))
    reference, *others = named
    return counts | {
        "sizes": demand(sample.rows).table().to_pylist(),
        "models": standings(sample, named, dtype),
        "comparisons": [closing(sample.rows, model, reference) for model in others],
    }


def _names_weights(model: Any) -> bool:
    """A model to load, neither a function nor a file of losses."""
    return isinstance(model, str | Path) and "=" not in str(model)
