"""Losses that somebody else computed: read from a file, checked against the text they claim to belong to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from recallscope.parquet import UNREADABLE
from recallscope.slicing.parquet_rows import read_rows
from recallscope.slicing.scoring.score import check_finite
from recallscope.slicing.scoring.windows import Windowing
from recallscope.text import Shard
from recallscope.text.llama_cpp import open_chunks


@dataclass(frozen=True)
class LossesFile:
    """Losses of one model in a file.

    Either a file of llama.cpp (`.kld`, `recallscope.text.llama_cpp`), whose text must be its own chunks. Or Parquet,
    with integer columns `document` (index in the corpus) and `position` (token index in the document) and the losses in
    nats in `loss` or `loss_<name>`; with a column `token`, the token ids are checked too.
    """

    name: str
    path: Path
    identity: str
    column: str
    has_tokens: bool

    def losses(self, shard: Shard, scored: np.ndarray) -> np.ndarray:
        """Loss of every token of the shard, float32[N], NaN where not scored.

        Raises `ValueError` when the file belongs to other text or does not cover every scored token.
        """
        if self.path.suffix == ".kld":
            return _chunk_losses(self.path, shard, scored)
        last = shard.first + len(shard.ids)
        columns = ["document", "position", self.column] + ["token"] * self.has_tokens
        try:
            table = read_rows(self.path, columns, range(shard.first, last))
        except (*UNREADABLE, KeyError) as error:
            raise ValueError(f"losses: {self.path} is cut off or broken ({error})") from None
        document = table["document"].to_numpy() - shard.first
        position = table["position"].to_numpy()
        lengths = np.diff(np.append(shard.starts, len(shard.tokens)))
        if (position < 0).any() or (position >= lengths[document]).any():
            raise ValueError(f"losses: {self.path} belongs to other text: a position lies beyond its document's end")
        where = shard.starts[document] + position
        if self.has_tokens and (table["token"].to_numpy() != shard.tokens[where]).any():
            raise ValueError(f"losses: {self.path} belongs to other text or another tokenizer: its tokens differ")
        losses = np.full(len(shard.tokens), np.nan, dtype=np.float32)
        with np.errstate(over="ignore"):  # float64 beyond float32 is infinite, and refused as such
            losses[where] = table[self.column].to_numpy()
        missing = scored & np.isnan(losses)
        if missing.any():
            raise ValueError(
                f"losses: {self.path} lacks {int(missing.sum())} of {int(scored.sum())} scored tokens in documents "
                f"{shard.first} to {last - 1}; it belongs to other text, or to other windows"
            )
        check_finite(losses, scored, self, shard)
        return np.where(scored, losses, np.nan).astype(np.float32)


def open_losses(name: str, path: str | Path) -> LossesFile:
    """Check a losses file and say which column holds the losses."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"losses: {path} does not exist")
    if path.suffix == ".kld":
        chunks = open_chunks(path)
        return LossesFile(
            name, path, f"{chunks.records.shape}:{path.stat().st_size}:{path.stat().st_mtime_ns}", "", True
        )
    try:
        names = pq.read_schema(path).names
    except UNREADABLE as error:
        raise ValueError(f"losses: {path} is cut off or not Parquet ({error})") from None
    column = next((one for one in (f"loss_{name}", "loss") if one in names), None)
    if column is None or not {"document", "position"} <= set(names):
        raise ValueError(
            f"losses: {path} needs columns document, position and loss (or loss_{name}), got {', '.join(names)}"
        )
    status = path.stat()
    return LossesFile(name, path, f"{status.st_size}:{status.st_mtime_ns}", column, "token" in names)


def _chunk_losses(path: Path, shard: Shard, scored: np.ndarray) -> np.ndarray:
    """Losses of llama.cpp for documents that are its chunks, in order: the same tokens but for what opens each."""
    chunks = open_chunks(path)
    theirs = chunks.tokens[shard.first : shard.first + len(shard.ids)]
    if theirs.size != len(shard.tokens) or (np.diff(shard.starts) != chunks.length).any():
        raise ValueError(f"losses: {path} has other chunks than the text: the text must be a file of llama.cpp, too")
    ours = shard.tokens.reshape(theirs.shape)
    opens = (ours[:, 0] == theirs[:, 0]) | (ours[:, 0] == chunks.tokens[0, 0])
    if not opens.all() or (ours[:, 1:] != theirs[:, 1:]).any():
        raise ValueError(f"losses: {path} belongs to other text or another tokenizer: its tokens differ")
    losses = np.full(theirs.shape, np.nan, dtype=np.float32)
    for row in range(len(theirs)):
        losses[row, chunks.given :] = chunks.losses(shard.first + row)
    if (scored & np.isnan(losses.ravel())).any():
        raise ValueError(f"losses: {path} has losses, and no NaN among them, of tokens {chunks.given} and later only")
    return np.where(scored, losses.ravel(), np.nan).astype(np.float32)


def check_chunks(path: Path, rule: Windowing) -> None:
    """Raise a `ValueError` unless windows show a model the chunks of a file of llama.cpp as llama.cpp saw them."""
    length = open_chunks(path).length
    if rule.bos != "none" or rule.window < length - 1:
        raise ValueError(
            f"bos: the chunks of {path} hold the BOS that llama.cpp put there: use bos='none' and a window of at least "
            f"{length - 1} tokens, got bos={rule.bos!r} and {rule.window}"
        )
