"""Losses that somebody else computed: read from a file, checked against the text they claim to belong to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recallscope.slicing.parquet_rows import read_rows
from recallscope.text import Shard


@dataclass(frozen=True)
class LossesFile:
    """Losses of one model in a Parquet file.

    Needs integer columns `document` (index in the corpus) and `position` (token index in the document) and the losses
    in nats in `loss` or `loss_<name>`; with a column `token`, the token ids are checked too.
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
        last = shard.first + len(shard.ids)
        columns = ["document", "position", self.column] + ["token"] * self.has_tokens
        try:
            table = read_rows(self.path, columns, range(shard.first, last))
        except (pa.ArrowException, OSError, KeyError) as error:
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
        losses[where] = table[self.column].to_numpy()
        missing = scored & np.isnan(losses)
        if missing.any():
            raise ValueError(
                f"losses: {self.path} lacks {int(missing.sum())} of {int(scored.sum())} scored tokens in documents "
                f"{shard.first} to {last - 1}; it belongs to other text, or to other windows"
            )
        return np.where(scored, losses, np.nan).astype(np.float32)


def open_losses(name: str, path: str | Path) -> LossesFile:
    """Check a losses file and say which column holds the losses."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"losses: {path} does not exist")
    try:
        names = pq.read_schema(path).names
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"losses: {path} is cut off or not Parquet ({error})") from None
    column = next((one for one in (f"loss_{name}", "loss") if one in names), None)
    if column is None or not {"document", "position"} <= set(names):
        raise ValueError(
            f"losses: {path} needs columns document, position and loss (or loss_{name}), got {', '.join(names)}"
        )
    status = path.stat()
    return LossesFile(name, path, f"{status.st_size}:{status.st_mtime_ns}", column, "token" in names)
