"""The files of a finished run: records, atoms, report, page."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from recallscope.disk import write_text
from recallscope.slicing.attribution import atoms, report, write_atoms
from recallscope.slicing.attribution.thresholds import threshold_count
from recallscope.slicing.job import Job, clean, document_ids, given_contexts, has_given
from recallscope.slicing.merge import merge
from recallscope.slicing.records import read_records, write_records
from recallscope.slicing.report import write_report
from recallscope.slicing.report.section import Section
from recallscope.slicing.report.views import document_views, token_views
from recallscope.slicing.segments import Mixed, scored_sizes, segment_rows, segment_views
from recallscope.slicing.settings import SliceSettings
from recallscope.slicing.tagging import Counts
from recallscope.text import Encoder

Further = Callable[[Path], Section | None]
"""From the folder that holds records and atoms to a further section of the report; None: nothing to say."""

OUTPUTS = ("records.parquet", "atoms.parquet", "report.json", "report.html")


def _metadata(
    job: Job, names: list[str], counts: Counts | None, text: str, tokenizer: Encoder | None, documents: int
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


def _segments(mixed: Mixed, shards: int) -> dict[str, Any]:
    """What a run with different tokenizers says more: rows are segments, their bytes, and what was left out."""
    sizes, unfaithful, windows = zip(*(scored_sizes(mixed, index) for index in range(shards)), strict=True)
    hashes = {name: mixed.tokenizers[job.work].hash for name, job in mixed.jobs.items()}
    return {
        "unit": "segment", "bytes": sum(sizes), "unfaithful_documents": sum(unfaithful), "tokenizers": hashes,
        "window": max(windows), "window_tokens": mixed.units.settings.windowing.window,
    }  # fmt: skip


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
    tokenizer: Encoder | None,
    mixed: Mixed | None = None,
    further: Sequence[Further] = (),
) -> None:
    """Merge, reduce, report; `report.html` comes last, so that its presence means a finished run."""
    ids = document_ids(job, shards)
    metadata = _metadata(job, names, counts, text, tokenizer, len(ids)) | (_segments(mixed, shards) if mixed else {})
    if any(has_given(job, index) for index in range(shards)):
        metadata["given"] = True  # rows do not begin with their documents
    path = out / "records.parquet"
    if not path.exists():
        if mixed:
            rows = (segment_rows(mixed, index, names, counts) for index in range(shards))
            write_records(path, names, metadata, rows)
        else:
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
    write_text(out / "report.json", json.dumps(found, indent=1) + "\n")
    names_of = [row["slice"] for row in found["comparisons"][0]["partitions"]["recall"]]
    shown = partial(segment_views, mixed) if mixed else partial(token_views, tokenizer)
    views = document_views(read_records(out), reduced, names_of, ids, shown, partial(given_contexts, job, shards))
    write_report(out / "report.html", found, views, sections)
    clean(job)
