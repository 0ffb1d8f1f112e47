"""One step of decoding Based in Triton: the state is read once and written once, whatever K and V.

Features are taken in blocks: those of first order, then for each a the products of x_a with x_a ... x_{K-1}, which lie
one after another in the state. A block costs one product a row, and x is loaded once.
"""

# pyright: reportArgumentType=false, reportIndexIssue=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# Triton's annotations ask for what its compiler makes of literals.

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _block(at, key, query, value, here, row, sums, norm, K: tl.constexpr, V: tl.constexpr, COLUMNS: tl.constexpr):
    """Rows of features that are `here`, row 0 of which would start `at`: update, store, and add to what is read."""
    column = tl.arange(0, COLUMNS)
    here = here & (row < K)
    query = tl.where(here, query, 0.0)
    mask = here[:, None] & (column < V)[None, :]
    line = at + row * (V + 1)
    matrix = tl.load(line[:, None] + column[None, :], mask=mask, other=0.0) + key[:, None] * value[None, :]
    tl.store(line[:, None] + column[None, :], matrix, mask=mask)
    last = tl.load(line + V, mask=here, other=0.0) + key  # the column of the normaliser, whose value is 1
    tl.store(line + V, last, mask=here)
    return sums + matrix * query[:, None], norm + last * query


@triton.jit
def _products(
    at, q, k, key, query, value, root, a, row, sums, norm, K: tl.constexpr, V: tl.constexpr, COLUMNS: tl.constexpr
):  # fmt: skip
    """The block of `y_a y_b`, b ≥ a: √½ of that for b = a."""
    weight = tl.where(row == a, 0.7071067811865476, 1.0) * root
    key = key * (weight * tl.load(k + a).to(tl.float32))
    query = query * (weight * tl.load(q + a).to(tl.float32))
    return _block(at, key, query, value, row >= a, row, sums, norm, K, V, COLUMNS)


@triton.jit
def based_decode_kernel(
    q, k, v, o, state, root, FEATURES: tl.constexpr, K: tl.constexpr, V: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Grid (B H): `state` `[B H, F, V + 1]`, of features `1, y_b, y_a y_b` with `y = root x`, √½ of that for a = b."""
    sequence = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, COLUMNS)
    value = tl.load(v + sequence * V + column, mask=column < V, other=0.0).to(tl.float32)
    q += sequence * K
    k += sequence * K
    state += sequence * FEATURES * (V + 1)

    constant = tl.load(state + column, mask=column < V, other=0.0) + value
    count = tl.load(state + V) + 1.0
    tl.store(state + column, constant, mask=column < V)
    tl.store(state + V, count)

    sums, norm = tl.zeros((ROWS, COLUMNS), tl.float32), tl.zeros((ROWS,), tl.float32)
    for start in range(0, K, ROWS):
        row = start + tl.arange(0, ROWS)
        key = tl.load(k + row, mask=row < K, other=0.0).to(tl.float32) * root
        query = tl.load(q + row, mask=row < K, other=0.0).to(tl.float32) * root
        sums, norm = _block(state + V + 1, key, query, value, row >= 0, row, sums, norm, K, V, COLUMNS)
        at = state + (K + 1) * (V + 1)
        if K <= 16:  # then all rows stand in one tile, and which of them a block has is known when this is compiled
            for a in tl.static_range(0, K):
                sums, norm = _products(at, q, k, key, query, value, root, a, row, sums, norm, K, V, COLUMNS)
                at += (K - 1 - a) * (V + 1)
        else:
            for a in range(0, min(start + ROWS, K)):
                sums, norm = _products(at, q, k, key, query, value, root, a, row, sums, norm, K, V, COLUMNS)
                at += (K - 1 - a) * (V + 1)
    z = tl.sum(norm, 0) + count
    tl.store(o + sequence * V + column, ((tl.sum(sums, 0) + constant) / z).to(o.dtype.element_ty), mask=column < V)
