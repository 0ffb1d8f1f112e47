"""What Based's Triton kernels share: features of one chunk, and the form in which sums of them are held.

Features of second order are *rolled*: slice j is `x ⊙ roll(x, j)` for j = 0 … K / 2, weighted 1/2 for j = 0 and 1
otherwise, of the last slice only the first half, so that `Σ_j w_j (q ⊙ roll(q, j))·(k ⊙ roll(k, j)) = (q·k)² / 2`.
At K = 16 these are 136 columns. Rolled copies come from products with a matrix of 0 and one weight, which are exact if
that is a power of two. Tiles have 128 and 32 columns (backward 64, 64, 32), of which the last holds the half slice 8,
three constants, five empty columns, and x. Keys are summed and queries read the sums (backward the other way), with
these weights:

    columns       summed        reading
    0 to 135      p² (j > 0)    1                  rolled products
    136           1/64          64 r², rounded     the sum of values, which would lose digits when sums are rounded:
    137           1/64          64 r², rounded     here what rounding took from the sum in 136 is read,
    138           1/64          its rest           and here what it took from the reader
    144 to 159    p             r                  first order

with p the power of two below the scale and r = p / scale: all of it is r² times `1 + s + s²/2`, a factor that numerator
and denominator share. No weight is rounded but r, in a feature that is rounded anyway.
"""

# pyright: reportArgumentType=false, reportIndexIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false
# Triton's annotations ask for what its compiler makes of literals.

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def rolls(first: tl.constexpr, COLUMNS: tl.constexpr, outer, inner, dtype: tl.constexpr):
    """`[16, COLUMNS]`, slices from `first` on: column (j, i) picks `x[(i - j) mod 16]`.

    The weight is `outer` for j = 0, else `inner`. Nothing is picked for i ≥ 8 of slice 8, and for slice 9.
    """
    row, column = tl.arange(0, 16)[:, None], tl.arange(0, COLUMNS)[None, :]
    slice, channel = first + column // 16, column % 16
    picks = ((channel - slice + 16) % 16 == row) & (slice * 16 + channel < 136)
    return tl.where(picks, tl.where(slice == 0, outer, inner), 0.0).to(dtype)


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
def first_order(weight):
    """As `key_row`, without constants."""
    return tl.where(tl.arange(0, 32) >= 16, weight, 0.0)


@triton.jit
def copied(x, SLICES: tl.constexpr, C: tl.constexpr):
    """`[C, 16 SLICES]`: x, slice after slice."""
    return tl.reshape(tl.broadcast_to(x[:, None, :], (C, SLICES, 16)), (C, 16 * SLICES))


@triton.jit
def wide_features(x, rolled, copies, SLICES: tl.constexpr, C: tl.constexpr):
    """`[C, 16 SLICES]`, rounded once: x rolled times the `copies` of it, float32 and perhaps weighted."""
    turned = tl.reshape(tl.dot(x, rolled, input_precision="ieee"), (C, SLICES, 16))
    return tl.reshape(turned * copies[:, None, :], (C, 16 * SLICES)).to(x.dtype)


@triton.jit
def last_factors(x, rolled, row, copies, constant, C: tl.constexpr):
    """Two `[C, 32]`, features of the last tile are their product; of constants the second is `constant`, `[C, 1]`."""
    column = tl.arange(0, 32)[None, :]
    # Not the row added to the product: that would be accumulated upon, a copy of it in registers each time.
    turned = tl.where(column >= 8, row[None, :], tl.dot(x, rolled, input_precision="ieee"))
    return turned, tl.where((column >= 8) & (column < 16), constant, copied(copies, 2, C))


@triton.jit
def last_features(x, rolled, row, C: tl.constexpr):
    """`[C, 32]`, rounded once."""
    turned, copies = last_factors(x, rolled, row, x.to(tl.float32), 1.0, C)
    return (turned * copies).to(x.dtype)


@triton.jit
def pull(inner, turned, copies, rolled, out, SLICES: tl.constexpr, C: tl.constexpr, dtype: tl.constexpr):
    """`out` plus the gradient of x, from that of the features, `inner`, `[C, 16 SLICES]`.

    Each product passes its gradient to both factors: to x as it stands, and to x rolled, which is rolled back.
    """
    out += tl.sum(tl.reshape(inner * turned, (C, SLICES, 16)), 1)
    return tl.dot((inner * copies).to(dtype), tl.trans(rolled), out, input_precision="ieee")


@triton.jit
def sum_wide(x, values, rolled, copies, state, SLICES: tl.constexpr, C: tl.constexpr):
    """A tile of the state, `[VALUES, 16 SLICES]`, with what a chunk adds."""
    features = wide_features(x, rolled, copies, SLICES, C)
    return tl.dot(tl.trans(values), features, state, input_precision="ieee")


@triton.jit
def sum_last(x, values, rolled, row, copies, constant, state, C: tl.constexpr):
    """The last tile of the state, `[VALUES, 32]`, with what a chunk adds; arguments as of `last_factors`."""
    turned, copies = last_factors(x, rolled, row, copies, constant, C)
    return tl.dot(tl.trans(values), (turned * copies).to(x.dtype), state, input_precision="ieee")


@triton.jit
def sum_moments(x, weighted, squares, sums, C: tl.constexpr):
    """`Σ x wᵀ` and, in 16 equal rows, `Σ w`."""
    squares = tl.dot(tl.trans(x), weighted, squares, input_precision="ieee")
    return squares, tl.dot(tl.full((16, C), 1.0, x.dtype), weighted, sums, input_precision="ieee")


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


@triton.jit
def store_packed(at, wide, last, ratio, V: tl.constexpr, VALUES: tl.constexpr):
    """The state in two tiles as `packing` has it."""
    value, column = tl.arange(0, VALUES)[:, None], tl.arange(0, 32)[None, :]
    last = tl.where((column > 8) & (column < 16), 0.0, last / packed_factor(ratio)[None, :])
    tl.store(at + tl.arange(0, 128)[None, :] * V + value, wide / (ratio * ratio))
    tl.store(at + (128 + column) * V + value, last)


@triton.jit
def load_moments(at):
    """Σ k kᵀ, and Σ k in 16 equal rows."""
    row, column = tl.arange(0, 16)[:, None], tl.arange(0, 16)[None, :]
    return tl.load(at + row * 16 + column), tl.load(at + 256 + row * 0 + column)


@triton.jit
def store_moments(at, squares, sums, count):
    row, column = tl.arange(0, 16)[:, None], tl.arange(0, 16)[None, :]
    tl.store(at + row * 16 + column, squares)
    tl.store(at + 256 + row * 0 + column, sums, mask=row + 0 * column == 0)
    tl.store(at + 272, count)
