"""Blocks of record columns to sums: order checks, attributes of each row, losses that must be finite."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recallscope.slicing.attribution._records import Plan
from recallscope.slicing.attribution._reduction import (
    LAST_COUNT_BIN,
    LAST_DISTANCE_BIN,
    Sums,
    log2_bin,
    pack,
    sum_rows,
    visible,
)

_THREADS = 2
_ROWS = 1 << 17  # rows reduced at once: the columns of one block stay in the cache


def reduce_records(tables: Iterator[Callable[[], pa.Table]], plan: Plan) -> Sums:
    """Sum block by block; the last document of a block stays open until the next one shows where it ends."""
    done, seen = Sums(plan.models), set[int]()
    carry: tuple[Any, ...] | None = None
    last = (-1, -1)
    for blocks in _ahead(tables, plan):
        for columns, key in blocks:
            last = _check_order(columns, last, seen)
            document, key, tokens, losses = _sum_block(columns, key, plan, carry)
            if not document.size:
                continue
            closed = document != document[-1]
            _check_losses(losses, document, plan.models)
            done.append(document[closed], key[closed], tokens[closed], losses[closed])
            carry = document[~closed], key[~closed], tokens[~closed], losses[~closed]
    if carry is not None:
        done.append(*carry)
    return done


Block = tuple[dict[str, NDArray[Any]], NDArray[np.int32]]


def _ahead(tables: Iterator[Callable[[], pa.Table]], plan: Plan) -> Iterator[list[Block]]:
    """The blocks of each table with the keys of their rows, in order.

    Reading and keys, two thirds of all work, are done by other threads while blocks are summed; sums are not, so that
    they are added in one order.
    """
    pool, pending = ThreadPoolExecutor(_THREADS), deque[Future[list[Block]]]()
    try:
        for load in tables:
            pending.append(pool.submit(_prepared, load, plan))
            if len(pending) > _THREADS:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _prepared(load: Callable[[], pa.Table], plan: Plan) -> list[Block]:
    table = load()
    blocks = (_columns(table.slice(start, _ROWS), plan) for start in range(0, table.num_rows, _ROWS))
    return [(columns, _keys(columns, plan)) for columns in blocks]


def _columns(table: pa.Table, plan: Plan) -> dict[str, NDArray[Any]]:
    """Numpy columns of one block; -1 for an unknown count."""
    out = {}
    for name in plan.columns:
        column = table.column(name)
        if column.null_count:
            if name != "count":
                raise ValueError(f"records: column {name!r} holds {column.null_count} nulls; only 'count' may")
            column = pc.fill_null(column, -1)  # type: ignore[attr-defined]
        out[name] = column.to_numpy()
    return out


def _check_order(columns: dict[str, NDArray[Any]], last: tuple[int, int], seen: set[int]) -> tuple[int, int]:
    """Documents contiguous, positions increasing (a token scored twice would count twice)."""
    document, position = columns["document"], columns["position"]
    if not document.size:
        return last
    border = np.flatnonzero(document[1:] != document[:-1])
    falls = np.flatnonzero(position[1:] <= position[:-1])
    inside = falls[document[falls] == document[falls + 1]]
    if inside.size or (document[0] == last[0] and position[0] <= last[1]):
        where = int(document[inside[0]]) if inside.size else last[0]
        raise ValueError(f"records: positions must increase within a document; they do not in document {where}")
    starts = [int(d) for d in document[np.concatenate([[0], border + 1])]]
    for index in starts[1:] if starts[0] == last[0] else starts:
        if index in seen:
            raise ValueError(f"records: the rows of document {index} are not contiguous; sort by document and position")
        seen.add(index)
    return int(document[-1]), int(position[-1])


def _sum_block(
    columns: dict[str, NDArray[Any]], key: NDArray[np.integer], plan: Plan, carry: tuple[Any, ...] | None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[np.float64]]:
    """Sums of one block with the open document's partial sums in front; documents in order of appearance."""
    document = columns["document"]
    losses = [columns[f"loss_{model}"] for model in plan.models]
    tokens = None
    if plan.scored == "last half":
        keep = 2 * columns["context"] >= plan.window
        document, key, losses = document[keep], key[keep], [loss[keep] for loss in losses]
    if carry is not None:
        tokens = np.concatenate([carry[2], np.ones(key.size, dtype=np.int64)])
        document, key = np.concatenate([carry[0], document]), np.concatenate([carry[1], key])
        losses = [np.concatenate([carry[3][:, m], loss]) for m, loss in enumerate(losses)]
    if not document.size:
        return document, key, document, np.empty((0, len(plan.models)))
    border = np.concatenate([[False], document[1:] != document[:-1]])
    names = document[np.flatnonzero(np.concatenate([[True], border[1:]]))].astype(np.int64)
    local, key, tokens, sums = sum_rows(np.cumsum(border), key, tokens, losses)
    return names[local], key, tokens, sums


def _keys(columns: dict[str, NDArray[Any]], plan: Plan) -> NDArray[np.int32]:
    """Packed attributes of each row."""
    context, opportunity, count = columns["context"], columns["opportunity"], columns["count"]
    distance, bigram = columns[f"distance_{plan.ngram}"], columns["distance_2"]
    hit = visible(bigram, context, 1)
    # 3 a miss, 2 the pair recurs, 1 the most recent occurrence of the previous token was followed by this token
    kind = np.int8(3) - hit.view(np.int8) - (hit & (bigram == opportunity)).view(np.int8)
    known = (count >= 0).view(np.int8)
    seen = distance * visible(distance, context, plan.ngram - 1)
    return pack(
        {
            "distance_bin": np.minimum(log2_bin(seen), LAST_DISTANCE_BIN),
            "count_bin": (np.minimum(log2_bin(count * known), LAST_COUNT_BIN) + 1) * known - 1,
            "rare": _rare(count, known, plan.threshold),
            "opportunity": kind * visible(opportunity, context, 1),
            "position": _quarter(context, plan.window),
        }
    )


def _quarter(context: NDArray[Any], window: int) -> NDArray[np.int8]:
    """Quarter 0..3 of the window: floor(4 context / window), at most 3."""
    first, second, third = ((context >= -(-part * window // 4)).view(np.int8) for part in (1, 2, 3))
    return first + second + third


def _rare(count: NDArray[Any], known: NDArray[np.int8], threshold: int | None) -> NDArray[np.int8]:
    """1 rare, 0 not, -1 unknown."""
    if threshold is None:
        return np.full(count.size, -1, dtype=np.int8)
    return ((count <= threshold).view(np.int8) + np.int8(1)) * known - np.int8(1)


def _check_losses(losses: NDArray[np.float64], document: NDArray[Any], models: tuple[str, ...]) -> None:
    """Refuse NaN and infinity; a sum is finite exactly when its float32 terms are."""
    bad = np.argwhere(~np.isfinite(losses))
    if bad.size:
        row, model = bad[0]
        raise ValueError(f"records: model {models[model]!r} has a loss that is not finite in document {document[row]}")
