"""The slicing job on disk: tokenise and tag, count, score, merge; each shard once, whatever interrupts it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from recallscope.slicing.records import TAG_COLUMNS
from recallscope.slicing.scoring.losses_file import LossesFile
from recallscope.slicing.scoring.score import Scorer, check_finite, score_shard
from recallscope.slicing.scoring.windows import cut_windows, visible_context
from recallscope.slicing.settings import SliceSettings
from recallscope.slicing.tagging.counts import Counts, count_targeted, queries
from recallscope.slicing.tagging.tags import tag
from recallscope.text import Document, Encoder, Shard, tokenize
from recallscope.text.shards import read_token_array

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Job:
    """One slicing run: its folder for unfinished work, its settings, and how many ids its tokens can have."""

    work: Path
    settings: SliceSettings
    bos: int | None
    vocabulary: int

    def shard_path(self, index: int) -> Path:
        return self.work / f"shard-{index:05}.npz"

    def losses_path(self, model: str, index: int) -> Path:
        return self.work / f"losses-{model}-{index:05}.npy"

    def shard_count(self) -> int:
        """Number of finished shards."""
        index = 0
        while self.shard_path(index).exists():
            index += 1
        return index


def tokenize_and_tag(job: Job, source: Iterable[Document] | Path, tokenizer: Encoder | None, advance: Advance) -> int:
    """Write every shard of the text with its tags, after the last finished one; returns the number of shards."""
    done = job.work / "tokens.json"
    if done.exists():
        return json.loads(done.read_text())["shards"]
    index = job.shard_count()
    first = 0
    if index:
        last = load_shard(job, index - 1)
        first = last.first + len(last.ids)
    total = 0
    for shard in _shards_after(job, source, tokenizer, first):
        _save_shard(job, index, shard)
        index += 1
        total += len(shard.tokens)
        advance(len(shard.tokens))
    if not index:
        raise ValueError("text: no documents in it")
    _write_json(done, {"shards": index})
    return index


def _shards_after(
    job: Job, source: Iterable[Document] | Path, tokenizer: Encoder | None, first: int
) -> Iterator[Shard]:
    """Shards of the documents from number `first` on, up to the limit; numbers count from the corpus's start."""
    limit, size = job.settings.limit, job.settings.shard_tokens
    if isinstance(source, Path):
        for shard in read_token_array(source, job.bos, size):
            if shard.first >= first and (limit is None or shard.first < limit):
                yield _cut(shard, limit)
        return
    assert tokenizer is not None
    for shard in tokenize(islice(source, first, limit), tokenizer, size):
        yield Shard(first + shard.first, shard.ids, shard.tokens, shard.starts)


def _cut(shard: Shard, limit: int | None) -> Shard:
    """The shard without the documents at or after number `limit`."""
    count = len(shard.ids) if limit is None else min(limit - shard.first, len(shard.ids))
    end = int(shard.starts[count]) if count < len(shard.ids) else len(shard.tokens)
    return Shard(shard.first, shard.ids[:count], shard.tokens[:end], shard.starts[:count])


def _save_shard(job: Job, index: int, shard: Shard) -> None:
    if len(shard.tokens) and int(shard.tokens.max()) >= job.vocabulary:
        raise ValueError(f"text: token id {int(shard.tokens.max())} is not among the model's {job.vocabulary} ids")
    ids = np.frombuffer(json.dumps(shard.ids).encode(), dtype=np.uint8)
    tags = tag(shard.tokens, shard.starts, cap=job.settings.cap)
    arrays = {"tokens": shard.tokens, "starts": shard.starts, "first": np.array(shard.first), "ids": ids, **tags}
    save_arrays(job.shard_path(index), arrays)


def save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write `.npz` under a temporary name, then rename."""
    with open(f"{path}.tmp", "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    os.replace(f"{path}.tmp", path)


def load_shard(job: Job, index: int) -> Shard:
    """A finished shard."""
    with np.load(job.shard_path(index)) as arrays:
        ids = tuple(json.loads(arrays["ids"].tobytes()))
        return Shard(int(arrays["first"]), ids, arrays["tokens"], arrays["starts"])


def load_tags(job: Job, index: int) -> dict[str, np.ndarray]:
    """The tags of a finished shard."""
    with np.load(job.shard_path(index)) as arrays:
        return {name: arrays[name] for name in (*TAG_COLUMNS, "match")}


def token_shards(job: Job, shards: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Tokens and starts of every finished shard."""
    for index in range(shards):
        shard = load_shard(job, index)
        yield shard.tokens, shard.starts


def count_training(job: Job, shards: int, training: Iterable[Shard], source: str, advance: Advance) -> Counts:
    """How often the n-grams of the shards occur in the training text; computed once, kept in the work folder."""
    path = job.work / "counts.parquet"
    if not path.exists():
        wanted = queries(token_shards(job, shards), job.settings.ngram, job.vocabulary)
        count_targeted(wanted, _reported(training, advance), job.settings.ngram, job.vocabulary, source).save(path)
    return Counts.load(path)


def _reported(shards: Iterable[Shard], advance: Advance) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for shard in shards:
        yield shard.tokens, shard.starts
        advance(len(shard.tokens))


def score_model(job: Job, model: Scorer | LossesFile, shards: int, advance: Advance) -> None:
    """Losses of one model on every shard that has none yet."""
    for index in range(shards):
        path = job.losses_path(model.name, index)
        if path.exists():
            continue
        shard = load_shard(job, index)
        windows = cut_windows(shard.starts, len(shard.tokens), job.settings.windowing)
        scored, _ = visible_context(windows, len(shard.tokens))
        if isinstance(model, LossesFile):
            losses = model.losses(shard, scored)
            advance(int(scored.sum()))
        else:
            losses = score_shard(model, shard, windows, job.bos, advance)
            check_finite(losses, scored, model, shard)
        with open(f"{path}.tmp", "wb") as file:
            np.save(file, losses)
        os.replace(f"{path}.tmp", path)


def scored_tokens(job: Job, shards: int, model: str) -> int:
    """Tokens that a model still has to score."""
    return sum(_scored_in(job, index) for index in range(shards) if not job.losses_path(model, index).exists())


def _scored_in(job: Job, index: int) -> int:
    shard = load_shard(job, index)
    windows = cut_windows(shard.starts, len(shard.tokens), job.settings.windowing)
    return int((windows.end - windows.scored).sum())


def document_ids(job: Job, shards: int) -> list[str]:
    """Identifiers of all documents, in order."""
    return [one for index in range(shards) for one in load_shard(job, index).ids]


def clean(job: Job) -> None:
    """Drop the unfinished work of a finished run."""
    shutil.rmtree(job.work)


def _write_json(path: Path, content: Any) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(content) + "\n")
    os.replace(temporary, path)
