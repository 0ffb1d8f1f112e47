"""The files of a finished run: records, atoms, report, page."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from recallscope.slicing import job as steps
from recallscope.slicing.attribution import atoms, report, write_atoms
from recallscope.slicing.attribution.thresholds import threshold_count
from recallscope.slicing.job import Job
from recallscope.slicing.merge import merge
from recallscope.slicing.records import read_records
from recallscope.slicing.report import write_report
from recallscope.slicing.report.section import Section
from recallscope.slicing.report.views import document_views
from recallscope.slicing.settings import SliceSettings
from recallscope.slicing.tagging import Counts
from recallscope.text import Tokenizer

Further = Callable[[Path], Section | None]
"""From the folder that holds records and atoms to a further section of the report; None: nothing to say."""

OUTPUTS = ("records.parquet", "atoms.parquet", "report.json", "report.html")


def _metadata(
    job: Job, names: list[str], counts: Counts | None, text: str, tokenizer: Tokenizer | None, documents: int
) -> dict[str, Any]:
    windowing = job.settings.windowing
    return {
        "format": "recallscope-records-1",
        "models": names,
        "ngram": job.settings.ngram,
        "training_tokens": counts.tokens if counts else None,
        "training_source": counts.source if counts else None,
        "window": windowing.window,
        "stride": windowing.stride,
        "bos": windowing.bos,
        "documents": {"count": documents},
        "text": text,
        "tokenizer": tokenizer.hash if tokenizer else None,
    }


def _threshold(settings: SliceSettings, counts: Counts | None) -> int | None:
    """The headline threshold as a count, None when the training text is unknown."""
    return (
        threshold_count(settings.per_million, counts.tokens, settings.inclusive) if counts and counts.tokens else None
    )


def write_outputs(
    out: Path,
    job: Job,
    shards: int,
    names: list[str],
    counts: Counts | None,
    text: str,
    tokenizer: Tokenizer | None,
    further: Sequence[Further] = (),
) -> None:
    """Merge, reduce, report; `report.html` comes last, so that its presence means a finished run."""
    ids = steps.document_ids(job, shards)
    metadata = _metadata(job, names, counts, text, tokenizer, len(ids))
    path = out / "records.parquet"
    if not path.exists():
        merge(job, shards, names, counts, path, metadata)
    reduced = atoms(
        path,
        _threshold(job.settings, counts),
        per_million=job.settings.per_million,
        document_ids=ids,
        scored=job.settings.scored,
    )
    write_atoms(reduced, out / "atoms.parquet")
    sections = [section for make in further if (section := make(out))]
    found = report(reduced) | {section.name: section.numbers for section in sections}
    temporary = out / "report.json.tmp"
    temporary.write_text(json.dumps(found, indent=1) + "\n")
    os.replace(temporary, out / "report.json")
    names_of = [row["slice"] for row in found["comparisons"][0]["partitions"]["recall"]]
    views = document_views(read_records(out), reduced, names_of, ids, tokenizer)
    write_report(out / "report.html", found, views, sections)
    steps.clean(job)
