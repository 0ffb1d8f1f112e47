"""What keys and values add to the state, in Triton: one program sums a stretch of time for one head, on chip.

A third of the instructions of the kernel that goes on from there (`forward_kernel`): keys write, nothing reads.
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
def based_encode_kernel(
    k, v, state_out, moments_out,
    scale, unit, T, H: tl.constexpr, SPAN,
    k_b, k_t: tl.constexpr, k_h, v_b, v_t: tl.constexpr, v_h,
    V: tl.constexpr, VALUES: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """Grid (B H, V / VALUES, spans of SPAN tokens), T may be 0; states as the forward kernel reads them."""
    sequence, block, span = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2).to(tl.int64)
    b, h = sequence // H, sequence % H
    dtype = k.dtype.element_ty
    token, key, value = tl.arange(0, C), tl.arange(0, 16), tl.arange(0, VALUES)
    # The last width is contiguous; steps of one chunk fit in 32 bits (launch.py), sums of steps are pointers. Steps of
    # tokens are known when this is compiled: else each row of a tile has a pointer of its own in registers, and spills.
    k += b * k_b + h * k_h + span * SPAN * k_t
    v += b * v_b + h * v_h + span * SPAN * v_t + block * VALUES
    tokens = tl.minimum(T - span.to(tl.int32) * SPAN, SPAN)
    state_out += (span * tl.num_programs(0) + sequence) * 160 * V + block * VALUES
    moments_out += (span * tl.num_programs(0) + sequence) * 288

    ratio = unit / scale
    key_wide, key_last = key_rolls(unit, dtype)
    key_rest = key_row(unit)

    wide, last = tl.zeros((VALUES, 128), tl.float32), tl.zeros((VALUES, 32), tl.float32)
    squares, sums = tl.zeros((16, 16), tl.float32), tl.zeros((16, 16), tl.float32)

    for start in tl.range(0, tokens, C, disable_licm=True):
        inside = token < tokens - start
        # What is not inside is 0: its features of first and second order are, and its values.
        keys = tl.load(k + token[:, None] * k_t + key[None, :], mask=inside[:, None], other=0.0)
        values = tl.load(v + token[:, None] * v_t + value[None, :], mask=inside[:, None], other=0.0)
        last = sum_last(keys, values, key_last, key_rest, keys.to(tl.float32), 1.0, last, C)
        wide = sum_wide(keys, values, key_wide, keys.to(tl.float32), wide, 8, C)
        squares, sums = sum_moments(keys, keys, squares, sums, C)
        k += C * k_t
        v += C * v_t

    store_packed(state_out, wide, last, ratio, V, VALUES)
    if block == 0:
        store_moments(moments_out, squares, sums, tokens.to(tl.float32))
