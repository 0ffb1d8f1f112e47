"""What Based's Triton kernels share: features of one chunk, what they read from a state, and what they write to it.

Features of second order are *rolled*: slice j is `x ⊙ roll(x, j)` for j = 0 … K / 2, weighted 1/2 for j = 0 and 1
otherwise, of the last slice only the first half, so that `Σ_j w_j (q ⊙ roll(q, j))·(k ⊙ roll(k, j)) = (q·k)² / 2`.
At K = 16 these are 136 columns; up to 8 more are constants or empty, 16 are x itself. Rolled copies come from products
with a matrix of 0 and one weight, which are exact if that is a power of two.
"""

# pyright: reportArgumentType=false, reportIndexIssue=false
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
def copied(x, C: tl.constexpr):
    """`[C, 32]`: x twice, in float32."""
    return tl.reshape(tl.broadcast_to(x[:, None, :], (C, 2, 16)), (C, 32)).to(tl.float32)


@triton.jit
def features(x, rolled, constant, C: tl.constexpr):
    """`x ⊙ (x rolled + constant)`, `[C, 32]`, rounded once."""
    return ((tl.dot(x, rolled, input_precision="ieee") + constant) * copied(x, C)).to(x.dtype)


@triton.jit
def read(x, rolled, constant, state, out, C: tl.constexpr):
    """`out + features · stateᵀ`, of a state `[VALUES, 32]`."""
    return tl.dot(features(x, rolled, constant, C), tl.trans(state).to(x.dtype), out, input_precision="ieee")


@triton.jit
def write(x, rolled, constant, values, state, C: tl.constexpr):
    """`state + valuesᵀ · features`."""
    return tl.dot(tl.trans(values), features(x, rolled, constant, C), state, input_precision="ieee")


@triton.jit
def pull(x, rolled, constant, grads, state, out, C: tl.constexpr):
    """`out` plus the gradient of x in what `read` adds, from `grads`, that of its result.

    Each product passes its gradient to both factors: to x as it stands, and to x rolled, which is rolled back.
    """
    inner = tl.dot(grads, state.to(grads.dtype), input_precision="ieee")
    turned = tl.dot(x, rolled, input_precision="ieee") + constant
    out += tl.sum(tl.reshape(inner * turned, (C, 2, 16)), 1)
    return tl.dot((inner * copied(x, C)).to(x.dtype), tl.trans(rolled), out, input_precision="ieee")


@triton.jit
def factors(x, rolled, one, LAST: tl.constexpr, C: tl.constexpr):
    """Two `[C, 32]` whose product are the features; in the LAST tile with the constant 1 in column 8, and `one` x."""
    turned, copies = tl.dot(x, rolled, input_precision="ieee"), copied(x, C)
    if LAST:
        column = tl.arange(0, 32)[None, :]
        turned += tl.where(column >= 16, one, tl.where(column == 8, 1.0, 0.0))
        copies = tl.where(column == 8, 1.0, copies)
    return turned, copies


@triton.jit
def pull_and_read(x, rolled, grads, state, out, sums, LAST: tl.constexpr, C: tl.constexpr):
    """`pull` and `read` together, with the constant."""
    inner = tl.dot(grads, state.to(grads.dtype), input_precision="ieee")
    turned, copies = factors(x, rolled, 1.0, LAST, C)
    sums = tl.dot((turned * copies).to(x.dtype), tl.trans(state).to(x.dtype), sums, input_precision="ieee")
    if LAST:  # the constant has no gradient
        inner = tl.where(tl.arange(0, 32)[None, :] == 8, 0.0, inner)
    out += tl.sum(tl.reshape(inner * turned, (C, 2, 16)), 1)
    return tl.dot((inner * copies).to(x.dtype), tl.trans(rolled), out, input_precision="ieee"), sums


@triton.jit
def write_weighted(x, rolled, one, weights, values, state, LAST: tl.constexpr, C: tl.constexpr):
    """`state + valuesᵀ · (weights ⊙ features)` with the constant: a weight a token, the product rounded once."""
    turned, copies = factors(x, rolled, one, LAST, C)
    scaled = (turned * (copies * weights[:, None])).to(x.dtype)
    return tl.dot(tl.trans(values), scaled, state, input_precision="ieee")
