"""The slicing job on disk: its shards of tokens, and where the results of each stand, whatever interrupts it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from recallscope.disk import replaced, write_text
from recallscope.slicing.records import TAG_COLUMNS
from recallscope.slicing.scoring.windows import cut_windows
from recallscope.slicing.settings import SliceSettings
from recallscope.text import Document, Encoder, Shard, tokenize
from recallscope.text.shards import limited, read_token_array

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

    def tags_path(self, index: int) -> Path:
        return self.work / f"tags-{index:05}.npz"

    def losses_path(self, model: str, index: int) -> Path:
        return self.work / f"losses-{model}-{index:05}.npy"

    @property
    def queries_path(self) -> Path:
        """The n-grams of the text, which are counted in the training text."""
        return self.work / "queries.npy"

    def part_path(self, part: int, parts: int) -> Path:
        """Their counts in one part of the training text."""
        return self.work / f"counts-{part:05}-of-{parts:05}.parquet"

    def counted_parts(self) -> int:
        """Into how many parts the training text was divided when counting began, 0 if it did not."""
        return max((int(path.stem[-5:]) for path in self.work.glob("counts-*-of-*.parquet")), default=0)

    def shard_count(self) -> int:
        """Number of finished shards."""
        index = 0
        while self.shard_path(index).exists():
            index += 1
        return index


def tokenize_text(job: Job, source: Iterable[Document] | Path, tokenizer: Encoder | None, advance: Advance) -> int:
    """Write every shard of the text, after the last finished one; returns the number of shards."""
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
    write_text(done, json.dumps({"shards": index}) + "\n")
    return index


def _shards_after(
    job: Job, source: Iterable[Document] | Path, tokenizer: Encoder | None, first: int
) -> Iterator[Shard]:
    """Shards of the documents from number `first` on, up to the limit; numbers count from the corpus's start."""
    limit, size = job.settings.limit, job.settings.shard_tokens
    if isinstance(source, Path):
        for shard in limited(read_token_array(source, job.bos, size), limit):
            if shard.first >= first:
                yield shard
        return
    assert tokenizer is not None
    for shard in tokenize(islice(source, first, limit), tokenizer, size):
        yield replace(shard, first=first + shard.first)


def _save_shard(job: Job, index: int, shard: Shard) -> None:
    if len(shard.tokens) and int(shard.tokens.max()) >= job.vocabulary:
        raise ValueError(f"text: token id {int(shard.tokens.max())} is not among the model's {job.vocabulary} ids")
    ids = np.frombuffer(json.dumps(shard.ids).encode(), dtype=np.uint8)
    arrays = {"tokens": shard.tokens, "starts": shard.starts, "first": np.array(shard.first), "ids": ids}
    if shard.given is not None:
        arrays["given"] = shard.given
    save_arrays(job.shard_path(index), arrays)


def save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write `.npz` under a temporary name, then rename."""
    with replaced(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def save_array(path: Path, array: np.ndarray) -> None:
    """Write `.npy` in the same way."""
    with replaced(path) as temporary, open(temporary, "wb") as file:
        np.save(file, array)


def load_shard(job: Job, index: int) -> Shard:
    """A finished shard."""
    with np.load(job.shard_path(index)) as arrays:
        ids = tuple(json.loads(arrays["ids"].tobytes()))
        given = arrays["given"] if "given" in arrays else None
        return Shard(int(arrays["first"]), ids, arrays["tokens"], arrays["starts"], given)


def load_tags(job: Job, index: int) -> dict[str, np.ndarray]:
    """The tags of a finished shard."""
    with np.load(job.tags_path(index)) as arrays:
        return {name: arrays[name] for name in (*TAG_COLUMNS, "match")}


def token_shards(job: Job, shards: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Tokens and starts of every finished shard."""
    for index in range(shards):
        shard = load_shard(job, index)
        yield shard.tokens, shard.starts


def scored_tokens(job: Job, shards: int, model: str) -> int:
    """Tokens that a model still has to score."""
    return sum(_scored_in(job, index) for index in range(shards) if not job.losses_path(model, index).exists())


def _scored_in(job: Job, index: int) -> int:
    shard = load_shard(job, index)
    windows = cut_windows(shard.starts, len(shard.tokens), job.settings.windowing, shard.given)
    return int((windows.end - windows.scored).sum())


def document_ids(job: Job, shards: int) -> list[str]:
    """Identifiers of all documents, in order."""
    return [one for index in range(shards) for one in load_shard(job, index).ids]


def has_given(job: Job, index: int) -> bool:
    """Whether documents of a shard were given a context, which nobody scores."""
    with np.load(job.shard_path(index)) as arrays:
        return "given" in arrays


def given_contexts(job: Job, shards: int, wanted: Sequence[int]) -> dict[int, np.ndarray]:
    """Tokens of the contexts that were given before the scored tokens of some documents, by the document's number."""
    found: dict[int, np.ndarray] = {}
    for index in range(shards):
        if not has_given(job, index):
            continue
        shard = load_shard(job, index)
        assert shard.given is not None
        for document in set(wanted) & set(range(shard.first, shard.first + len(shard.ids))):
            start = shard.starts[document - shard.first]
            found[document] = shard.tokens[start : start + shard.given[document - shard.first]]
    return found


def clean(job: Job) -> None:
    """Drop the unfinished work of a finished run."""
    shutil.rmtree(job.work)
