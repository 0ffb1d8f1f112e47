"""Features of one chunk in two tiles, as the kernels that go forward in time hold them: 128 columns, and 32.

The first are slices 0 to 7 of `tiles`; the second are the half slice 8, three constants, five empty columns, and x.
Keys are summed, queries read the sums, and both have weights:

    columns       keys          queries
    0 to 135      p² (j > 0)    1                  rolled products
    136           1/64          64 r², rounded     the sum of values, which would lose digits when sums are rounded:
    137           1/64          64 r², rounded     here what rounding took from the sum in 136 is read,
    138           1/64          its rest           and here what it took from the query
    144 to 159    p             r                  first order

with p the power of two below the scale and r = p / scale: all of it is r² times `1 + s + s²/2`, a factor that numerator
and denominator share. No weight is rounded but r, in a feature that is rounded anyway.
"""

# pyright: reportArgumentType=false, reportIndexIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false
# Triton's annotations ask for what its compiler makes of literals.

from __future__ import annotations

import triton
import triton.language as tl

from recallscope_kernels.ops.based.tiles import rolls


@triton.jit
def key_rolls(unit, dtype: tl.constexpr):
    """Of both tiles, weighted."""
    square = unit * unit
    return rolls(0, 128, 0.5 * square, square, dtype), rolls(8, 32, 0.5 * square, square, dtype)


@triton.jit
def key_row(unit):
    """`[32]`, the last 24 columns of the second tile: constants, and what x is multiplied by."""
    column = tl.arange(0, 32)
    return tl.where(column >= 16, unit, tl.where((column >= 8) & (column < 11), 0.015625, 0.0))


@triton.jit
def query_row(ratio, dtype: tl.constexpr):
    """As `key_row`, for queries."""
    column = tl.arange(0, 32)
    constant = tl.full((32,), 64.0, tl.float32) * (ratio * ratio)
    rounded = constant.to(dtype).to(tl.float32)
    constants = tl.where(column == 10, constant - rounded, tl.where((column >= 8) & (column < 10), rounded, 0.0))
    return tl.where(column >= 16, ratio, constants)


@triton.jit
def wide_features(x, rolled, C: tl.constexpr):
    """`[C, 128]`, rounded once."""
    turned = tl.reshape(tl.dot(x, rolled, input_precision="ieee"), (C, 8, 16))
    return tl.reshape(turned * x.to(tl.float32)[:, None, :], (C, 128)).to(x.dtype)


@triton.jit
def last_features(x, rolled, row, C: tl.constexpr):
    """`[C, 32]`, rounded once."""
    column = tl.arange(0, 32)[None, :]
    # Not the row added to the product: that would be accumulated upon, a copy of it in registers each time.
    turned = tl.where(column >= 8, row[None, :], tl.dot(x, rolled, input_precision="ieee"))
    copies = tl.reshape(tl.broadcast_to(x.to(tl.float32)[:, None, :], (C, 2, 16)), (C, 32))
    return (turned * tl.where((column >= 8) & (column < 16), 1.0, copies)).to(x.dtype)


@triton.jit
def rounded_sums(state, dtype: tl.constexpr):
    """The second tile of the state as it is read: column 9 is what rounding takes from column 8."""
    rounded = state.to(dtype)
    return tl.where((tl.arange(0, 32) == 9)[None, :], state - rounded.to(tl.float32), state).to(dtype)


@triton.jit
def row_of_sums(sums, dtype: tl.constexpr):
    """`[16, 16]`, of equal rows: row 0 rounded, row 1 what that took; the rest is not read."""
    rounded = sums.to(dtype)
    return tl.where((tl.arange(0, 16) == 1)[:, None], sums - rounded.to(tl.float32), sums).to(dtype)


@triton.jit
def two_of_sixteen(C: tl.constexpr, dtype: tl.constexpr):
    """`[C, 16]`: ones where `row_of_sums` is read."""
    return tl.where(tl.broadcast_to(tl.arange(0, 16)[None, :] < 2, (C, 16)), 1.0, 0.0).to(dtype)


@triton.jit
def packed_factor(ratio):
    """`[32]`, the second tile of the state over its packed form (`packing`)."""
    column = tl.arange(0, 32)
    return tl.where(column < 8, ratio * ratio, tl.where(column < 16, 0.015625, ratio))


@triton.jit
def packed_row():
    """`[32]`, the row of the packed state that each column comes from: the constants all from the sum of values."""
    column = tl.arange(0, 32)
    return 128 + tl.where((column >= 8) & (column < 11), 8, column)
