"""Where has this token's n-gram been seen before in its document: distances, opportunities, longest match.

A corpus shard is `tokens` (whole documents, one after another) and `starts` (offset of each document's first token).
Every result has one entry per token and never looks across a document's border. All of it is exact.

Two engines give identical results: packed sorting in numpy (always there) and hashing in numba, which is taken when
it is installed and the shard is long enough to repay its import. RECALLSCOPE_NUMBA=0 never takes it, =1 always does.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from recallscope.compiled import compiled
from recallscope.slicing.tagging import _tags_numpy

__all__ = ["longest_match", "opportunity_distance", "repeat_distance", "tag", "visible"]

Array = np.ndarray[Any, Any]

# Sorting takes numpy 15 ns a token for bigrams and about 10 ns a token and level for a match, hashing 6.5 and 4.5.
# Importing numba and waking it takes 0.6 s, once it has compiled (4 s more); repaid from here on, in tokens x levels.
_WORTH_IMPORTING = 80_000_000


def repeat_distance(tokens: Array, starts: Array, n: int = 2, *, exclude: Sequence[int] = ()) -> Array:
    """Distance to the previous occurrence of the n-gram that ends at each token.

    Parameters
    ----------
    tokens : integer array [N]
        Whole documents, one after another; ids >= 0.
    starts : integer array [K]
        Offset of each document's first token: starts[0] == 0, never decreasing (equal offsets: an empty document).
    n : int
        Length of the n-gram, the token itself included.
    exclude : token ids
        An n-gram that contains one of them (say `<unk>`) never counts as a repeat.

    Returns
    -------
    int32 array [N], in tokens: i - j for the largest j < i of the same document such that the n-gram ending at j equals
    the one ending at i; 0 where there is none.
    """
    n = _at_least_one("n", n)
    tokens, starts = _layout(tokens, starts)
    engine, banned = _engine(tokens.size * (1 if n == 2 else n)), _banned(tokens, exclude)
    if n == 2:
        return engine.bigram_distance(tokens, starts, banned)
    return engine.tag(tokens, starts, 0, banned, distances=(n,))[f"distance_{n}"]


def opportunity_distance(tokens: Array, starts: Array, *, exclude: Sequence[int] = ()) -> Array:
    """Distance from the previous token to its own previous occurrence: was there anything to copy from?

    Parameters as in `repeat_distance`.

    Returns
    -------
    int32 array [N]: i - 1 - j for the largest j < i - 1 of the same document with tokens[j] == tokens[i - 1]; 0 where
    there is none, and on the first token of a document.
    """
    return _tags_numpy.delayed(repeat_distance(tokens, starts, 1, exclude=exclude), np.asarray(starts))


def longest_match(tokens: Array, starts: Array, cap: int = 8, *, exclude: Sequence[int] = ()) -> Array:
    """Length of the longest n-gram that ends at each token and also ends earlier in its document.

    Parameters as in `repeat_distance`; `cap` (1 to 127) bounds the length, longer matches are given as `cap`.

    Returns
    -------
    int8 array [N]. It speaks of whole documents: a window may hold a shorter match only (`visible` cannot be applied).
    """
    cap = _cap(cap)
    tokens, starts = _layout(tokens, starts)
    engine = _engine(tokens.size * cap)
    return engine.tag(tokens, starts, cap, _banned(tokens, exclude), distances=())["match"]


def tag(tokens: Array, starts: Array, cap: int = 8, exclude: Sequence[int] = ()) -> dict[str, Array]:
    """All tags of a shard in one pass, cheaper than one by one.

    Parameters as in `repeat_distance` and `longest_match`.

    Returns
    -------
    dict of arrays [N]: `distance_2`, `distance_3`, `distance_4` and `opportunity` (int32), `match` (int8).
    """
    cap = _cap(cap)
    tokens, starts = _layout(tokens, starts)
    engine = _engine(tokens.size * max(cap, 4))
    found = engine.tag(tokens, starts, cap, _banned(tokens, exclude), distances=(1, 2, 3, 4))
    found["opportunity"] = _tags_numpy.delayed(found.pop("distance_1"), starts)
    return found


def visible(distance: Array, context: Array | int, n: int) -> Array:
    """Which repeats lie wholly inside the window: what tagging the window itself would have found.

    Parameters
    ----------
    distance : integer array [N]
        `repeat_distance` of n-grams of length `n`; for `opportunity_distance` give n = 2, whose reach is the same: the
        earlier token lies `distance` + 1 before the scored one.
    context : integer array [N] or int
        Tokens before the scored one in its window.

    Returns
    -------
    bool array [N]: 0 < distance <= context - (n - 1).
    """
    n = _at_least_one("n", n)
    return (distance > 0) & (distance <= np.asarray(context) - (n - 1))


def _layout(tokens: Array, starts: Array) -> tuple[Array, Array]:
    tokens, starts = np.asarray(tokens), np.asarray(starts)
    if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
        raise ValueError(
            f"tokens: a one-dimensional integer array is wanted, got {tokens.dtype} of shape {tokens.shape}"
        )
    if starts.ndim != 1 or starts.dtype.kind not in "iu":
        raise ValueError(
            f"starts: a one-dimensional integer array is wanted, got {starts.dtype} of shape {starts.shape}"
        )
    starts = starts.astype(np.int64, copy=False)
    if starts.size == 0 and tokens.size == 0:
        return tokens, starts
    if starts.size == 0 or starts[0] != 0:
        raise ValueError(f"starts: the first offset must be 0, got {starts[:1].tolist()}")
    if (starts[1:] < starts[:-1]).any() or starts[-1] > tokens.size:
        raise ValueError(f"starts: offsets must not decrease and must stay within the {tokens.size} tokens")
    if tokens.dtype.kind == "i" and tokens.size and tokens.min() < 0:
        raise ValueError(f"tokens: ids must not be negative, got {tokens.min()}")
    return tokens, starts


def _banned(tokens: Array, exclude: Sequence[int]) -> Array | None:
    return np.isin(tokens, np.asarray(list(exclude))) if len(exclude) else None


def _at_least_one(name: str, value: int) -> int:
    if not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name}: a whole number of at least 1 is wanted, got {value!r}")
    return int(value)


def _cap(cap: int) -> int:
    if _at_least_one("cap", cap) > 127:
        raise ValueError(f"cap: at most 127 (the result is int8), got {cap}")
    return int(cap)


def _engine(work: int) -> ModuleType:
    """numba's functions if they are wanted, installed and repaid by `work` (tokens times levels), else numpy's."""
    return compiled(f"{__package__}._tags_numba", work, _WORTH_IMPORTING) or _tags_numpy
