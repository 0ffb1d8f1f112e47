"""What queries ask of the keys and values of earlier spans, in Triton: backward what `encode_kernel` is forward.

Sums of one span for one head, in the form in which `key_gradient_kernel` reads them.
"""

# pyright: reportArgumentType=false, reportIndexIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false
# Triton's annotations ask for what its compiler makes of literals, and of its ranges.

from __future__ import annotations

import triton
import triton.language as tl

from recallscope_kernels.ops.based.tiles import (
    key_rolls,
    key_row,
    store_moments,
    store_packed,
    sum_last,
    sum_moments,
    sum_wide,
)


@triton.jit
def based_asked_kernel(
    q, grad, normaliser, delta, state_out, moments_out,
    scale, unit, B, T, H: tl.constexpr, SPAN,
    q_b, q_t: tl.constexpr, q_h, g_b, g_t: tl.constexpr, g_h,
    V: tl.constexpr, VALUES: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """Grid (B H, V / VALUES, spans but the first); a block of V has its own moments, weighted by its `delta`."""
    sequence, block, span = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2).to(tl.int64)
    b, h = sequence // H, sequence % H
    dtype = q.dtype.element_ty
    token, key, value = tl.arange(0, C), tl.arange(0, 16), tl.arange(0, VALUES)
    # The last width is contiguous; steps of one chunk fit in 32 bits (launch.py), sums of steps are pointers.
    first = (span + 1) * SPAN
    tokens = tl.minimum(T - first.to(tl.int32), SPAN)
    q += b * q_b + h * q_h + first * q_t
    grad += b * g_b + h * g_h + first * g_t + block * VALUES
    normaliser += (b * T + first) * H + h
    delta += ((block * B + b) * T + first) * H + h
    state_out += (span * tl.num_programs(0) + sequence) * 160 * V + block * VALUES
    moments_out += ((span * tl.num_programs(1) + block) * tl.num_programs(0) + sequence) * 288

    ratio = unit / scale
    share = 1.0 / (ratio * ratio)
    query_wide, query_last = key_rolls(unit, dtype)
    query_rest = key_row(unit)
    wide, last = tl.zeros((VALUES, 128), tl.float32), tl.zeros((VALUES, 32), tl.float32)
    squares, sums = tl.zeros((16, 16), tl.float32), tl.zeros((16, 16), tl.float32)
    count = tl.zeros((C,), tl.float32)

    for start in tl.range(0, tokens, C, disable_licm=True):
        inside = token < tokens - start
        queries = tl.load(q + token[:, None] * q_t + key[None, :], mask=inside[:, None], other=0.0)
        grads = tl.load(grad + token[:, None] * g_t + value[None, :], mask=inside[:, None], other=0.0)
        inverse = share / tl.load(normaliser + token * H, mask=inside, other=1.0)
        to_z = tl.load(delta + token * H, mask=inside, other=0.0)
        count += to_z
        weighted = queries.to(tl.float32) * to_z[:, None]
        squares, sums = sum_moments(queries, weighted.to(dtype), squares, sums, C)
        weighted = queries.to(tl.float32) * inverse[:, None]
        last = sum_last(queries, grads, query_last, query_rest, weighted, inverse[:, None], last, C)
        wide = sum_wide(queries, grads, query_wide, weighted, wide, 8, C)
        q += C * q_t
        grad += C * g_t
        normaliser += C * H
        delta += C * H

    store_packed(state_out, wide * (ratio * ratio), last * (ratio * ratio), ratio, V, VALUES)
    store_moments(moments_out, squares, sums, tl.sum(count, 0))
