"""Based's linear attention in Triton, forward: one program holds the state of one head on chip and walks through time.

Features of second order are *rolled*: slice j is `x ⊙ roll(x, j)` for j = 0 … K / 2, weighted 1/2 for j = 0 and K / 2
and 1 otherwise, so that `Σ_j w_j (q ⊙ roll(q, j))·(k ⊙ roll(k, j)) = (q·k)² / 2`. At K = 16 that is 9 slices of 16, of
which only 8 columns are redundant, and all tiles are powers of two. Rolled copies come from products with a 0/1 matrix,
which are exact; weights and scale are on the side of the keys.

The normaliser needs no wide sum: `z = t + scale q·Σk + scale²/2 qᵀ(Σ k kᵀ) q`.
"""

# pyright: reportArgumentType=false, reportIndexIssue=false
# Triton's annotations ask for what its compiler makes of literals.

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _rolled(first: tl.constexpr, outer, inner, dtype: tl.constexpr):
    """`[16, 32]`, two slices: column (j, i) picks `x[(i - j) mod 16]`; weight `outer` for j = 0 and 8, else `inner`."""
    row = tl.arange(0, 16)[:, None]
    column = tl.arange(0, 32)[None, :]
    j = first + column // 16
    picks = ((column % 16 - j + 16) % 16 == row) & (j <= 8)
    return tl.where(picks, tl.where(j % 8 == 0, outer, inner), 0.0).to(dtype)


@triton.jit
def _features(x, rolled, constant, C: tl.constexpr):
    """`x ⊙ (x rolled + constant)`, `[C, 32]`, rounded once."""
    copies = tl.reshape(tl.broadcast_to(x[:, None, :], (C, 2, 16)), (C, 32)).to(tl.float32)
    return ((tl.dot(x, rolled, input_precision="ieee") + constant) * copies).to(x.dtype)


@triton.jit
def _read(queries, rolled, constant, state, out, C: tl.constexpr):
    features = _features(queries, rolled, constant, C)
    return tl.dot(features, tl.trans(state).to(queries.dtype), out, input_precision="ieee")


@triton.jit
def _write(keys, rolled, constant, values, state, C: tl.constexpr):
    return tl.dot(tl.trans(values), _features(keys, rolled, constant, C), state, input_precision="ieee")


@triton.jit
def based_forward_kernel(
    q, k, v, o, normaliser, state, moments, state_out, moments_out,
    scale, T, H,
    q_b, q_t, q_h, k_b, k_t, k_h, v_b, v_t, v_h,
    V: tl.constexpr, VALUES: tl.constexpr, C: tl.constexpr,
    HAS_STATE: tl.constexpr, KEEP: tl.constexpr,
):  # fmt: skip
    """Grid (B H, V / VALUES). `state` rows: slices 0 … 8, keys, one for Σ v; `moments` rows: Σ k kᵀ, Σ k, count."""
    sequence, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    b, h = sequence // H, sequence % H
    dtype = q.dtype.element_ty
    token, key, value = tl.arange(0, C), tl.arange(0, 16), block * VALUES + tl.arange(0, VALUES)
    # The last width is contiguous; steps of one chunk fit in 32 bits (launch.py), sums of steps are pointers.
    q_at = q + b * q_b + h * q_h + token[:, None] * q_t + key[None, :]
    k_at = k + b * k_b + h * k_h + token[:, None] * k_t + key[None, :]
    v_at = v + b * v_b + h * v_h + token[:, None] * v_t + value[None, :]
    o_at = o + (b * T * H + h) * V + token[:, None] * (H * V) + value[None, :]
    z_at = normaliser + b * T * H + h + token * H

    square = scale * scale
    query_a, query_b = _rolled(0, 1.0, 1.0, dtype), _rolled(2, 1.0, 1.0, dtype)
    query_c, query_d, query_e = _rolled(4, 1.0, 1.0, dtype), _rolled(6, 1.0, 1.0, dtype), _rolled(8, 1.0, 1.0, dtype)
    key_a, key_b = _rolled(0, 0.5 * square, square, dtype), _rolled(2, 0.5 * square, square, dtype)
    key_c, key_d = _rolled(4, 0.5 * square, square, dtype), _rolled(6, 0.5 * square, square, dtype)
    key_e = _rolled(8, 0.5 * square, square, dtype)
    feature = tl.arange(0, 32)
    query_one = tl.where(feature >= 16, 1.0, 0.0)[None, :]
    key_one = query_one * scale

    state_at = sequence * 161 * V + feature[None, :] * V + value[:, None]
    sum_v_at = (sequence * 161 + 160) * V + value
    square_at = sequence * 288 + key[:, None] * 16 + key[None, :]
    if HAS_STATE:
        state_a, state_b = tl.load(state + state_at), tl.load(state + state_at + 32 * V)
        state_c, state_d = tl.load(state + state_at + 64 * V), tl.load(state + state_at + 96 * V)
        state_e, sum_v = tl.load(state + state_at + 128 * V), tl.load(state + sum_v_at)
        squares, sum_k = tl.load(moments + square_at), tl.load(moments + sequence * 288 + 256 + key)
        count = tl.load(moments + sequence * 288 + 272)
    else:
        state_a, state_b = tl.zeros((VALUES, 32), tl.float32), tl.zeros((VALUES, 32), tl.float32)
        state_c, state_d = tl.zeros((VALUES, 32), tl.float32), tl.zeros((VALUES, 32), tl.float32)
        state_e, sum_v = tl.zeros((VALUES, 32), tl.float32), tl.zeros((VALUES,), tl.float32)
        squares, sum_k = tl.zeros((16, 16), tl.float32), tl.zeros((16,), tl.float32)
        count = 0.0
    causal = token[:, None] >= token[None, :]

    for start in range(0, T, C):
        inside = token < T - start
        queries = tl.load(q_at, mask=inside[:, None], other=0.0)
        keys = tl.load(k_at, mask=inside[:, None], other=0.0)
        values = tl.load(v_at, mask=inside[:, None], other=0.0)

        # What the state holds of earlier chunks; the features never leave the chip.
        out = tl.zeros((C, VALUES), tl.float32)
        out = _read(queries, query_a, 0.0, state_a, out, C)
        out = _read(queries, query_b, 0.0, state_b, out, C)
        out = _read(queries, query_c, 0.0, state_c, out, C)
        out = _read(queries, query_d, 0.0, state_d, out, C)
        out = _read(queries, query_e, query_one, state_e, out, C)
        wide = queries.to(tl.float32)
        turned = tl.dot(queries, (squares * (0.5 * square)).to(dtype), input_precision="ieee") + sum_k[None, :] * scale
        z = tl.sum(turned * wide, 1) + (count + start)
        out += sum_v[None, :]

        # The pairs inside the chunk: 1 + s + s²/2.
        scores = tl.dot(queries, tl.trans(keys), input_precision="ieee") * scale + 1.0
        scores = tl.where(causal, scores * scores * 0.5 + 0.5, 0.0)
        z += tl.sum(scores, 1)
        out = tl.dot(scores.to(dtype), values, out, input_precision="ieee")
        tl.store(o_at, (out / z[:, None]).to(dtype), mask=inside[:, None])
        if KEEP:
            if block == 0:
                tl.store(z_at, z, mask=inside)

        state_a = _write(keys, key_a, 0.0, values, state_a, C)
        state_b = _write(keys, key_b, 0.0, values, state_b, C)
        state_c = _write(keys, key_c, 0.0, values, state_c, C)
        state_d = _write(keys, key_d, 0.0, values, state_d, C)
        state_e = _write(keys, key_e, key_one, values, state_e, C)
        sum_v += tl.sum(values.to(tl.float32), 0)
        squares = tl.dot(tl.trans(keys), keys, squares, input_precision="ieee")
        sum_k += tl.sum(keys.to(tl.float32), 0)
        q_at += C * q_t
        k_at += C * k_t
        v_at += C * v_t
        o_at += C * H * V
        z_at += C * H

    if KEEP:
        tl.store(state_out + state_at, state_a)
        tl.store(state_out + state_at + 32 * V, state_b)
        tl.store(state_out + state_at + 64 * V, state_c)
        tl.store(state_out + state_at + 96 * V, state_d)
        tl.store(state_out + state_at + 128 * V, state_e)
        tl.store(state_out + sum_v_at, sum_v)
        if block == 0:
            tl.store(moments_out + square_at, squares)
            tl.store(moments_out + sequence * 288 + 256 + key, sum_k)
            tl.store(moments_out + sequence * 288 + 272, count + T)
