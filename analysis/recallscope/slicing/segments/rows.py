"""Records of segments: losses summed over the tokens of each model, tags and counts of its last unit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recallscope.slicing.job import Job, load_shard, load_tags
from recallscope.slicing.merge import counts_of
from recallscope.slicing.scoring import cut_windows, visible_context
from recallscope.slicing.segments.cut import summed
from recallscope.slicing.segments.mixed import Arrays, Mixed, texts_of
from recallscope.slicing.tagging import Counts


def segment_rows(mixed: Mixed, index: int, models: Sequence[str], counts: Counts | None) -> Arrays:
    """The records of one shard: one row for each segment that every model scored in full.

    `position` counts segments; `context`, `distance_n`, `opportunity` and `match` count units, and belong to the unit
    that holds the segment's last character. `context` are the units before it that every model's window shows whole.
    """
    segments, units, tags = mixed.load(index), load_shard(mixed.units, index), load_tags(mixed.units, index)
    total, unit = len(segments["unit"]), segments["unit"]
    document = _document(segments["starts"], total)
    scored, first = _visible(mixed, index, segments)
    losses = {model: _losses(mixed.jobs[model], model, index, total) for model in models}
    columns = {
        "document": (units.first + document).astype(np.int32),
        "position": (np.arange(total) - segments["starts"][document]).astype(np.int32),
        "token": units.tokens[unit].astype(np.int32),
        "context": np.maximum(unit - first, 0).astype(np.int32),
        "count": counts_of(mixed.units, units, counts)[unit],
        **{name: values[unit] for name, values in tags.items()},
        **{f"loss_{model}": values.astype(np.float32) for model, values in losses.items()},
    }
    return {name: values[scored] for name, values in columns.items()}


def scored_sizes(mixed: Mixed, index: int) -> tuple[int, int, int]:
    """Of one shard: bytes of the segments that are scored, documents that do not survive a tokenizer, and the most
    units that a window shows before and with the last one of a segment."""
    segments = mixed.load(index)
    scored, first = _visible(mixed, index, segments)
    most = int((segments["unit"] - first)[scored].max(initial=0)) + 1
    return int(segments["bytes"][scored].sum()), int((~segments["faithful"]).sum()), most


def segment_views(
    mixed: Mixed, document: int, positions: np.ndarray, tokens: np.ndarray, distance: np.ndarray
) -> tuple[list[str], np.ndarray]:
    """For the page: text of the segments at these positions of a document, and how many of them ago (0: not) the unit
    ended that each one's distance, in units, points to."""
    index = 0
    while document >= (shard := load_shard(mixed.units, index)).first + len(shard.ids):
        index += 1
    segments, at = mixed.load(index), document - shard.first
    begin = int(segments["starts"][at])
    ends = segments["ends"][begin : begin + int(positions.max(initial=-1)) + 1]
    text = list(texts_of(segments))[at]
    pieces = [text[a:b] for a, b in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)]
    unit = segments["unit"][begin + positions]
    every = segments["unit"][begin : begin + len(ends)]
    after = np.searchsorted(every, unit - distance, side="right")
    # The last segment that ends in the earlier unit; where none does, the unit lies within the next one.
    holding = np.where(every[np.maximum(after - 1, 0)] == unit - distance, after - 1, after)
    shown = np.searchsorted(positions, holding, side="right") - 1  # unscored segments are not on the page
    ago = np.where((distance > 0) & (holding >= 0) & (shown >= 0), np.arange(len(positions)) - shown, 0)
    return [pieces[p] for p in positions.tolist()], ago


def _visible(mixed: Mixed, index: int, segments: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """Which segments every model scores in full, and the first unit that all their windows show whole."""
    total = len(segments["unit"])
    scored = segments["faithful"][_document(segments["starts"], total)].copy()
    first = np.zeros(total, np.int64)
    for job in {job.work: job for job in mixed.jobs.values()}.values():
        with np.load(job.shard_path(index)) as arrays:
            starts, segment, unit = arrays["starts"], arrays["segment"], arrays["unit"]
        windows = cut_windows(starts, len(segment), job.settings.windowing)
        tokens_scored, context = visible_context(windows, len(segment))
        scored &= np.bincount(segment, ~tokens_scored, total) == 0
        opening = np.searchsorted(segment, np.arange(total))  # the first token of each segment
        first = np.maximum(first, unit[opening - context[opening]])
    return scored, first


def _losses(job: Job, model: str, index: int, total: int) -> np.ndarray:
    with np.load(job.shard_path(index)) as arrays:
        segment = arrays["segment"]
    return summed(np.load(job.losses_path(model, index)).astype(np.float64), segment, total)


def _document(starts: np.ndarray, total: int) -> np.ndarray:
    return np.repeat(np.arange(len(starts)), np.diff(np.append(starts, total)))
