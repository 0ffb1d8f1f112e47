"""One decoding step of a matrix state in Triton: the state is read once and written once."""

# pyright: reportArgumentType=false, reportIndexIssue=false
# Triton's annotations ask for what its compiler makes of literals.

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def matrix_decode_kernel(
    q, k, v, beta, log_decay, o, state, scale, H,
    q_b, q_h, k_b, k_h, v_b, v_h, beta_b, beta_h, log_decay_b, log_decay_h,
    K: tl.constexpr, V: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    DELTA: tl.constexpr, DECAY: tl.constexpr,
):  # fmt: skip
    """Grid (B H, ⌈V / COLUMNS⌉): all K rows of some columns of `state` `[B H, K, V]`; columns do not need each other.

    With `DECAY` `S ← α S`; with `DELTA` `v ← β (v - Sᵀk)`; then `S ← S + k vᵀ` and `o = scale Sᵀq`. A row of `state` is
    V long and its columns are contiguous; the last width of q, k, v is contiguous.
    """
    sequence = tl.program_id(0).to(tl.int64)
    b, h = sequence // H, sequence % H
    row, column = tl.arange(0, ROWS), tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    in_rows, in_columns = row < K, column < V
    query = tl.load(q + b * q_b + h * q_h + row, mask=in_rows, other=0.0).to(tl.float32) * scale
    key = tl.load(k + b * k_b + h * k_h + row, mask=in_rows, other=0.0).to(tl.float32)
    value = tl.load(v + b * v_b + h * v_h + column, mask=in_columns, other=0.0).to(tl.float32)
    at = state + sequence * K * V + row[:, None] * V + column[None, :]
    mask = in_rows[:, None] & in_columns[None, :]
    matrix = tl.load(at, mask=mask, other=0.0)
    if DECAY:
        matrix *= tl.exp(tl.load(log_decay + b * log_decay_b + h * log_decay_h).to(tl.float32))
    if DELTA:
        kept = tl.sum(matrix * key[:, None], 0)
        value = (value - kept) * tl.load(beta + b * beta_b + h * beta_h).to(tl.float32)
    matrix += key[:, None] * value[None, :]
    tl.store(at, matrix, mask=mask)
    out = tl.sum(matrix * query[:, None], 0)
    tl.store(o + sequence * V + column, out.to(o.dtype.element_ty), mask=in_columns)
