"""Losses per token of any causal model: windows in batches of equal length, the head in chunks, float32 losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from recallscope.slicing.scoring.windows import Windows
from recallscope.text import Shard

ROUNDING = 1e-2  # nats

Score = Callable[[np.ndarray], np.ndarray]
"""`ids [B, T + 1] -> nll [B, T]`, float32 nats: position t is the loss of `ids[:, t + 1]` given `ids[:, : t + 1]`."""


@dataclass
class Scorer:
    """A model that can score: its name, the contract, and what identifies it in a manifest.

    Attributes
    ----------
    name : str
        How tables and columns call it.
    score : callable
        `ids [B, T + 1] -> nll [B, T]`.
    identity : str
        Hash of the weights, or another text that changes when the losses would.
    vocabulary : int or None
        Number of token ids the model knows; None when unknown.
    batch_tokens : int
        Tokens per batch; halved, and kept so, when memory runs out.
    """

    name: str
    score: Score
    identity: str
    vocabulary: int | None = None
    batch_tokens: int = 8192
    notes: list[str] = field(default_factory=list)


class Named(Protocol):
    """A scorer, or a file of losses."""

    @property
    def name(self) -> str: ...


def score_shard(
    scorer: Scorer, shard: Shard, windows: Windows, bos: int | None, advance: Callable[[int], None] | None = None
) -> np.ndarray:
    """Loss of every scored token of a shard, float32[N]; NaN where no window scores the token.

    Windows of equal length share a batch; shorter ones are padded on the right, which a causal model cannot see.
    `advance(n)` is called with the number of tokens just scored.
    """
    losses = np.full(len(shard.tokens), np.nan, dtype=np.float32)
    if windows.bos.any() and bos is None:
        raise ValueError("bos: the tokenizer has no beginning-of-text token; use bos='none'")
    for rows in _batches(windows, scorer):
        _score_rows(scorer, shard, windows, rows, bos or 0, losses)
        if advance:
            advance(int((windows.end[rows] - windows.scored[rows]).sum()))
    return losses


def _batches(windows: Windows, scorer: Scorer) -> Iterator[np.ndarray]:
    """Window indices, longest first, as many as the token budget allows (read anew, it may have been halved)."""
    order = np.argsort(-windows.inputs, kind="stable")
    at = 0
    while at < len(order):
        longest = int(windows.inputs[order[at]])
        count = max(scorer.batch_tokens // max(longest, 1), 1)
        yield order[at : at + count]
        at += count


def _score_rows(scorer: Scorer, shard: Shard, windows: Windows, rows: np.ndarray, bos: int, losses: np.ndarray) -> None:
    ids = _fill(shard, windows, rows, bos)
    try:
        nll = scorer.score(ids)
    except (RuntimeError, MemoryError) as error:
        if not _out_of_memory(error):
            raise
        if len(rows) == 1:
            why = f"model {scorer.name}: memory ends with one window of {ids.shape[1] - 1} tokens; choose a shorter one"
            raise MemoryError(why) from error
        scorer.batch_tokens = max(scorer.batch_tokens // 2, 1)
        scorer.notes.append(f"{scorer.name}: out of memory, batch halved to {scorer.batch_tokens} tokens")
        for half in np.array_split(rows, 2):
            _score_rows(scorer, shard, windows, half, bos, losses)
        return
    if nll.shape != (ids.shape[0], ids.shape[1] - 1):
        expected = (ids.shape[0], ids.shape[1] - 1)
        raise ValueError(
            f"model {scorer.name}: must return losses of shape {expected} for ids {ids.shape}, got {nll.shape}"
        )
    for row, found in zip(rows, nll, strict=True):
        count = windows.end[row] - windows.scored[row]
        last = windows.inputs[row]
        losses[windows.scored[row] : windows.end[row]] = found[last - count : last]


def _fill(shard: Shard, windows: Windows, rows: np.ndarray, bos: int) -> np.ndarray:
    """`[B, T + 1]` ids of the windows, padded on the right with zeros."""
    ids = np.zeros((len(rows), int(windows.inputs[rows].max()) + 1), dtype=np.int64)
    for line, row in zip(ids, rows, strict=True):
        offset = int(windows.bos[row])
        line[0] = bos  # overwritten where the window has none
        covered = shard.tokens[windows.begin[row] : windows.end[row]]
        line[offset : offset + len(covered)] = covered
    return ids


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or "memory" in str(error).lower()


def check_finite(losses: np.ndarray, scored: np.ndarray, scorer: Named, shard: Shard) -> None:
    """Refuse NaN, infinite and negative losses, naming the model and the first document concerned.

    Rounding can make the loss of a certain token slightly negative; beyond `ROUNDING` nats it is no such loss.
    """
    bad = scored & ~((losses >= -ROUNDING) & (losses < np.inf))
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        document = int(np.searchsorted(shard.starts, at, side="right")) - 1
        value = "NaN" if math.isnan(losses[at]) else str(losses[at])
        position = at - int(shard.starts[document])
        negative = losses[at] < 0 and value != "-inf"
        why = "a negative log-likelihood is at least 0" if negative else "its weights or its dtype are broken"
        raise ValueError(
            f"model {scorer.name}: loss {value} at token {position} of document {shard.ids[document]!r}; {why}"
        )
