"""Based's linear attention in Triton, forward: one program holds the state of one head on chip and walks through time.

The normaliser needs no wide sum: `z = t + scale q·Σk + scale²/2 qᵀ(Σ k kᵀ) q`.
"""

# pyright: reportArgumentType=false, reportIndexIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false
# Triton's annotations ask for what its compiler makes of literals, and of its ranges.

from __future__ import annotations

import triton
import triton.language as tl

from recallscope_kernels.ops.based.tiles import read, rolls, write


@triton.jit
def based_forward_kernel(
    q, k, v, o, normaliser, state, moments, state_out, moments_out,
    scale, T, H,
    q_b, q_t, q_h, k_b, k_t, k_h, v_b, v_t, v_h,
    V: tl.constexpr, VALUES: tl.constexpr, C: tl.constexpr,
    HAS_STATE: tl.constexpr, KEEP: tl.constexpr,
):  # fmt: skip
    """Grid (B H, V / VALUES). `state` rows: slices, Σ v in row 136, keys; `moments` rows: Σ k kᵀ, Σ k, count."""
    sequence, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    b, h = sequence // H, sequence % H
    dtype = q.dtype.element_ty
    token, key, value = tl.arange(0, C), tl.arange(0, 16), tl.arange(0, VALUES)
    # The last width is contiguous; steps of one chunk fit in 32 bits (launch.py), sums of steps are pointers.
    q += b * q_b + h * q_h
    k += b * k_b + h * k_h
    v += b * v_b + h * v_h + block * VALUES
    o += (b * T * H + h) * V + block * VALUES
    normaliser += b * T * H + h

    square = scale * scale
    query_a, query_b = rolls(0, 1.0, 1.0, dtype), rolls(2, 1.0, 1.0, dtype)
    query_c, query_d, query_e = rolls(4, 1.0, 1.0, dtype), rolls(6, 1.0, 1.0, dtype), rolls(8, 1.0, 1.0, dtype)
    key_a, key_b = rolls(0, 0.5 * square, square, dtype), rolls(2, 0.5 * square, square, dtype)
    key_c, key_d = rolls(4, 0.5 * square, square, dtype), rolls(6, 0.5 * square, square, dtype)
    key_e = rolls(8, 0.5 * square, square, dtype)
    feature = tl.arange(0, 32)
    query_one = tl.where(feature >= 16, 1.0, 0.0)[None, :]
    key_one = query_one * scale

    state_at = feature[None, :] * V + value[:, None]
    square_at = key[:, None] * 16 + key[None, :]
    if HAS_STATE:
        state += sequence * 160 * V + block * VALUES
        moments += sequence * 288
        state_a, state_b = tl.load(state + state_at), tl.load(state + state_at + 32 * V)
        state_c, state_d = tl.load(state + state_at + 64 * V), tl.load(state + state_at + 96 * V)
        state_e, sum_v = tl.load(state + state_at + 128 * V), tl.load(state + 136 * V + value)
        state_e = tl.where(feature == 8, 0.0, state_e)
        squares, sum_k = tl.load(moments + square_at), tl.load(moments + 256 + key)
        count = tl.load(moments + 272)
    else:
        state_a, state_b = tl.zeros((VALUES, 32), tl.float32), tl.zeros((VALUES, 32), tl.float32)
        state_c, state_d = tl.zeros((VALUES, 32), tl.float32), tl.zeros((VALUES, 32), tl.float32)
        state_e, sum_v = tl.zeros((VALUES, 32), tl.float32), tl.zeros((VALUES,), tl.float32)
        squares, sum_k = tl.zeros((16, 16), tl.float32), tl.zeros((16,), tl.float32)
        count = 0.0
    causal = token[:, None] >= token[None, :]

    for start in tl.range(0, T, C, disable_licm=True):
        inside = token < T - start
        queries = tl.load(q + token[:, None] * q_t + key[None, :], mask=inside[:, None], other=0.0)
        keys = tl.load(k + token[:, None] * k_t + key[None, :], mask=inside[:, None], other=0.0)
        values = tl.load(v + token[:, None] * v_t + value[None, :], mask=inside[:, None], other=0.0)

        # What the state holds of earlier chunks; the features never leave the chip.
        out = tl.zeros((C, VALUES), tl.float32)
        out = read(queries, query_a, 0.0, state_a, out, C)
        out = read(queries, query_b, 0.0, state_b, out, C)
        out = read(queries, query_c, 0.0, state_c, out, C)
        out = read(queries, query_d, 0.0, state_d, out, C)
        out = read(queries, query_e, query_one, state_e, out, C)
        wide = queries.to(tl.float32)
        turned = tl.dot(queries, (squares * (0.5 * square)).to(dtype), input_precision="ieee") + sum_k[None, :] * scale
        z = tl.sum(turned * wide, 1) + (count + start)
        out += sum_v[None, :]

        # The pairs inside the chunk: 1 + s + s²/2.
        scores = tl.dot(queries, tl.trans(keys), input_precision="ieee") * scale + 1.0
        scores = tl.where(causal, scores * scores * 0.5 + 0.5, 0.0)
        z += tl.sum(scores, 1)
        out = tl.dot(scores.to(dtype), values, out, input_precision="ieee")
        tl.store(o + token[:, None] * (H * V) + value[None, :], (out / z[:, None]).to(dtype), mask=inside[:, None])
        if KEEP:
            if block == 0:
                tl.store(normaliser + token * H, z, mask=inside)

        state_a = write(keys, key_a, 0.0, values, state_a, C)
        state_b = write(keys, key_b, 0.0, values, state_b, C)
        state_c = write(keys, key_c, 0.0, values, state_c, C)
        state_d = write(keys, key_d, 0.0, values, state_d, C)
        state_e = write(keys, key_e, key_one, values, state_e, C)
        sum_v += tl.sum(values.to(tl.float32), 0)
        squares = tl.dot(tl.trans(keys), keys, squares, input_precision="ieee")
        sum_k += tl.sum(keys.to(tl.float32), 0)
        q += C * q_t
        k += C * k_t
        v += C * v_t
        o += C * H * V
        normaliser += C * H

    if KEEP:
        state_out += sequence * 160 * V + block * VALUES
        moments_out += sequence * 288
        tl.store(state_out + state_at, state_a)
        tl.store(state_out + state_at + 32 * V, state_b)
        tl.store(state_out + state_at + 64 * V, state_c)
        tl.store(state_out + state_at + 96 * V, state_d)
        last = tl.where(feature == 8, sum_v[:, None], state_e)
        tl.store(state_out + state_at + 128 * V, last)
        if block == 0:
            tl.store(moments_out + square_at, squares)
            tl.store(moments_out + 256 + key, sum_k)
            tl.store(moments_out + 272, count + T)
