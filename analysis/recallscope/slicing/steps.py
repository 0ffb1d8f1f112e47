"""What is done to one shard: tagged, counted in, scored. The same functions in this process and on a worker.

Each maker returns a step (see `engines`): it reads the files of a shard and writes one; a shard that has its file is
done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from recallscope.slicing.engines import LOCAL, Engine
from recallscope.slicing.engines.engine import Advance, Step
from recallscope.slicing.job import Job, load_shard, save_array, save_arrays, token_shards
from recallscope.slicing.scoring.losses_file import LossesFile
from recallscope.slicing.scoring.score import Scorer, check_finite, score_shard
from recallscope.slicing.scoring.windows import cut_windows, visible_context
from recallscope.slicing.tagging.counts import Counts, count_targeted, queries
from recallscope.slicing.tagging.tags import tag
from recallscope.text import Document, Encoder, Shard, read_token_array, tokenize

BLOCK = 64  # documents that one part of the training text takes in a row
Log = Callable[[str], Any]


def tag_shards(job: Job, shards: int, advance: Advance, engine: Engine = LOCAL) -> None:
    """Tags of every shard that has none yet."""
    missing = [index for index in range(shards) if not job.tags_path(index).exists()]
    engine.map(partial(tagging, job), missing, advance, _quiet)


def tagging(job: Job) -> Step:
    """A step that tags the tokens of a shard."""

    def step(index: int, advance: Advance) -> list[str]:
        shard = load_shard(job, index)
        save_arrays(job.tags_path(index), tag(shard.tokens, shard.starts, cap=job.settings.cap))
        advance(len(shard.tokens))
        return []

    return step


def count_training(
    job: Job,
    shards: int,
    training: Callable[[], Iterable[Document] | Path],
    tokenizer: Encoder | None,
    source: str,
    advance: Advance,
    engine: Engine = LOCAL,
) -> Counts:
    """How often the n-grams of the shards occur in the training text, counted by the engine's workers in equal parts.

    Kept in the work folder. A run that goes on with fewer or more workers keeps the parts it was begun with.
    """
    path = job.work / "counts.parquet"
    if not path.exists():
        if not job.queries_path.exists():
            save_array(job.queries_path, queries(token_shards(job, shards), job.settings.ngram, job.vocabulary))
        parts = job.counted_parts() or engine.parts()
        missing = [part for part in range(parts) if not job.part_path(part, parts).exists()]
        engine.map(partial(counting, job, parts, training, tokenizer, source), missing, advance, _quiet)
        counts = Counts.load(job.part_path(0, parts))
        for part in range(1, parts):
            counts = counts.merge(Counts.load(job.part_path(part, parts)))
        counts.save(path)
    return Counts.load(path)


def counting(
    job: Job,
    parts: int,
    training: Callable[[], Iterable[Document] | Path],
    tokenizer: Encoder | None,
    source: str,
) -> Step:
    """A step that counts the n-grams of the shards in one part of the training text."""
    asked = np.load(job.queries_path)

    def step(part: int, advance: Advance) -> list[str]:
        here = _reported(training_part(training(), tokenizer, job.bos, part, parts), advance)
        counts = count_targeted(asked, here, job.settings.ngram, job.vocabulary, source)
        counts.save(job.part_path(part, parts))
        return []

    return step


def training_part(
    source: Iterable[Document] | Path, tokenizer: Encoder | None, bos: int | None, part: int, parts: int
) -> Iterator[Shard]:
    """Every so many-th block of documents, or of a token array. Every worker reads all of the text, which is quick, and
    tokenises its part, which is not."""
    if isinstance(source, Path):
        return islice(read_token_array(source, bos), part, None, parts)
    if tokenizer is None:
        raise ValueError("training_text: needs a tokenizer, or a token array (.npy, .bin)")
    return tokenize((one for at, one in enumerate(source) if at // BLOCK % parts == part), tokenizer)


def _reported(shards: Iterable[Shard], advance: Advance) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for shard in shards:
        yield shard.tokens, shard.starts
        advance(len(shard.tokens))


def score_model(
    job: Job,
    name: str,
    open_model: Callable[[], Scorer | LossesFile],
    shards: int,
    advance: Advance,
    engine: Engine = LOCAL,
    log: Log = lambda line: None,
) -> None:
    """Losses of one model on every shard that has none yet. Each worker opens the model for itself, and lets it go."""
    missing = [index for index in range(shards) if not job.losses_path(name, index).exists()]
    engine.map(partial(scoring, job, open_model), missing, advance, log, models=True)


def scoring(job: Job, open_model: Callable[[], Scorer | LossesFile]) -> Step:
    """A step that scores a shard; it tells when memory ran out and a batch was halved."""
    model = open_model()

    def step(index: int, advance: Advance) -> list[str]:
        shard = load_shard(job, index)
        windows = cut_windows(shard.starts, len(shard.tokens), job.settings.windowing, shard.given)
        scored, _ = visible_context(windows, len(shard.tokens))
        lines: Sequence[str] = []
        if isinstance(model, LossesFile):
            losses = model.losses(shard, scored)
            advance(int(scored.sum()))
        else:
            losses = score_shard(model, shard, windows, job.bos, advance)
            check_finite(losses, scored, model, shard)
            lines = model.notes.copy()
            model.notes.clear()
        save_array(job.losses_path(model.name, index), losses)
        return [*lines]

    return step


def _quiet(line: str) -> None:
    pass
