"""Files that `llama-perplexity --save-all-logits FILE` writes: chunks of tokens, and log-probabilities of 16 bits.

The layout, all little-endian, is that of `tools/perplexity/perplexity.cpp` of llama.cpp (functions `perplexity`,
`process_logits` and `log_softmax`; read at commit 050fc7f): the letters `_logits_`; int32 tokens per chunk n, int32
ids V, int32 chunks; int32 tokens, n per chunk; then for each chunk n - 1 - n // 2 records, for its positions from
n // 2 to the last but one: float32 scale, float32 least log-probability, uint16 q for each id (one more if V is odd).
The log-probability of the next token is `scale q + least`. What lies more than 16 below the largest is written as
if it lay 16 below.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

MAGIC = b"_logits_"
_HEADER = 20


@dataclass(frozen=True)
class Chunks:
    """What a file of llama.cpp holds.

    Attributes
    ----------
    length, vocabulary : int
        Tokens per chunk; number of ids.
    tokens : int32[chunks, length]
        As the tokenizer of llama.cpp gave them.
    records : structured[chunks, length - 1 - length // 2]
        `scale`, `least` and `q` (see above), memory-mapped; a record at k is about token `length // 2 + 1 + k`.
    """

    length: int
    vocabulary: int
    tokens: np.ndarray
    records: np.ndarray

    @property
    def given(self) -> int:
        """Tokens at the start of each chunk that were not scored."""
        return self.length // 2 + 1

    def inputs(self, bos: int | None) -> np.ndarray:
        """The chunks as the model read them, uint32[chunks, length].

        If the text begins with `bos`, llama.cpp puts `bos` in the place of the first token of every chunk.
        """
        tokens = self.tokens.astype(np.uint32)
        if bos is not None and tokens[0, 0] == bos:
            tokens[:, 0] = bos
        return tokens

    def losses(self, chunk: int) -> np.ndarray:
        """Losses in nats of the tokens of a chunk from `given` on, float32, to within half a step of `scale`."""
        records, tokens = self.records[chunk], self.tokens[chunk, self.given :]
        written = records["q"][np.arange(len(tokens)), tokens]
        return -(records["scale"] * written + records["least"])


def open_chunks(path: Path) -> Chunks:
    """Check the header and the size of a file; nothing but its tokens is read.

    Raises `ValueError` for a file that is something else, cut off, or longer than it says.
    """
    with open(path, "rb") as file:
        header = file.read(_HEADER)
        if len(header) < _HEADER or not header.startswith(MAGIC):
            raise ValueError(f"text: {path} is not a file of llama-perplexity --save-all-logits (it begins otherwise)")
        length, vocabulary, chunks = (int(one) for one in np.frombuffer(header[8:], "<i4"))
        if length < 4 or vocabulary < 1 or chunks < 1:
            raise ValueError(f"text: {path} says {chunks} chunks of {length} tokens of {vocabulary} ids: it is damaged")
        record = np.dtype([("scale", "<f4"), ("least", "<f4"), ("q", "<u2", (2 * ((vocabulary + 1) // 2),))])
        scored = length - 1 - length // 2
        size = _HEADER + 4 * chunks * length + chunks * scored * record.itemsize
        if path.stat().st_size != size:
            raise ValueError(f"text: {path} has {path.stat().st_size} bytes, its header asks for {size}: it is cut off")
        tokens = np.frombuffer(file.read(4 * chunks * length), "<i4").reshape(chunks, length)
    if tokens.min() < 0 or tokens.max() >= vocabulary:
        raise ValueError(f"text: {path} holds token {tokens.max()} of {vocabulary} ids: it is damaged")
    records = np.memmap(path, record, "r", _HEADER + 4 * chunks * length, (chunks, scored))
    return Chunks(length, vocabulary, tokens, records)
