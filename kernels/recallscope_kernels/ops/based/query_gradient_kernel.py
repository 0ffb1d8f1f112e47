"""Based's backward pass in Triton, first half: the gradient of queries, forward in time with the state of keys.

With `n = Σ κ v`, `z = Σ κ` and `o = n / z`, gradients of n and z are `do / z` and `-do·o / z`. Everything that a query
receives has the factor 1 / z_i, so that it is taken once, on the sum, together with the r² of `tiles`. States are
computed again, not stored.
"""

# pyright: reportArgumentType=false, reportIndexIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false
# Triton's annotations ask for what its compiler makes of literals, and of its ranges.

from __future__ import annotations

import triton
import triton.language as tl

from recallscope_kernels.ops.based.tiles import (
    copied,
    first_order,
    last_factors,
    load_moments,
    packed_factor,
    pull,
    rolls,
    row_of_sums,
    sum_last,
    sum_moments,
    sum_wide,
    two_of_sixteen,
)


@triton.jit
def _pull_wide(queries, rolled, grads, state, out, C: tl.constexpr):
    inner = tl.dot(grads, state.to(grads.dtype), input_precision="ieee")
    turned = tl.dot(queries, rolled, input_precision="ieee")
    return pull(inner, turned, copied(queries.to(tl.float32), 4, C), rolled, out, 4, C, grads.dtype)


@triton.jit
def based_query_gradient_kernel(
    q, k, v, grad, o, normaliser, state, moments, dq, delta,
    scale, unit, B, T, H: tl.constexpr, SPAN,
    q_b, q_t: tl.constexpr, q_h, k_b, k_t: tl.constexpr, k_h, v_b, v_t: tl.constexpr, v_h, g_b, g_t: tl.constexpr, g_h,
    V: tl.constexpr, VALUES: tl.constexpr, C: tl.constexpr, HAS_STATE: tl.constexpr,
):  # fmt: skip
    """Grid (B H, V / VALUES, spans), states as forward; a block has its own `dq` and its own `delta` = -do·o / z."""
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
    grad += b * g_b + h * g_h + first * g_t + block * VALUES
    o += ((b * T + first) * H + h) * V + block * VALUES
    normaliser += (b * T + first) * H + h
    delta += ((block * B + b) * T + first) * H + h
    dq += (((block * B + b) * T + first) * H + h) * 16

    ratio, square = unit / scale, unit * unit
    query_a, query_b, query_c = (
        rolls(0, 64, 1.0, 1.0, dtype),
        rolls(4, 64, 1.0, 1.0, dtype),
        rolls(8, 32, 1.0, 1.0, dtype),
    )
    key_a, key_b = rolls(0, 64, 0.5 * square, square, dtype), rolls(4, 64, 0.5 * square, square, dtype)
    key_c = rolls(8, 32, 0.5 * square, square, dtype)
    query_rest, key_rest = first_order(ratio), first_order(unit)  # a sum of values has no gradient for queries
    two = two_of_sixteen(C, dtype)

    if HAS_STATE:
        state += (span * tl.num_programs(0) + sequence) * 160 * V + block * VALUES
        moments += (span * tl.num_programs(0) + sequence) * 288
        state_at = tl.arange(0, 64)[None, :] * V + value[:, None]
        state_a = tl.load(state + state_at) * (ratio * ratio)
        state_b = tl.load(state + 64 * V + state_at) * (ratio * ratio)
        column = tl.arange(0, 32)[None, :]
        state_c = tl.load(state + (128 + column) * V + value[:, None]) * packed_factor(ratio)[None, :]
        state_c = tl.where((column >= 8) & (column < 16), 0.0, state_c)
        squares, sums = load_moments(moments)
    else:
        state_a, state_b = tl.zeros((VALUES, 64), tl.float32), tl.zeros((VALUES, 64), tl.float32)
        state_c = tl.zeros((VALUES, 32), tl.float32)
        squares, sums = tl.zeros((16, 16), tl.float32), tl.zeros((16, 16), tl.float32)

    for start in tl.range(0, tokens, C, disable_licm=True):  # what is hoisted out of the loop spills
        inside = token < tokens - start
        queries = tl.load(q + token[:, None] * q_t + key[None, :], mask=inside[:, None], other=0.0)
        keys = tl.load(k + token[:, None] * k_t + key[None, :], mask=inside[:, None], other=0.0)
        values = tl.load(v + token[:, None] * v_t + value[None, :], mask=inside[:, None], other=0.0)
        grads = tl.load(grad + token[:, None] * g_t + value[None, :], mask=inside[:, None], other=0.0)
        outputs = tl.load(o + token[:, None] * (H * V) + value[None, :], mask=inside[:, None], other=0.0)
        z = tl.load(normaliser + token * H, mask=inside, other=1.0)
        to_z = -tl.sum(grads.to(tl.float32) * outputs.to(tl.float32), 1)
        tl.store(delta + token * H, to_z / z, mask=inside)

        # What the state holds of earlier chunks; of the normaliser first.
        out = tl.dot(two, row_of_sums(sums, dtype), input_precision="ieee") * (ratio * unit)
        out = tl.dot(queries, (squares * square).to(dtype), out, input_precision="ieee") * to_z[:, None]
        out = _pull_wide(queries, query_a, grads, state_a, out, C)
        out = _pull_wide(queries, query_b, grads, state_b, out, C)
        inner = tl.dot(grads, state_c.to(dtype), input_precision="ieee")
        turned, copies = last_factors(queries, query_c, query_rest, queries.to(tl.float32), 0.0, C)
        out = pull(inner, turned, copies, query_c, out, 2, C, dtype)

        # The pairs inside the chunk: dκ = do·v - do·o, and κ' = 1 + s.
        slope = tl.dot(queries, tl.trans(keys), input_precision="ieee") * square + ratio * unit
        slope *= tl.dot(grads, tl.trans(values), input_precision="ieee") + to_z[:, None]
        slope = tl.where(token[:, None] >= token[None, :], slope, 0.0)
        out = tl.dot(slope.to(dtype), keys, out, input_precision="ieee")
        out = (out / (z * (ratio * ratio))[:, None]).to(dq.dtype.element_ty)
        tl.store(dq + token[:, None] * (H * 16) + key[None, :], out, mask=inside[:, None])

        squares, sums = sum_moments(keys, keys, squares, sums, C)
        state_c = sum_last(keys, values, key_c, key_rest, keys.to(tl.float32), 0.0, state_c, C)
        state_a = sum_wide(keys, values, key_a, keys.to(tl.float32), state_a, 4, C)
        state_b = sum_wide(keys, values, key_b, keys.to(tl.float32), state_b, 4, C)
        q += C * q_t
        k += C * k_t
        v += C * v_t
        grad += C * g_t
        o += C * H * V
        normaliser += C * H
        delta += C * H
        dq += C * H * 16
