"""`slice_text`: from a text and two models to token records, atoms, a report and a page, in one call."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from recallscope.checks import check_folder
from recallscope.disk import LOCK, locked
from recallscope.progress import estimated, progress_bar
from recallscope.slicing.engines import Engine, engine_of
from recallscope.slicing.job import Job, scored_tokens, tokenize_text
from recallscope.slicing.outputs import OUTPUTS, Further, write_outputs
from recallscope.slicing.records import Records, read_records
from recallscope.slicing.segments.mixed import align, mixed_job
from recallscope.slicing.settings import SliceSettings, claim_folder, manifest_of, released_on_bad_input
from recallscope.slicing.sources import Inputs, ModelLike, TextLike, resolve_inputs
from recallscope.slicing.steps import count_training, score_model, tag_shards
from recallscope.slicing.tagging import Counts
from recallscope.text import Tokenizer


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
    further: Sequence[Further] = (),
    engine: str = "local",
    workers: int | None = None,
) -> Records:
    """Score a text with two or more models and attribute the gaps of their losses.

    Parameters
    ----------
    models : sequence
        The reference first. Each a bundled name, a model folder, a hub name, a callable
        `ids [B, T + 1] -> nll [B, T]`, or `NAME=FILE.parquet` or `NAME=FILE.kld` for losses computed elsewhere (see
        `recallscope.slicing.scoring.LossesFile`).
    text : path, `hf:NAME`, documents or strings, optional
        What to score (see `recallscope.text.read_documents`; also `.npy` and `.bin` token arrays). Default: the
        held-out packages of the installation.
    out : path, optional
        Folder for `records.parquet`, `atoms.parquet`, `report.json` and `report.html`. A run that was interrupted goes
        on where it was when called again; a finished one is read. Default: a temporary folder, gone with the result.
    tokenizer : path or Tokenizer, optional
        Default: the models' own. If these differ, the text is cut where the tokens of all of them end, and each row is
        such a segment (`recallscope.slicing.segments`).
    counts, training_text : optional
        Counts of n-grams in the training text, or that text to count in. Bundled models bring their own.
    settings : SliceSettings, optional
        Windows, n-gram, threshold, limit.
    device : str
        torch device of the models; or auto, balanced, sequential: Hugging Face models spread over all devices there
        are, which needs accelerate.
    batch_tokens : int
        Input tokens per batch; halved when memory runs out.
    show_progress : bool, optional
        Default: if stderr is a terminal.
    log : callable, optional
        Receives one line of plain text per event worth knowing (the estimate of the time, a halved batch).
    further : sequence of callables
        Makers of further sections of the report, from the run's folder; what is no part of slicing.
    engine : {"local", "daft", "ray"}
        This process; Daft's workers on this machine; Daft on the Ray cluster that the environment's RAY_ADDRESS names,
        or on a Ray of this machine's own. On a cluster, `out` and all input lie where every machine sees them. A run
        may be gone on with by another engine.
    workers : int, optional
        Models at work at one time. Default: one; on Ray one for each GPU with `device="cuda"`, else for each machine.

    Returns
    -------
    Records

    Raises
    ------
    ValueError
        For every kind of bad input, naming the argument; nothing on disk is changed then.
    """
    settings = settings or SliceSettings()
    where = engine_of(engine, workers, device)
    away = engine == "ray"
    inputs = resolve_inputs(models, text, tokenizer, counts, training_text, settings, device, batch_tokens, away)
    keep = None
    if out is None:
        keep = _TemporaryFolder()
        out = keep.path
    out = Path(out)
    check_folder("out", out)
    over = _finished(out) and not any(
        (out / name).exists() for name in ("work", LOCK)
    )  # such a folder may be read-only
    with nullcontext() if over else locked(out):
        claim_folder(out, manifest_of(settings, inputs.identities()))
        if _finished(out):
            shutil.rmtree(out / "work", ignore_errors=True)  # killed while it tidied up
        else:
            with released_on_bad_input(out):
                _run(out, settings, inputs, show_progress, log or (lambda line: None), further, where)
    return replace(read_records(out), keep=keep)


def _finished(out: Path) -> bool:
    return all((out / name).exists() for name in OUTPUTS)


class _TemporaryFolder:
    """A folder that goes, without a word, with the last reference to it."""

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix="recallscope-")
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def _run(
    out: Path,
    settings: SliceSettings,
    inputs: Inputs,
    show: bool | None,
    log: Callable[[str], None],
    further: Sequence[Further],
    engine: Engine,
) -> None:
    tokenizer, counts = inputs.tokenizer, inputs.counts
    job = Job(out.absolute() / "work", settings, tokenizer.bos if tokenizer else None, inputs.vocabulary)
    mixed = None
    job.work.mkdir(exist_ok=True)
    heartbeat = job.work / "progress.json"
    with progress_bar("tokenise", None, heartbeat, show) as advance:
        shards = tokenize_text(job, inputs.text.open(), tokenizer, advance)
    with progress_bar("tag", None, heartbeat, show) as advance:
        tag_shards(job, shards, advance, engine)
    if inputs.mixed:
        mixed = mixed_job(job, inputs.mixed)
        with progress_bar("align the tokenizers", None, heartbeat, show) as advance:
            align(mixed, inputs.text.open(), shards, advance)  # type: ignore[arg-type]  # a token array was refused
    if inputs.training is not None:
        training = inputs.training
        with progress_bar("count", None, heartbeat, show) as advance:
            counts = count_training(job, shards, training.open, tokenizer, training.name, advance, engine)
    names = [model.name for model in inputs.models]
    jobs = mixed.jobs if mixed else dict.fromkeys(names, job)
    _score(jobs, inputs, shards, heartbeat, show, log, engine)
    write_outputs(out, job, shards, names, counts, inputs.text.name, tokenizer, mixed, further)


def _score(
    jobs: Mapping[str, Job],
    inputs: Inputs,
    shards: int,
    heartbeat: Path,
    show: bool | None,
    log: Callable[[str], None],
    engine: Engine,
) -> None:
    """Score with one model after the other; each is dropped, and its memory freed, before the next one loads."""
    names = [model.name for model in inputs.models]
    remaining = [scored_tokens(jobs[name], shards, name) for name in names]
    if not any(remaining) and not any(jobs[name].losses_path(name, 0).exists() for name in names):
        raise ValueError("text: too short, no token can be scored")
    for at, name in enumerate(names):
        with progress_bar(f"score {name}", remaining[at], heartbeat, show) as advance:
            told = estimated(advance, name, remaining[at:], log)
            score_model(jobs[name], name, inputs.open[name], shards, told, engine, log)
