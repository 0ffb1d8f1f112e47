"""Based's backward pass in Triton, second half: gradients of keys and values, backward in time.

The roles of the forward pass are changed: what later queries ask for is summed in a state `Σ φ(q) (do / z)ᵀ`, packed as
that of keys is, and keys read it. At the first token it is the gradient of the initial state.
"""

# pyright: reportArgumentType=false, reportIndexIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false
# Triton's annotations ask for what its compiler makes of literals, and of its ranges.

from __future__ import annotations

import triton
import triton.language as tl

from recallscope_kernels.ops.based.tiles import pull_and_read, rolls, write_weighted


@triton.jit(do_not_specialize=["T"])
def based_key_gradient_kernel(
    q, k, v, grad, normaliser, delta, state, moments, dk, dv, state_out, moments_out,
    scale, B, T, H,
    q_b, q_t, q_h, k_b, k_t, k_h, v_b, v_t, v_h, g_b, g_t, g_h,
    V: tl.constexpr, VALUES: tl.constexpr, C: tl.constexpr,
    HAS_STATE: tl.constexpr, KEEP: tl.constexpr,
):  # fmt: skip
    """Grid (B H, V / VALUES): `state` and `moments` are the gradient of the last state, packed; a block of V has its
    own `dk` and `moments_out`, in which Σ q qᵀ, Σ q and the count have the weights -do·o / z."""
    sequence, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    b, h = sequence // H, sequence % H
    dtype = q.dtype.element_ty
    token, key, value = tl.arange(0, C), tl.arange(0, 16), tl.arange(0, VALUES)
    # The last width is contiguous; steps of one chunk fit in 32 bits (launch.py), sums of steps are pointers.
    last = (tl.cdiv(T, C) - 1) * C
    first = last.to(tl.int64)
    q += b * q_b + h * q_h + first * q_t
    k += b * k_b + h * k_h + first * k_t
    v += b * v_b + h * v_h + first * v_t + block * VALUES
    grad += b * g_b + h * g_h + first * g_t + block * VALUES
    normaliser += (b * T + first) * H + h
    delta += ((block * B + b) * T + first) * H + h
    dk += (((block * B + b) * T + first) * H + h) * 16
    dv += ((b * T + first) * H + h) * V + block * VALUES

    square = scale * scale
    key_a, key_b = rolls(0, 32, 1.0, 1.0, dtype), rolls(2, 32, 1.0, 1.0, dtype)
    key_c, key_d, key_e = rolls(4, 32, 1.0, 1.0, dtype), rolls(6, 32, 1.0, 1.0, dtype), rolls(8, 32, 1.0, 1.0, dtype)
    query_a, query_b = rolls(0, 32, 0.5 * square, square, dtype), rolls(2, 32, 0.5 * square, square, dtype)
    query_c, query_d = rolls(4, 32, 0.5 * square, square, dtype), rolls(6, 32, 0.5 * square, square, dtype)
    query_e = rolls(8, 32, 0.5 * square, square, dtype)
    state_at = tl.arange(0, 32)[None, :] * V + value[:, None]
    square_at = key[:, None] * 16 + key[None, :]
    if HAS_STATE:
        state += sequence * 160 * V + block * VALUES
        moments += sequence * 288
        state_a, state_b = tl.load(state + state_at), tl.load(state + 32 * V + state_at)
        state_c, state_d = tl.load(state + 64 * V + state_at), tl.load(state + 96 * V + state_at)
        state_e = tl.load(state + 128 * V + state_at)
        mine = block == 0  # the gradient of the normaliser is one block's to carry
        squares = tl.where(mine, tl.load(moments + square_at), 0.0)
        sum_q = tl.where(mine, tl.load(moments + 256 + key), 0.0)
        count = tl.where(mine, tl.load(moments + 272), 0.0)
    else:
        state_a, state_b = tl.zeros((VALUES, 32), tl.float32), tl.zeros((VALUES, 32), tl.float32)
        state_c, state_d = tl.zeros((VALUES, 32), tl.float32), tl.zeros((VALUES, 32), tl.float32)
        state_e = tl.zeros((VALUES, 32), tl.float32)
        squares, sum_q, count = tl.zeros((16, 16), tl.float32), tl.zeros((16,), tl.float32), 0.0
    causal = token[:, None] >= token[None, :]

    for done in tl.range(0, T, C, disable_licm=True):  # what is hoisted out of the loop spills
        inside = token < T - last + done
        queries = tl.load(q + token[:, None] * q_t + key[None, :], mask=inside[:, None], other=0.0)
        keys = tl.load(k + token[:, None] * k_t + key[None, :], mask=inside[:, None], other=0.0)
        values = tl.load(v + token[:, None] * v_t + value[None, :], mask=inside[:, None], other=0.0)
        grads = tl.load(grad + token[:, None] * g_t + value[None, :], mask=inside[:, None], other=0.0)
        inverse = 1.0 / tl.load(normaliser + token * H, mask=inside, other=1.0)
        to_z = tl.load(delta + token * H, mask=inside, other=0.0)

        # The pairs inside the chunk: dκ = (do·v - do·o) / z, and κ' = 1 + s.
        shift = tl.dot(queries, tl.trans(keys), input_precision="ieee") * scale + 1.0
        slope = tl.dot(grads, tl.trans(values), input_precision="ieee") * inverse[:, None] + to_z[:, None]
        slope = tl.where(causal, slope * shift, 0.0)
        to_keys = tl.dot(tl.trans(slope.to(dtype)), queries, input_precision="ieee")
        scores = tl.where(causal, (shift * shift * 0.5 + 0.5) * inverse[:, None], 0.0)
        to_values = tl.dot(tl.trans(scores.to(dtype)), grads, input_precision="ieee")

        # What later chunks ask for; of the normaliser first.
        to_keys = tl.dot(keys, (squares * scale).to(dtype), to_keys, input_precision="ieee")
        to_keys = (to_keys + sum_q[None, :]) * scale
        to_keys, to_values = pull_and_read(keys, key_a, values, state_a, to_keys, to_values, False, C)
        to_keys, to_values = pull_and_read(keys, key_b, values, state_b, to_keys, to_values, False, C)
        to_keys, to_values = pull_and_read(keys, key_c, values, state_c, to_keys, to_values, False, C)
        to_keys, to_values = pull_and_read(keys, key_d, values, state_d, to_keys, to_values, False, C)
        to_keys, to_values = pull_and_read(keys, key_e, values, state_e, to_keys, to_values, True, C)

        to_keys = to_keys.to(dk.dtype.element_ty)
        tl.store(dk + token[:, None] * (H * 16) + key[None, :], to_keys, mask=inside[:, None])
        tl.store(dv + token[:, None] * (H * V) + value[None, :], to_values.to(dtype), mask=inside[:, None])

        state_a = write_weighted(queries, query_a, scale, inverse, grads, state_a, False, C)
        state_b = write_weighted(queries, query_b, scale, inverse, grads, state_b, False, C)
        state_c = write_weighted(queries, query_c, scale, inverse, grads, state_c, False, C)
        state_d = write_weighted(queries, query_d, scale, inverse, grads, state_d, False, C)
        state_e = write_weighted(queries, query_e, scale, inverse, grads, state_e, True, C)
        weighted = queries.to(tl.float32) * to_z[:, None]
        squares = tl.dot(tl.trans(queries), weighted.to(dtype), squares, input_precision="ieee")
        sum_q += tl.sum(weighted, 0)
        if KEEP:
            count += tl.sum(to_z, 0)
        q -= C * q_t
        k -= C * k_t
        v -= C * v_t
        grad -= C * g_t
        normaliser -= C * H
        delta -= C * H
        dk -= C * H * 16
        dv -= C * H * V

    if KEEP:
        state_out += sequence * 160 * V + block * VALUES
        moments_out += (block * B * H + sequence) * 288
        tl.store(state_out + state_at, state_a)
        tl.store(state_out + 32 * V + state_at, state_b)
        tl.store(state_out + 64 * V + state_at, state_c)
        tl.store(state_out + 96 * V + state_at, state_d)
        tl.store(state_out + 128 * V + state_at, state_e)
        tl.store(moments_out + square_at, squares)
        tl.store(moments_out + 256 + key, sum_q)
        tl.store(moments_out + 272, count)
