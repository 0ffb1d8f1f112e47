"""`slice_text`: from a text and two models to token records, atoms, a report and a page, in one call."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from recallscope.slicing import job as steps
from recallscope.slicing.attribution.atoms import atoms, write_atoms
from recallscope.slicing.attribution.summary import report
from recallscope.slicing.attribution.thresholds import threshold_count
from recallscope.slicing.job import Job
from recallscope.slicing.progress import progress_bar
from recallscope.slicing.records import Records, read_records
from recallscope.slicing.report import write_report
from recallscope.slicing.report.views import document_views
from recallscope.slicing.scoring.losses_file import LossesFile
from recallscope.slicing.scoring.score import Scorer
from recallscope.slicing.settings import SliceSettings, claim_folder, manifest_of
from recallscope.slicing.sources import (
    ModelLike,
    Text,
    TextLike,
    resolve_counts,
    resolve_models,
    resolve_text,
    resolve_tokenizer,
)
from recallscope.slicing.tagging.counts import Counts
from recallscope.text import Tokenizer, tokenize

OUTPUTS = ("records.parquet", "atoms.parquet", "report.json", "report.html")


def slice_text(
    models: Sequence[ModelLike],
    text: TextLike | None = None,
    out: str | Path | None = None,
    *,
    tokenizer: str | Path | Tokenizer | None = None,
    counts: str | Path | Counts | None = None,
    training_text: TextLike | None = None,
    settings: SliceSettings | None = None,
    device: str = "cpu",
    batch_tokens: int = 8192,
    show_progress: bool | None = None,
    log: Callable[[str], None] | None = None,
) -> Records:
    """Score a text with two or more models and attribute the gaps of their losses.

    Parameters
    ----------
    models : sequence
        The reference first. Each a bundled name, a model folder, a hub name, a callable
        `ids [B, T + 1] -> nll [B, T]`, or `NAME=FILE.parquet` for losses computed elsewhere.
    text : path, `hf:NAME`, documents or strings, optional
        What to score (see `recallscope.text.read_documents`; also `.npy` and `.bin` token arrays). Default: the
        held-out packages of the installation.
    out : path, optional
        Folder for `records.parquet`, `atoms.parquet`, `report.json` and `report.html`. A run that was interrupted goes
        on where it was when called again; a finished one is read. Default: a temporary folder, gone with the result.
    tokenizer : path or Tokenizer, optional
        Default: the models' own, which must be the same.
    counts, training_text : optional
        Counts of n-grams in the training text, or that text to count in. Bundled models bring their own.
    settings : SliceSettings, optional
        Windows, n-gram, threshold, limit.
    device : str
        torch device of the models.
    batch_tokens : int
        Input tokens per batch; halved when memory runs out.
    show_progress : bool, optional
        Default: if stderr is a terminal.
    log : callable, optional
        Receives one line of plain text per event worth knowing (the estimate of the time, a halved batch).

    Returns
    -------
    Records

    Raises
    ------
    ValueError
        For every kind of bad input, naming the argument; nothing on disk is changed then.
    """
    settings = settings or SliceSettings()
    found = resolve_models(models, device, settings.dtype)
    for model in found:
        if isinstance(model, Scorer):
            model.batch_tokens = batch_tokens
    source = resolve_text(text)
    shared = resolve_tokenizer(models, tokenizer)
    if shared is None and source.token_file is None:
        raise ValueError("tokenizer: the models bring none; name a tokenizer.json or a folder that holds one")
    given, training, counts_identity = resolve_counts(counts, training_text, models, settings.ngram)
    vocabulary = _vocabulary(found, shared)
    if given is not None and given.vocabulary != vocabulary:
        raise ValueError(f"counts: made for {given.vocabulary} token ids, the models have {vocabulary}")
    manifest = manifest_of(
        settings,
        [(m.name, m.identity) for m in found],
        shared.hash if shared else "none",
        source.identity,
        counts_identity,
    )
    keep = None
    if out is None:
        keep = _TemporaryFolder()
        out = keep.path
    out = Path(out)
    claim_folder(out, manifest)
    if not all((out / name).exists() for name in OUTPUTS):
        _run(
            out, settings, found, source, shared, given, training, vocabulary, show_progress, log or (lambda line: None)
        )
    return replace(read_records(out), keep=keep)


class _TemporaryFolder:
    """A folder that goes, without a word, with the last reference to it."""

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix="recallscope-")
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def _vocabulary(models: Sequence[Scorer | LossesFile], tokenizer: Tokenizer | None) -> int:
    """Ids that tokens may have: the tokenizer's, or without one the smallest model's, or 2³¹."""
    if tokenizer is not None:
        known = tokenizer.vocabulary
        for model in models:
            if isinstance(model, Scorer) and model.vocabulary is not None and model.vocabulary < known:
                raise ValueError(f"tokenizer: has {known} ids, but model {model.name} knows only {model.vocabulary}")
        return known
    sizes = [m.vocabulary for m in models if isinstance(m, Scorer) and m.vocabulary is not None]
    return min(sizes, default=2**31)


def _run(
    out: Path,
    settings: SliceSettings,
    models: list[Scorer | LossesFile],
    source: Text,
    tokenizer: Tokenizer | None,
    counts: Counts | None,
    training: Text | None,
    vocabulary: int,
    show: bool | None,
    log: Callable[[str], None],
) -> None:
    job = Job(out / "work", settings, tokenizer.bos if tokenizer else None, vocabulary)
    job.work.mkdir(exist_ok=True)
    heartbeat = job.work / "progress.json"
    with progress_bar("tokenise and tag", None, heartbeat, show) as advance:
        where = source.token_file or source.documents()  # type: ignore[misc]
        shards = steps.tokenize_and_tag(job, where, tokenizer, advance)
    if training is not None:
        with progress_bar("count", None, heartbeat, show) as advance:
            counts = steps.count_training(
                job, shards, _training_shards(training, tokenizer, job), training.name, advance
            )
    names = [model.name for model in models]
    remaining = steps.scored_tokens(job, shards, names)
    if not any(remaining) and not any(job.losses_path(name, 0).exists() for name in names):
        raise ValueError("text: too short, no token can be scored")
    while models:  # a model is dropped, and its memory freed, before the next one loads
        model = models.pop(0)
        with progress_bar(f"score {model.name}", remaining.pop(0), heartbeat, show) as advance:
            steps.score_model(job, model, shards, advance)
        if isinstance(model, Scorer):
            for note in model.notes:
                log(note)
    _write_outputs(out, job, shards, names, counts, source, tokenizer)


def _training_shards(training: Text, tokenizer: Tokenizer | None, job: Job) -> Any:
    if training.token_file is not None:
        from recallscope.text.shards import read_token_array

        return read_token_array(training.token_file, job.bos)
    if tokenizer is None:
        raise ValueError("training_text: needs a tokenizer, or a token array (.npy, .bin)")
    return tokenize(training.documents(), tokenizer)  # type: ignore[misc]


def _metadata(
    job: Job, names: list[str], counts: Counts | None, source: Text, tokenizer: Tokenizer | None, documents: int
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
        "text": source.name,
        "tokenizer": tokenizer.hash if tokenizer else None,
    }


def _threshold(settings: SliceSettings, counts: Counts | None) -> int | None:
    """The headline threshold as a count, None when the training text is unknown."""
    return (
        threshold_count(settings.per_million, counts.tokens, settings.inclusive) if counts and counts.tokens else None
    )


def _write_outputs(
    out: Path, job: Job, shards: int, names: list[str], counts: Counts | None, source: Text, tokenizer: Tokenizer | None
) -> None:
    """Merge, reduce, report; `report.html` comes last, so that its presence means a finished run."""
    ids = steps.document_ids(job, shards)
    metadata = _metadata(job, names, counts, source, tokenizer, len(ids))
    path = out / "records.parquet"
    if not path.exists():
        steps.merge(job, shards, names, counts, path, metadata)
    reduced = atoms(
        path,
        _threshold(job.settings, counts),
        per_million=job.settings.per_million,
        document_ids=ids,
        scored=job.settings.scored,
    )
    write_atoms(reduced, out / "atoms.parquet")
    found = report(reduced)
    temporary = out / "report.json.tmp"
    temporary.write_text(json.dumps(found, indent=1) + "\n")
    os.replace(temporary, out / "report.json")
    names_of = [row["slice"] for row in found["comparisons"][0]["partitions"]["recall"]]
    views = document_views(read_records(out), reduced, names_of, ids, tokenizer)
    write_report(out / "report.html", found, views)
    steps.clean(job)
