"""One step of decoding Based in Triton: the state is read once and written once, whatever K and V."""

# pyright: reportArgumentType=false, reportIndexIssue=false
# Triton's annotations ask for what its compiler makes of literals.

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _factor(x, pair, valid, scale):
    """A Taylor feature: 1 if a = b = -1, `√scale x_a` if b = -1, `scale x_a x_b`, and `scale x_a² / √2` if a = b."""
    channel, other = pair // 256 - 1, pair % 256 - 1
    one = tl.load(x + channel, mask=valid & (channel >= 0), other=1.0).to(tl.float32)
    two = tl.load(x + other, mask=valid & (other >= 0), other=1.0).to(tl.float32)
    weight = tl.where(other >= 0, scale, tl.where(channel >= 0, tl.sqrt(scale), 1.0))
    return one * two * tl.where(channel == other, tl.where(channel >= 0, 0.7071067811865476, 1.0), 1.0) * weight


@triton.jit
def based_decode_kernel(
    q, k, v, o, state, pairs, scale, FEATURES: tl.constexpr, K: tl.constexpr, V: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Grid (B H): `state` `[B H, F, V + 1]`; `pairs` `[F]` holds 256 (a + 1) + b + 1 of each feature."""
    sequence = tl.program_id(0).to(tl.int64)
    row, column = tl.arange(0, ROWS), tl.arange(0, COLUMNS)
    inside = column <= V  # the last column sums to the normaliser, its value is 1
    value = tl.load(v + sequence * V + column, mask=column < V, other=1.0).to(tl.float32)
    sums = tl.zeros((COLUMNS,), tl.float32)
    for start in range(0, FEATURES, ROWS):
        valid = row < FEATURES - start
        pair = tl.load(pairs + start + row, mask=valid, other=0)
        keys = _factor(k + sequence * K, pair, valid, scale)
        queries = _factor(q + sequence * K, pair, valid, scale)
        at = state + sequence * FEATURES * (V + 1) + (start + row)[:, None] * (V + 1) + column[None, :]
        mask = valid[:, None] & inside[None, :]
        matrix = tl.load(at, mask=mask, other=0.0) + keys[:, None] * value[None, :]
        tl.store(at, matrix, mask=mask)
        sums += tl.sum(tl.where(mask, matrix * queries[:, None], 0.0), 0)
    normaliser = tl.sum(tl.where(column == V, sums, 0.0), 0)
    tl.store(o + sequence * V + column, (sums / normaliser).to(o.dtype.element_ty), mask=column < V)
