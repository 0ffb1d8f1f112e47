"""Based's backward pass in Triton, first half: the gradient of queries, forward in time with the state of keys.

With `n = Σ κ v`, `z = Σ κ` and `o = n / z`, gradients of n and z are `do / z` and `-do·o / z`. Everything that a query
receives has the factor 1 / z_i, so that it is taken once, on the sum. States are computed again, not stored.
"""

# pyright: reportArgumentType=false, reportIndexIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false
# Triton's annotations ask for what its compiler makes of literals, and of its ranges.

from __future__ import annotations

import triton
import triton.language as tl

from recallscope_kernels.ops.based.tiles import pull, rolls, write


@triton.jit
def based_query_gradient_kernel(
    q, k, v, grad, o, normaliser, state, moments, dq, delta,
    scale, B, T, H,
    q_b, q_t, q_h, k_b, k_t, k_h, v_b, v_t, v_h, g_b, g_t, g_h,
    V: tl.constexpr, VALUES: tl.constexpr, C: tl.constexpr, HAS_STATE: tl.constexpr,
):  # fmt: skip
    """Grid (B H, V / VALUES), states as in the forward kernel; a block has its own `dq` and `delta` = -do·o / z."""
    sequence, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    b, h = sequence // H, sequence % H
    dtype = q.dtype.element_ty
    token, key, value = tl.arange(0, C), tl.arange(0, 16), tl.arange(0, VALUES)
    # The last width is contiguous; steps of one chunk fit in 32 bits (launch.py), sums of steps are pointers.
    q += b * q_b + h * q_h
    k += b * k_b + h * k_h
    v += b * v_b + h * v_h + block * VALUES
    grad += b * g_b + h * g_h + block * VALUES
    o += (b * T * H + h) * V + block * VALUES
    normaliser += b * T * H + h
    delta += (block * B + b) * T * H + h
    dq += ((block * B + b) * T * H + h) * 16

    square = scale * scale
    query_a, query_b = rolls(0, 32, 1.0, 1.0, dtype), rolls(2, 32, 1.0, 1.0, dtype)
    query_c, query_d, query_e = (
        rolls(4, 32, 1.0, 1.0, dtype),
        rolls(6, 32, 1.0, 1.0, dtype),
        rolls(8, 32, 1.0, 1.0, dtype),
    )
    key_a, key_b = rolls(0, 32, 0.5 * square, square, dtype), rolls(2, 32, 0.5 * square, square, dtype)
    key_c, key_d = rolls(4, 32, 0.5 * square, square, dtype), rolls(6, 32, 0.5 * square, square, dtype)
    key_e = rolls(8, 32, 0.5 * square, square, dtype)
    feature = tl.arange(0, 32)
    query_one = tl.where(feature >= 16, 1.0, 0.0)[None, :]
    key_one = query_one * scale

    if HAS_STATE:
        state += sequence * 160 * V + block * VALUES
        moments += sequence * 288
        state_at = feature[None, :] * V + value[:, None]
        state_a, state_b = tl.load(state + state_at), tl.load(state + 32 * V + state_at)
        state_c, state_d = tl.load(state + 64 * V + state_at), tl.load(state + 96 * V + state_at)
        state_e = tl.load(state + 128 * V + state_at)
        state_e = tl.where(feature == 8, 0.0, state_e)  # a sum of values has no gradient for queries
        squares = tl.load(moments + key[:, None] * 16 + key[None, :])
        sum_k = tl.load(moments + 256 + key)
    else:
        state_a, state_b = tl.zeros((VALUES, 32), tl.float32), tl.zeros((VALUES, 32), tl.float32)
        state_c, state_d = tl.zeros((VALUES, 32), tl.float32), tl.zeros((VALUES, 32), tl.float32)
        state_e = tl.zeros((VALUES, 32), tl.float32)
        squares, sum_k = tl.zeros((16, 16), tl.float32), tl.zeros((16,), tl.float32)
    causal = token[:, None] >= token[None, :]

    for start in tl.range(0, T, C, disable_licm=True):  # what is hoisted out of the loop spills
        inside = token < T - start
        queries = tl.load(q + token[:, None] * q_t + key[None, :], mask=inside[:, None], other=0.0)
        keys = tl.load(k + token[:, None] * k_t + key[None, :], mask=inside[:, None], other=0.0)
        values = tl.load(v + token[:, None] * v_t + value[None, :], mask=inside[:, None], other=0.0)
        grads = tl.load(grad + token[:, None] * g_t + value[None, :], mask=inside[:, None], other=0.0)
        outputs = tl.load(o + token[:, None] * (H * V) + value[None, :], mask=inside[:, None], other=0.0)
        z = tl.load(normaliser + token * H, mask=inside, other=1.0)
        to_z = -tl.sum(grads.to(tl.float32) * outputs.to(tl.float32), 1)
        tl.store(delta + token * H, to_z / z, mask=inside)

        # What the state holds of earlier chunks; of the normaliser first.
        out = tl.dot(queries, (squares * square).to(dtype), input_precision="ieee") + sum_k[None, :] * scale
        out *= to_z[:, None]
        out = pull(queries, query_a, 0.0, grads, state_a, out, C)
        out = pull(queries, query_b, 0.0, grads, state_b, out, C)
        out = pull(queries, query_c, 0.0, grads, state_c, out, C)
        out = pull(queries, query_d, 0.0, grads, state_d, out, C)
        out = pull(queries, query_e, query_one, grads, state_e, out, C)

        # The pairs inside the chunk: dκ = do·v - do·o, and κ' = 1 + s.
        slope = tl.dot(queries, tl.trans(keys), input_precision="ieee") * scale + 1.0
        slope *= tl.dot(grads, tl.trans(values), input_precision="ieee") + to_z[:, None]
        slope = tl.where(causal, slope * scale, 0.0)
        out = tl.dot(slope.to(dtype), keys, out, input_precision="ieee")
        out = (out / z[:, None]).to(dq.dtype.element_ty)
        tl.store(dq + token[:, None] * (H * 16) + key[None, :], out, mask=inside[:, None])

        state_a = write(keys, key_a, 0.0, values, state_a, C)
        state_b = write(keys, key_b, 0.0, values, state_b, C)
        state_c = write(keys, key_c, 0.0, values, state_c, C)
        state_d = write(keys, key_d, 0.0, values, state_d, C)
        state_e = write(keys, key_e, key_one, values, state_e, C)
        squares = tl.dot(tl.trans(keys), keys, squares, input_precision="ieee")
        sum_k += tl.sum(keys.to(tl.float32), 0)
        q += C * q_t
        k += C * k_t
        v += C * v_t
        grad += C * g_t
        o += C * H * V
        normaliser += C * H
        delta += C * H
        dq += C * H * 16
