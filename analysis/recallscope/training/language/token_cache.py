"""Documents to one token array on disk, each document opened by the BOS token, once per output folder."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np

from recallscope.disk import replaced
from recallscope.text import Document, Tokenizer, digest

BATCH = 256  # documents tokenised together


def cached_tokens(documents: Iterable[Document], tokenizer: Tokenizer, budget: int, folder: Path) -> np.ndarray:
    """The first `budget` + 1 tokens of the documents as a memory map of `folder/tokens.bin` (uint16 or uint32).

    `folder/documents.jsonl` lists each document used: id, sha256 of its text, tokens taken. Fewer tokens come back when
    the text is shorter. Both files appear under their names only when complete.
    """
    file, listed = folder / "tokens.bin", folder / "documents.jsonl"
    dtype = np.dtype(np.uint16 if tokenizer.vocabulary <= 1 << 16 else np.uint32)
    if not (file.exists() and listed.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        with replaced(file) as a, replaced(listed) as b, open(a, "wb") as tokens, open(b, "w") as rows:
            for document, ids in _until(documents, tokenizer, budget + 1):
                tokens.write(ids.astype(dtype).tobytes())
                row = {"id": document.id, "sha256": digest(document.text), "tokens": len(ids)}
                rows.write(json.dumps(row) + "\n")
    return np.memmap(file, dtype, "r") if file.stat().st_size else np.array([], dtype)


def _until(documents: Iterable[Document], tokenizer: Tokenizer, wanted: int):
    bos = [] if tokenizer.bos is None else [tokenizer.bos]
    remaining = iter(documents)
    while wanted > 0 and (batch := list(islice(remaining, BATCH))):
        for document, ids in zip(batch, tokenizer.encode([d.text for d in batch]), strict=True):
            taken = np.concatenate([np.array(bos, dtype=np.uint32), ids])[:wanted]
            wanted -= len(taken)
            if len(taken):
                yield document, taken
