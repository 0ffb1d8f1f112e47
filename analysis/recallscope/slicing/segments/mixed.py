"""The part of a slicing job that only models with different tokenizers need: the same documents in every tokenizer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from recallscope.slicing.job import Job, load_shard, save_arrays
from recallscope.slicing.segments.cut import borders, byte_lengths, segment_of
from recallscope.slicing.segments.units import unit_ends
from recallscope.text import Document, Shard, Spans, Tokenizer
from recallscope.text.shards import make_shard

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Mixed:
    """A run of models with different tokenizers.

    `units` is the job whose tokens are neutral units: there are the tags and the counts. `jobs` has the job of each
    model, whose tokens are those of its tokenizer; models that share one share a job. `tokenizers` are those of the
    jobs, by the job's folder.
    """

    units: Job
    jobs: Mapping[str, Job]
    tokenizers: Mapping[Path, Tokenizer]

    def segments_path(self, index: int) -> Path:
        return self.units.work / f"segments-{index:05}.npz"

    def load(self, index: int) -> Arrays:
        """The segments of a finished shard, see `align`."""
        with np.load(self.segments_path(index)) as arrays:
            return dict(arrays)


def mixed_job(units: Job, tokenizers: Mapping[str, Tokenizer]) -> Mixed:
    """The jobs of a run whose models (by name) have these tokenizers."""
    folders = {
        hash: units.work / f"tokenizer-{k}" for k, hash in enumerate(sorted({t.hash for t in tokenizers.values()}))
    }
    jobs = {name: Job(folders[one.hash], units.settings, one.bos, one.vocabulary) for name, one in tokenizers.items()}
    for folder in folders.values():
        folder.mkdir(exist_ok=True)
    return Mixed(units, jobs, {folders[one.hash]: one for one in tokenizers.values()})


def align(mixed: Mixed, documents: Iterable[Document], shards: int, advance: Callable[[int], None]) -> None:
    """For every shard of units: the tokens of each tokenizer, and the segments that they have in common.

    A job's shard holds, beside its tokens, the `segment` that each token ends in and the first `unit` that begins where
    the token does or later. The segments of a shard are `starts` (first segment of each document), `ends` in characters
    and `bytes`, the `unit` that holds the last character of each, `faithful` documents, and the `text` itself.
    """
    texts = iter(islice(documents, mixed.units.settings.limit))
    for index in range(shards):
        shard = load_shard(mixed.units, index)
        here = [document.text for document in islice(texts, len(shard.ids))]
        if mixed.segments_path(index).exists():
            continue
        if len(here) != len(shard.ids):
            raise ValueError("text: documents have gone since this run began")
        _align_shard(mixed, index, shard, here)
        advance(len(shard.tokens))
    if not any(mixed.load(index)["faithful"].any() for index in range(shards)):
        raise ValueError("text: no document comes back from the ids of every model's tokenizer")


def _align_shard(mixed: Mixed, index: int, shard: Shard, texts: Sequence[str]) -> None:
    every = {folder: tokenizer.spans(texts) for folder, tokenizer in mixed.tokenizers.items()}
    units = [unit_ends(text) for text in texts]
    faithful = np.array([all(spans[k].faithful for spans in every.values()) for k in range(len(texts))])
    cuts = [_cut(texts[k], [spans[k] for spans in every.values()], bool(faithful[k])) for k in range(len(texts))]
    first_unit, first_segment = _offsets(units), _offsets(cuts)
    for job in {id(job): job for job in mixed.jobs.values()}.values():
        spans = every[job.work]
        made = make_shard(shard.first, list(shard.ids), [one.ids for one in spans])
        inside = [
            segment_of(cut, np.minimum(one.ends, cut[-1] if len(cut) else 0))
            for cut, one in zip(cuts, spans, strict=True)
        ]
        begun = [_first_unit(ends, one) for ends, one in zip(units, spans, strict=True)]
        save_arrays(job.shard_path(index), {
            "tokens": made.tokens, "starts": made.starts, "first": np.array(made.first),
            "ids": np.frombuffer(json.dumps(made.ids).encode(), dtype=np.uint8),
            "segment": _shifted(inside, first_segment), "unit": _shifted(begun, first_unit),
        })  # fmt: skip
    last = [np.searchsorted(ends, cut, side="left") for ends, cut in zip(units, cuts, strict=True)]
    sizes = [byte_lengths(text, cut) for text, cut in zip(texts, cuts, strict=True)]
    save_arrays(mixed.segments_path(index), {
        "starts": first_segment, "ends": _joined(cuts), "bytes": _joined(sizes), "unit": _shifted(last, first_unit),
        "faithful": faithful, "text": np.frombuffer(json.dumps(list(texts)).encode(), dtype=np.uint8),
    })  # fmt: skip


def _cut(text: str, spans: Sequence[Spans], faithful: bool) -> np.ndarray:
    """Ends of the segments; a text that does not come back from its tokens is one segment, and is not scored."""
    if not text:
        return np.zeros(0, np.int64)
    return borders(spans) if faithful else np.array([len(text)])


def _first_unit(unit_ends: np.ndarray, spans: Spans) -> np.ndarray:
    """The first unit that begins where each token does, or later: with the token as the first visible one, the first
    unit that is wholly visible."""
    token_begins = np.concatenate([[0], spans.ends[:-1]])[: len(spans.ends)]
    unit_begins = np.concatenate([[0], unit_ends[:-1]])[: len(unit_ends)]
    return np.searchsorted(unit_begins, token_begins, side="left")


def _offsets(parts: Sequence[np.ndarray]) -> np.ndarray:
    lengths = np.array([len(part) for part in parts], dtype=np.int64)
    return np.cumsum(lengths) - lengths


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int64), *parts]).astype(np.int64)


def _shifted(parts: Sequence[np.ndarray], offsets: np.ndarray) -> np.ndarray:
    return _joined([part + offset for part, offset in zip(parts, offsets.tolist(), strict=True)])


def texts_of(arrays: Arrays) -> Iterator[str]:
    """The documents of a shard's segments."""
    yield from json.loads(arrays["text"].tobytes())
