"""Which matrices an operator works on, and the specification that it returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recallscope.architectures.specification import Specification, Weights

BLOCKS = ("mixer", "ffn")
"""The default choice: every matrix of the layers, neither embedding nor head."""

Only = str | tuple[str, ...]


def chosen(specification: Specification, only: Only) -> Callable[[Weights], bool]:
    """Whether a matrix is meant by `only`: a name or the dotted start of one (`ffn`, `ffn.up`), or several."""
    starts = (only,) if isinstance(only, str) else tuple(only)
    names = sorted({w.name for w in specification.weights})
    unknown = [start for start in starts if not any(_begins(name, start) for name in names)]
    if unknown and (starts != BLOCKS or len(unknown) == len(starts)):
        raise ValueError(f"only: names or their starts ({', '.join(names)}), got {', '.join(map(repr, unknown))}")
    return lambda w: any(_begins(w.name, start) for start in starts)


def _begins(name: str, start: str) -> bool:
    return name == start or name.startswith(start + ".")


def changed(
    specification: Specification, applied: str, only: Only, change: Callable[[Weights], tuple[Weights, ...]]
) -> Specification:
    """Each chosen matrix replaced by what `change` makes of it; the same object if nothing changed."""
    wanted = chosen(specification, only)
    weights = tuple(new for w in specification.weights for new in (change(w) if wanted(w) else (w,)))
    return specification if weights == specification.weights else specification.with_weights(applied, weights)


def call(operator: str, **knobs: Any) -> str:
    """How the operator was called: `low_rank(rank=64, only='ffn')`; without what was left at None or at `BLOCKS`."""
    given = [f"{name}={value!r}" for name, value in knobs.items() if value is not None and value != BLOCKS]
    return f"{operator}({', '.join(given)})"


def is_dense(w: Weights) -> bool:
    """Whether all M N values are stored."""
    return w.stored == w.rows * w.columns and not w.index_bits


def need_dense(operator: str, w: Weights) -> None:
    if not is_dense(w):
        raise ValueError(f"{operator}: needs dense matrices, got {w.name} with {w.stored:,} of {w.rows} x {w.columns}")


def need_product(operator: str, w: Weights) -> None:
    """For operators that act on a product: a table is looked up."""
    if not w.flops:
        raise ValueError(f"{operator}: needs matrices that are multiplied, got the table {w.name}")


def part(w: Weights, suffix: str, rows: int, columns: int, count: int = 1, **other: Any) -> Weights:
    """A dense factor `rows` x `columns` of a matrix, `count` times; activation sparsity stays with the inputs."""
    from dataclasses import replace

    flops = 2 * rows * columns
    fields = {"stored": rows * columns, "flops": flops, "count": w.count * count} | other
    return replace(w, name=f"{w.name}.{suffix}", rows=rows, columns=columns, **fields)


def need_dense_product(operator: str, w: Weights) -> None:
    need_product(operator, w)
    need_dense(operator, w)


def need_whole(name: str, value: int) -> None:
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name}: an integer of at least 1, got {value!r}")


def need_share(name: str, value: float) -> None:
    if not 0 < value <= 1:
        raise ValueError(f"{name}: above 0 and at most 1, got {value!r}")


def need_divisor(operator: str, name: str, divisor: int, w: Weights, *sizes: int) -> None:
    if any(size % divisor for size in sizes):
        raise ValueError(f"{name}: {operator} needs a divisor of {sizes} for {w.name}, got {divisor}")
