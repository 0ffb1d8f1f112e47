"""Based's linear attention in Triton, forward: one program holds the state of one head on chip and walks through time.

The normaliser needs no wide sum: `z = t + scale q·Σk + scale²/2 qᵀ(Σ k kᵀ) q`. Everything is held r² times, r the ratio
of `tiles`, so that scores need two multiplications: `r² κ = (p √½ q·k + r √½)² + r²/2`.
"""

# pyright: reportArgumentType=false, reportIndexIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false
# Triton's annotations ask for what its compiler makes of literals, and of its ranges.

from __future__ import annotations

import triton
import triton.language as tl

from recallscope_kernels.ops.based.tiles import (
    key_rolls,
    key_row,
    last_features,
    load_moments,
    packed_factor,
    packed_row,
    query_row,
    rolls,
    rounded_sums,
    row_of_sums,
    store_moments,
    store_packed,
    sum_last,
    sum_moments,
    sum_wide,
    two_of_sixteen,
    wide_features,
)


@triton.jit
def _scores(queries, keys, unit, ratio, C: tl.constexpr):
    """`[C, C]`, of pairs that are not causal 0."""
    token = tl.arange(0, C)
    shift = tl.dot(queries, tl.trans(keys), input_precision="ieee") * (unit * 0.5**0.5) + ratio * 0.5**0.5
    return tl.where(token[:, None] >= token[None, :], shift * shift + 0.5 * ratio * ratio, 0.0)


@triton.jit
def based_forward_kernel(
    q, k, v, o, normaliser, state, moments, state_out, moments_out,
    scale, unit, T, H: tl.constexpr, SPAN,
    q_b, q_t: tl.constexpr, q_h, k_b, k_t: tl.constexpr, k_h, v_b, v_t: tl.constexpr, v_h,
    V: tl.constexpr, VALUES: tl.constexpr, C: tl.constexpr,
    HAS_STATE: tl.constexpr, KEEP: tl.constexpr,
):  # fmt: skip
    """Grid (B H, V / VALUES, spans of SPAN tokens): a span has a `state` and `moments` before it, the last leaves its.

    `state` rows: slices, Σ v in row 136, keys; `moments` rows: Σ k kᵀ, Σ k, count.
    """
    sequence, block, span = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2).to(tl.int64)
    b, h = sequence // H, sequence % H
    dtype = q.dtype.element_ty
    token, key, value = tl.arange(0, C), tl.arange(0, 16), tl.arange(0, VALUES)
    # The last width is contiguous; steps of one chunk fit in 32 bits (launch.py), sums of steps are pointers. Steps of
    # tokens are known when this is compiled: else each row of a tile has a pointer of its own in registers, and spills.
    first = span * SPAN
    tokens = tl.minimum(T - first.to(tl.int32), SPAN)
    q += b * q_b + h * q_h + first * q_t
    k += b * k_b + h * k_h + first * k_t
    v += b * v_b + h * v_h + first * v_t + block * VALUES
    o += ((b * T + first) * H + h) * V + block * VALUES
    normaliser += (b * T + first) * H + h

    ratio = unit / scale
    query_wide, query_last = rolls(0, 128, 1.0, 1.0, dtype), rolls(8, 32, 1.0, 1.0, dtype)
    key_wide, key_last = key_rolls(unit, dtype)
    query_rest, key_rest = query_row(ratio, dtype), key_row(unit)
    two = two_of_sixteen(C, dtype)

    wide_at = tl.arange(0, 128)[None, :] * V + value[:, None]
    if HAS_STATE:
        state += (span * tl.num_programs(0) + sequence) * 160 * V + block * VALUES
        moments += (span * tl.num_programs(0) + sequence) * 288
        wide = tl.load(state + wide_at) * (ratio * ratio)
        last = tl.load(state + packed_row()[None, :] * V + value[:, None]) * packed_factor(ratio)[None, :]
        squares, sums = load_moments(moments)
        count = tl.load(moments + 272)
    else:
        wide, last = tl.zeros((VALUES, 128), tl.float32), tl.zeros((VALUES, 32), tl.float32)
        squares, sums = tl.zeros((16, 16), tl.float32), tl.zeros((16, 16), tl.float32)
        count = 0.0

    for start in tl.range(0, tokens, C, disable_licm=True):
        inside = token < tokens - start
        queries = tl.load(q + token[:, None] * q_t + key[None, :], mask=inside[:, None], other=0.0)
        keys = tl.load(k + token[:, None] * k_t + key[None, :], mask=inside[:, None], other=0.0)
        values = tl.load(v + token[:, None] * v_t + value[None, :], mask=inside[:, None], other=0.0)

        # What the state holds of earlier chunks; the features never leave the chip.
        features = wide_features(queries, query_wide, queries.to(tl.float32), 8, C)
        out = tl.dot(features, tl.trans(wide).to(dtype), input_precision="ieee")
        features = last_features(queries, query_last, query_rest, C)
        out = tl.dot(features, tl.trans(rounded_sums(last, dtype)), out, input_precision="ieee")
        turned = tl.dot(two, row_of_sums(sums, dtype), input_precision="ieee") * (ratio * unit)
        turned = tl.dot(queries, (squares * (0.5 * unit * unit)).to(dtype), turned, input_precision="ieee")
        z = tl.sum(turned * queries.to(tl.float32), 1) + (count + start) * (ratio * ratio)

        # The pairs inside the chunk.
        scores = _scores(queries, keys, unit, ratio, C)
        z += tl.sum(scores, 1)
        out = tl.dot(scores.to(dtype), values, out, input_precision="ieee")
        if start == 0:
            # Where few values are summed, the rounding of scores matters as much as that of outputs: add what it took.
            # Queries are loaded again, so that scores are computed again: kept until here they would spill.
            at = q + token[:, None] * q_t + key[None, :]
            again = tl.load(at, mask=inside[:, None], other=0.0, volatile=True)
            scores = _scores(again, keys, unit, ratio, C)
            rest = (scores - scores.to(dtype).to(tl.float32)).to(dtype)
            out = tl.dot(rest, values, out, input_precision="ieee")
        inverse = 1.0 / z
        out = (out * inverse[:, None]).to(dtype)
        tl.store(o + token[:, None] * (H * V) + value[None, :], out, mask=inside[:, None])
        if KEEP:
            if block == 0:
                tl.store(normaliser + token * H, z / (ratio * ratio), mask=inside)

        last = sum_last(keys, values, key_last, key_rest, keys.to(tl.float32), 1.0, last, C)
        wide = sum_wide(keys, values, key_wide, keys.to(tl.float32), wide, 8, C)
        squares, sums = sum_moments(keys, keys, squares, sums, C)
        q += C * q_t
        k += C * k_t
        v += C * v_t
        o += C * H * V
        normaliser += C * H

    if KEEP:
        if span == tl.num_programs(2) - 1:
            state_out += sequence * 160 * V + block * VALUES
            moments_out += sequence * 288
            store_packed(state_out, wide, last, ratio, V, VALUES)
            if block == 0:
                store_moments(moments_out, squares, sums, count + tokens)
