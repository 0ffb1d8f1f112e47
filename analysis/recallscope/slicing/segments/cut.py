"""The text cut where the tokens of all tokenizers end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recallscope.text import Spans


def borders(spans: Sequence[Spans]) -> np.ndarray:
    """Ends of the segments of one text, in characters, rising, int64[S]: where a token of each tokenizer ends and no
    character is left incomplete. The last is the end of the text."""
    common: np.ndarray | None = None
    for one in spans:
        ends = np.unique(one.ends[one.complete & (one.ends > 0)])
        common = ends if common is None else common[np.isin(common, ends, assume_unique=True)]
    return np.zeros(0, np.int64) if common is None else common


def segment_of(segments: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The segment in which each token (or unit) ends, int64[T]."""
    return np.searchsorted(segments, ends, side="left")


def summed(losses: np.ndarray, segment: np.ndarray, count: int) -> np.ndarray:
    """Loss of each segment, float64[S]: the sum over its tokens; NaN where one of them was not scored."""
    return np.bincount(segment, losses, count)


def byte_lengths(text: str, segments: np.ndarray) -> np.ndarray:
    """Bytes of UTF-8 in each segment, int64[S]."""
    code = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    width = 1 + (code >= 0x80).astype(np.int64) + (code >= 0x800) + (code >= 0x10000)
    return np.diff(np.concatenate([[0], np.cumsum(width)])[np.concatenate([[0], segments])])
