"""`recallscope tag`: the repeats of a text as a table, without any model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recallscope.bundled import bundled_tokenizer
from recallscope.checks import check_folder
from recallscope.disk import replaced
from recallscope.slicing.sources import TextLike, resolve_text
from recallscope.slicing.tagging.tags import tag
from recallscope.text import Shard, load_tokenizer, read_token_array, tokenize
from recallscope.text.shards import limited

COLUMNS = ("distance_2", "distance_3", "distance_4", "opportunity", "match")


def tag_text(
    text: TextLike | None, out: str | Path | None = None, tokenizer: str | Path | None = None, limit: int | None = None
) -> dict[str, int | float]:
    """Tag every token of a text; write one row per token to `out` if given; return a summary.

    The tokenizer is the bundled one by default. The summary holds documents, tokens, the share of tokens whose n-gram
    (n = 2, 3, 4) occurred earlier in the document, the share with an opportunity, and the median bigram distance.
    """
    totals: dict[str, int] = dict.fromkeys(("documents", "tokens", *COLUMNS), 0)
    distances = np.zeros(64, dtype=np.int64)  # tokens per power of two of the distance
    target = Path(out) if out else None
    if target:
        check_folder("out", target.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        temporary = stack.enter_context(replaced(target)) if target else None
        writer = None
        for shard in _shards(text, tokenizer, limit):
            tags = tag(shard.tokens, shard.starts)
            totals["documents"] += len(shard.ids)
            totals["tokens"] += len(shard.tokens)
            for name in COLUMNS:
                totals[name] += int(np.count_nonzero(tags[name]))
            found = tags["distance_2"][tags["distance_2"] > 0]
            distances += np.bincount(np.log2(found).astype(np.int64), minlength=64)
            if temporary:
                table = _table(shard, tags)
                writer = writer or stack.enter_context(pq.ParquetWriter(temporary, table.schema, compression="zstd"))
                writer.write_table(table)
        if not totals["tokens"]:
            raise ValueError("text: no tokens in it")
    share = {f"share repeating, n = {n}": totals[f"distance_{n}"] / totals["tokens"] for n in (2, 3, 4)}
    share["share with an opportunity"] = totals["opportunity"] / totals["tokens"]
    return {"documents": totals["documents"], "tokens": totals["tokens"], **share, **_median_bin(distances)}


def _median_bin(distances: np.ndarray) -> dict[str, int]:
    """Lower edge of the power-of-two bin that holds the median bigram distance."""
    if not distances.sum():
        return {}
    middle = int(np.searchsorted(np.cumsum(distances), distances.sum() / 2))
    return {"median distance, at least": 1 << middle}


def _shards(text: TextLike | None, tokenizer: str | Path | None, limit: int | None) -> Iterator[Shard]:
    source = resolve_text(text).open()
    if isinstance(source, Path):
        return limited(read_token_array(source, None), limit)
    return tokenize(islice(source, limit), load_tokenizer(tokenizer) if tokenizer else bundled_tokenizer())


def _table(shard: Shard, tags: dict[str, np.ndarray]) -> pa.Table:
    lengths = np.diff(np.append(shard.starts, len(shard.tokens)))
    document = np.repeat(np.arange(shard.first, shard.first + len(shard.ids), dtype=np.int32), lengths)
    position = (np.arange(len(shard.tokens)) - np.repeat(shard.starts, lengths)).astype(np.int32)
    columns = {"document": document, "position": position, "token": shard.tokens.astype(np.int32), **tags}
    return pa.table({name: columns[name] for name in ("document", "position", "token", *COLUMNS)})
