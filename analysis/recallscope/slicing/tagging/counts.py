"""How often the training text holds the n-grams an evaluation text asks about: exact, streamed, mergeable.

A shard is `(tokens, starts)`: whole documents, one after another, and the offset of each document's first token.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from recallscope.slicing.tagging import _counting, _counts_file
from recallscope.slicing.tagging._ngrams import key_bits, keys_of, whole

__all__ = ["Counts", "count_all", "count_targeted", "ngram_keys", "queries"]

Array = np.ndarray[Any, Any]

_CHUNK = 1 << 21  # keys sorted at once, at least: 16 MB
_LOOKUP = 1 << 18
_U = np.uint64


@dataclass(frozen=True, eq=False)
class Counts:
    """A table of n-gram counts.

    `keys` (uint64, sorted, unique, as `ngram_keys` makes them) and `counts` (int64) run in parallel; `tokens` is the
    number of training tokens streamed; `complete`: every n-gram of them is here, one that is not occurs 0 times.
    """

    n: int
    vocabulary: int
    keys: Array
    counts: Array
    tokens: int
    complete: bool
    source: str = ""

    def lookup(self, keys: Array, valid: Array) -> Array:
        """int64 [N]: the count of each key; 0 where a complete table lacks it; -1 where not `valid`, or not known."""
        keys, valid = np.asarray(keys), np.asarray(valid)
        out = np.full(keys.size, -1, np.int64)
        for begin in range(0, keys.size, _LOOKUP):
            part = slice(begin, begin + _LOOKUP)
            out[part][valid[part]] = self._known(keys[part][valid[part]])
        return out

    def _known(self, keys: Array) -> Array:
        found = np.full(keys.size, 0 if self.complete else -1, np.int64)
        if self.keys.size:
            order = np.argsort(keys)  # searching in order keeps to the cache: five times faster than the detour costs
            keys = keys[order]
            at = np.searchsorted(self.keys, keys)
            at[at == self.keys.size] = 0
            hit = self.keys[at] == keys
            found[order[hit]] = self.counts[at[hit]]
        return found

    def merge(self, other: Counts) -> Counts:
        """The counts over both training texts. ValueError unless both tables count the same n-grams."""
        for name in ("n", "vocabulary", "complete"):
            if getattr(self, name) != getattr(other, name):
                raise ValueError(f"other: {name} must be {getattr(self, name)}, got {getattr(other, name)}")
        if self.complete:
            keys, counts = _counting.add((self.keys, self.counts), (other.keys, other.counts))
        elif np.array_equal(self.keys, other.keys):
            keys, counts = self.keys, self.counts + other.counts
        else:
            raise ValueError("other: two targeted tables must ask for the same keys, these differ")
        source = "; ".join(sorted({self.source, other.source} - {""}))
        return Counts(self.n, self.vocabulary, keys, counts, self.tokens + other.tokens, self.complete, source)

    def save(self, path: Any) -> None:
        """Write a Parquet file (about 2 to 3 bytes per n-gram), whole or not at all."""
        described = {name: getattr(self, name) for name in ("n", "vocabulary", "tokens", "complete", "source")}
        _counts_file.write(path, described, self.keys, self.counts)

    @staticmethod
    def load(path: Any) -> Counts:
        """Read what `save` wrote. ValueError naming the file when it is damaged or something else."""
        described, keys, counts = _counts_file.read(path)
        return Counts(keys=keys, counts=counts, **described)


def ngram_keys(tokens: Array, starts: Array, n: int, vocabulary: int) -> tuple[Array, Array]:
    """One number per n-gram.

    Parameters
    ----------
    tokens, starts : a shard; ids in 0 .. vocabulary - 1.
    n : int
        Length of the n-gram.
    vocabulary : int
        Number of token ids.

    Returns
    -------
    keys : uint64 [N], of the n-gram that ends at each token.
    valid : bool [N], False on the first n - 1 tokens of a document, where the key means nothing.

    Notes
    -----
    While n times the bits of an id is at most 64 the ids are packed, and equal keys are equal n-grams. Beyond (n = 4
    with more than 65,536 ids) the key is a 64-bit hash (the finaliser of splitmix64 over the running hash and the
    token): of Q asked and M counted n-grams, Q * M / 2**64 are expected to match falsely (10**7 x 10**11: 0.05).
    """
    tokens, starts = _counting.shard(tokens, starts, n, vocabulary)
    return keys_of(tokens, n, vocabulary), whole(tokens.size, starts, n)


def queries(shards: _counting.Shards, n: int, vocabulary: int) -> Array:
    """The distinct n-grams of an evaluation text: sorted unique keys, uint64."""
    return count_all(shards, n, vocabulary).keys


def count_all(shards: _counting.Shards, n: int, vocabulary: int, source: str = "") -> Counts:
    """A complete table of the n-grams of a training text; memory grows with the number of distinct n-grams.

    Parameters as in `ngram_keys`; `shards` is any iterable of shards, read once; `source` says what was counted.
    """
    sums: list[tuple[Array, Array]] = []  # each at most half as long as the one before, so that all merging is N log N
    tokens = 0
    for buffer, filled, seen in _counting.gather(shards, n, vocabulary, _CHUNK):
        tokens += seen
        sums.append(_counting.distinct(buffer[:filled]))
        while len(sums) > 1 and 2 * sums[-1][0].size > sums[-2][0].size:
            sums.append(_counting.add(sums.pop(), sums.pop()))
    empty = np.zeros(0, _U), np.zeros(0, np.int64)
    keys, counts = reduce(_counting.add, reversed(sums), empty)
    return Counts(n, vocabulary, keys, counts, tokens, True, source)


def count_targeted(queries: Array, shards: _counting.Shards, n: int, vocabulary: int, source: str = "") -> Counts:
    """Counts of the asked n-grams only; memory is that of the queries and one shard, whatever the training text.

    Parameters
    ----------
    queries : uint64 array
        Keys from `queries` or `ngram_keys`, in any order.
    shards, n, vocabulary, source : as in `count_all`.
    """
    queries = np.asarray(queries)
    if queries.ndim != 1 or queries.dtype != _U:
        raise ValueError(f"queries: a one-dimensional uint64 array is wanted, got {queries.dtype} of {queries.shape}")
    queries, _ = _counting.distinct(queries.copy())  # np.unique hashes, ten times slower
    if queries.size and int(queries[-1]).bit_length() > key_bits(n, vocabulary):
        raise ValueError(
            f"queries: keys of {n}-grams of {vocabulary} ids are wanted, {queries[-1]} is too large for one"
        )
    room = max(_CHUNK, queries.size, min(8 * queries.size, 8 * _CHUNK))  # sorting the marks along must stay a detail
    packed = key_bits(n, vocabulary) <= 62
    marks = _counting.markers(queries) if packed else np.zeros(0, _U)
    totals, tokens = np.zeros(queries.size, np.int64), 0
    for buffer, filled, seen in _counting.gather(shards, n, vocabulary, room, marks.size):
        tokens += seen
        if packed:
            totals += _counting.between(buffer, filled, marks)
        else:
            totals += _counting.search(queries, *_counting.distinct(buffer[:filled]))
    return Counts(n, vocabulary, queries, totals, tokens, False, source)
