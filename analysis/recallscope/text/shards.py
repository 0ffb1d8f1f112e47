"""Token shards: whole documents, concatenated, a few hundred thousand tokens at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from recallscope.text.documents import Document
from recallscope.text.tokenizer import Encoder

SHARD_TOKENS = 500_000


@dataclass(frozen=True)
class Shard:
    """Whole documents as one array.

    Attributes
    ----------
    first : int
        Index, in the corpus, of the shard's first document.
    ids : tuple of str
        Identifiers of its documents.
    tokens : uint32[N]
        The documents' tokens, one after another.
    starts : int64[K]
        Offset of each document's first token.
    """

    first: int
    ids: tuple[str, ...]
    tokens: np.ndarray
    starts: np.ndarray

    def spans(self) -> Iterator[tuple[int, int]]:
        """Begin and end of each document in `tokens`."""
        yield from zip(self.starts.tolist(), [*self.starts[1:].tolist(), len(self.tokens)], strict=True)


def tokenize(documents: Iterable[Document], tokenizer: Encoder, size: int = SHARD_TOKENS) -> Iterator[Shard]:
    """Shards of at least `size` tokens (the last may be smaller), in the documents' order; streaming."""
    ids: list[str] = []
    parts: list[np.ndarray] = []
    first = held = 0
    remaining = iter(documents)
    while batch := list(islice(remaining, 64)):
        for document, tokens in zip(batch, tokenizer.encode([d.text for d in batch]), strict=True):
            ids.append(document.id)
            parts.append(tokens)
            held += len(tokens)
            if held >= size:
                yield make_shard(first, ids, parts)
                first, held, ids, parts = first + len(ids), 0, [], []
    if ids:
        yield make_shard(first, ids, parts)


def make_shard(first: int, ids: list[str], parts: list[np.ndarray]) -> Shard:
    """A shard from its documents' token arrays."""
    lengths = np.array([len(part) for part in parts], dtype=np.int64)
    return Shard(first, tuple(ids), np.concatenate(parts).astype(np.uint32), np.cumsum(lengths) - lengths)


def read_token_array(path: str | Path, eos: int | None, size: int = SHARD_TOKENS) -> Iterator[Shard]:
    """Shards of a token file: `.npy` (1-D integers) or `.bin` (uint16, as nanoGPT writes it), memory-mapped.

    Documents end after each `eos` token, which stays their last token; without `eos` the file is one document.
    """
    path = Path(path)
    if not path.is_file() or path.stat().st_size == 0:
        raise ValueError(f"text: {path} is missing or empty")
    try:
        tokens = np.load(path, mmap_mode="r") if path.suffix == ".npy" else np.memmap(path, np.uint16, "r")
    except Exception as error:  # the header of .npy is read by a parser that raises what it likes
        raise ValueError(f"text: {path} is not a token array ({str(error).splitlines()[0]})") from None
    if tokens.ndim != 1 or tokens.dtype.kind not in "ui":
        raise ValueError(f"text: {path} must hold a 1-D array of integers, got {tokens.dtype} {tokens.shape}")
    begin = first = 0
    while begin < len(tokens):
        end = _document_end(tokens, begin + size, eos)
        block = np.asarray(tokens[begin:end])
        inner = np.flatnonzero(block[:-1] == eos) + 1 if eos is not None else np.array([], dtype=np.int64)
        starts = np.concatenate([[0], inner]).astype(np.int64)
        yield Shard(first, tuple(str(first + k) for k in range(len(starts))), block.astype(np.uint32), starts)
        begin, first = end, first + len(starts)


def _document_end(tokens: np.ndarray, at_least: int, eos: int | None) -> int:
    """The first document border at or after `at_least`."""
    while eos is not None and at_least < len(tokens):
        found = np.flatnonzero(tokens[at_least - 1 : at_least + (1 << 20)] == eos)
        if len(found):
            return at_least + int(found[0])
        at_least += 1 << 20
    return len(tokens)
