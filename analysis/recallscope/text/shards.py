"""Token shards: whole documents, concatenated, a few hundred thousand tokens at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from recallscope.text.documents import Document
from recallscope.text.llama_cpp import open_chunks
from recallscope.text.tokenizer import Encoder

SHARD_TOKENS = 500_000
LIMIT = 2**31 - 1  # token ids, and positions in a document, are int32 in tables


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
    given : int64[K] or None
        Tokens at the start of each document that are read but not scored; None: none anywhere.
    """

    first: int
    ids: tuple[str, ...]
    tokens: np.ndarray
    starts: np.ndarray
    given: np.ndarray | None = None

    def spans(self) -> Iterator[tuple[int, int]]:
        """Begin and end of each document in `tokens`."""
        yield from zip(self.starts.tolist(), [*self.starts[1:].tolist(), len(self.tokens)], strict=True)


def tokenize(documents: Iterable[Document], tokenizer: Encoder, size: int = SHARD_TOKENS) -> Iterator[Shard]:
    """Shards of at least `size` tokens (the last may be smaller), in the documents' order; streaming.

    A document with a given context has the tokens of that context by itself, and then those of the whole text after as
    many as these are (the rule of lm-evaluation-harness). `ValueError` if none is left.
    """
    ids: list[str] = []
    parts: list[np.ndarray] = []
    given: list[int] = []
    first = held = 0
    remaining = iter(documents)
    while batch := list(islice(remaining, 64)):
        for document, tokens, context in zip(batch, *_encoded(batch, tokenizer), strict=True):
            ids.append(document.id)
            parts.append(tokens)
            given.append(context)
            held += len(tokens)
            if held >= size:
                yield make_shard(first, ids, parts, given)
                first, held, ids, parts, given = first + len(ids), 0, [], [], []
    if ids:
        yield make_shard(first, ids, parts, given)


def _encoded(batch: list[Document], tokenizer: Encoder) -> tuple[list[np.ndarray], list[int]]:
    """Tokens of each document, and how many of them are its given context."""
    whole = tokenizer.encode([one.text for one in batch])
    contexts = tokenizer.encode([one.text[: one.given] for one in batch])
    for at, (document, context) in enumerate(zip(batch, contexts, strict=True)):
        if document.given:
            whole[at] = np.concatenate([context, whole[at][len(context) :]])
            if len(whole[at]) == len(context):
                raise ValueError(f"text: what follows the context of document {document.id!r} adds no token to it")
    return whole, [len(one) for one in contexts]


def make_shard(first: int, ids: list[str], parts: list[np.ndarray], given: list[int] | None = None) -> Shard:
    """A shard from its documents' token arrays."""
    lengths = np.array([len(part) for part in parts], dtype=np.int64)
    contexts = np.array(given, dtype=np.int64) if given and any(given) else None
    return Shard(first, tuple(ids), np.concatenate(parts).astype(np.uint32), np.cumsum(lengths) - lengths, contexts)


def read_token_array(path: str | Path, eos: int | None, size: int = SHARD_TOKENS) -> Iterator[Shard]:
    """Shards of a token file: `.npy` (1-D integers) or `.bin` (uint16, as nanoGPT writes it), memory-mapped.

    Documents end after each `eos` token, which stays their last token; without `eos` the file is one document. `.kld`
    is a file of llama.cpp, whose chunks are the documents (`recallscope.text.llama_cpp`). Raises `ValueError` for ids
    below 0 or above 2³¹ - 1, and for a document that is longer than that.
    """
    path = Path(path)
    if path.suffix == ".kld":
        yield from chunk_shards(path, eos, size)
        return
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
        if end - begin > LIMIT:
            raise ValueError(f"text: {path}: documents of at most {LIMIT:,} tokens, got one with up to {end - begin:,}")
        block = np.asarray(tokens[begin:end])
        _check_ids(path, block)
        inner = np.flatnonzero(block[:-1] == eos) + 1 if eos is not None else np.array([], dtype=np.int64)
        starts = np.concatenate([[0], inner]).astype(np.int64)
        yield Shard(first, tuple(str(first + k) for k in range(len(starts))), block.astype(np.uint32), starts)
        begin, first = end, first + len(starts)


def limited(shards: Iterable[Shard], limit: int | None) -> Iterator[Shard]:
    """The shards without the documents at or after number `limit`; nothing is read after them."""
    for shard in shards:
        if limit is not None and shard.first >= limit:
            return
        count = len(shard.ids) if limit is None else min(limit - shard.first, len(shard.ids))
        end = int(shard.starts[count]) if count < len(shard.ids) else len(shard.tokens)
        given = None if shard.given is None else shard.given[:count]
        yield Shard(shard.first, shard.ids[:count], shard.tokens[:end], shard.starts[:count], given)


def _check_ids(path: Path, block: np.ndarray) -> None:
    """Before they are cast to 32 bits, where others would turn into valid ones."""
    low, high = int(block.min()), int(block.max())
    if low < 0 or high > LIMIT:
        raise ValueError(f"text: {path}: token ids from 0 to {LIMIT}, got {low if low < 0 else high}")


def _document_end(tokens: np.ndarray, at_least: int, eos: int | None) -> int:
    """The first document border at or after `at_least`."""
    while eos is not None and at_least < len(tokens):
        found = np.flatnonzero(tokens[at_least - 1 : at_least + (1 << 20)] == eos)
        if len(found):
            return at_least + int(found[0])
        at_least += 1 << 20
    return len(tokens)


def chunk_shards(path: Path, bos: int | None, size: int) -> Iterator[Shard]:
    """The chunks of a file of llama.cpp as documents: the first half is given, and what opened each is as it was."""
    chunks = open_chunks(path)
    tokens, step = chunks.inputs(bos), max(size // chunks.length, 1)
    for first in range(0, len(tokens), step):
        part = tokens[first : first + step]
        ids = tuple(str(first + k) for k in range(len(part)))
        starts = np.arange(len(part), dtype=np.int64) * chunks.length
        yield Shard(first, ids, part.ravel(), starts, np.full(len(part), chunks.given, dtype=np.int64))
