"""From finished shards to `records.parquet`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recallscope.slicing.job import Job, load_shard, load_tags
from recallscope.slicing.records import write_records
from recallscope.slicing.scoring import cut_windows, visible_context
from recallscope.slicing.tagging import Counts, ngram_keys
from recallscope.text import Shard


def merge(
    job: Job, shards: int, models: Sequence[str], counts: Counts | None, path: Path, metadata: dict[str, Any]
) -> int:
    """Write `records.parquet` from the finished shards; returns the number of records."""
    rows = (record_rows(job, index, models, counts) for index in range(shards))
    return write_records(path, models, metadata, rows)


def record_rows(job: Job, index: int, models: Sequence[str], counts: Counts | None) -> dict[str, np.ndarray]:
    """The records of one shard: scored tokens only."""
    shard, tags = load_shard(job, index), load_tags(job, index)
    total = len(shard.tokens)
    windows = cut_windows(shard.starts, total, job.settings.windowing, shard.given)
    scored, context = visible_context(windows, total)
    lengths = np.diff(np.append(shard.starts, total))
    columns = {
        "document": np.repeat(np.arange(shard.first, shard.first + len(shard.ids), dtype=np.int32), lengths),
        "position": (np.arange(total) - np.repeat(shard.starts, lengths)).astype(np.int32),
        "token": shard.tokens.astype(np.int32),
        "context": context,
        "count": counts_of(job, shard, counts),
        **tags,
    }
    for model in models:
        columns[f"loss_{model}"] = np.load(job.losses_path(model, index))
    return {name: values[scored] for name, values in columns.items()}


def counts_of(job: Job, shard: Shard, counts: Counts | None) -> np.ndarray:
    """Training count of the n-gram that ends at each token of a shard, int64; -1 where there are no counts."""
    if counts is None:
        return np.full(len(shard.tokens), -1, dtype=np.int64)
    keys, valid = ngram_keys(shard.tokens, shard.starts, job.settings.ngram, job.vocabulary)
    found = counts.lookup(keys, valid)
    return np.where(valid, found, 0)  # the first tokens of a document end no n-gram: never a repeat, counted as unseen
