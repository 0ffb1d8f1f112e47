"""Blocks of record columns to sums: order checks, attributes of each row, losses that must be finite."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recallscope.allocator import keep_freed_memory
from recallscope.compiled import compiled
from recallscope.slicing.attribution import _rows_numpy
from recallscope.slicing.attribution._records import Plan
from recallscope.slicing.attribution._reduction import Sums
from recallscope.slicing.attribution._rows_numpy import Summed

_THREADS, _AHEAD = 2, 3  # tables read at once, and read or being read before they are summed
_WORTH_IMPORTING = 4_000_000  # rows; numba takes 0.6 s to import, and saves 0.15 µs a row
_ROWS = 1 << 17  # rows reduced at once: the columns of one block stay in the cache


def reduce_records(tables: Iterator[Callable[[], pa.Table]], plan: Plan) -> Sums:
    """Sum block by block; the last document of a block stays open until the next one shows where it ends."""
    keep_freed_memory()
    done, seen = Sums(plan.models), set[int]()
    carry: Summed | None = None
    last, rows = (-1, -1), 0
    for blocks in _ahead(tables, plan):
        for columns, key in blocks:
            last = _check_order(columns, last, seen)
            rows += key.size
            found = _sum_block(columns, key, plan, carry, _engine(rows))
            if found is None:
                continue
            closed = int(np.argmax(found.document == found.document[-1]))  # rows before those of the last document
            _check_losses(found.losses, found.document, plan.models)
            done.append(*found.rows(slice(closed)))
            carry = found.rows(slice(closed, None))
    if carry is not None:
        done.append(*carry)
    return done


Block = tuple[dict[str, NDArray[Any]], NDArray[np.int32]]


def _ahead(tables: Iterator[Callable[[], pa.Table]], plan: Plan) -> Iterator[list[Block]]:
    """The blocks of each table with the keys of their rows, in order.

    Reading and keys, most of all work, are done by other threads while blocks are summed; sums are not, so that
    they are added in one order.
    """
    pool, pending, rows = ThreadPoolExecutor(_THREADS), deque[Future[list[Block]]](), 0
    try:
        for load in tables:
            pending.append(pool.submit(_prepared, load, plan, _engine(rows)))
            if len(pending) > _AHEAD:
                blocks = pending.popleft().result()
                rows += sum(key.size for _, key in blocks)
                yield blocks
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _prepared(load: Callable[[], pa.Table], plan: Plan, engine: ModuleType) -> list[Block]:
    table = load()
    blocks = (_columns(table.slice(start, _ROWS), plan) for start in range(0, table.num_rows, _ROWS))
    return [(columns, engine.row_keys(columns, plan)) for columns in blocks]


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
    columns: dict[str, NDArray[Any]], key: NDArray[np.integer], plan: Plan, carry: Summed | None, engine: ModuleType
) -> Summed | None:
    """Sums of one block, with those of the open document so far; None of no rows."""
    document = columns["document"]
    losses = [columns[f"loss_{model}"] for model in plan.models]
    if plan.scored == "last half":
        keep = 2 * columns["context"] >= plan.window
        document, key, losses = document[keep], key[keep], [loss[keep] for loss in losses]
    if not document.size:
        return carry
    return engine.sum_rows(document, key, losses, carry)


def _engine(rows: int) -> ModuleType:
    """What works on the next rows, after so many: the same numbers come from either."""
    return compiled(f"{__package__}._rows_numba", rows, _WORTH_IMPORTING) or _rows_numpy


def _check_losses(losses: NDArray[np.float64], document: NDArray[Any], models: tuple[str, ...]) -> None:
    """Refuse NaN and infinity; a sum is finite exactly when its float32 terms are."""
    finite = np.isfinite(losses)
    if not finite.all():
        row, model = np.argwhere(~finite)[0]
        raise ValueError(f"records: model {models[model]!r} has a loss that is not finite in document {document[row]}")
