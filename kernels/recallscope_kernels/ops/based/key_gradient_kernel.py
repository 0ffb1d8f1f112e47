"""Based's backward pass in Triton, second half: gradients of keys and values, backward in time.

The roles of the forward pass are changed: what later queries ask for is summed in a state `Σ φ(q) (do / z)ᵀ`, packed as
that of keys is, and keys read it. At the first token it is the gradient of the initial state. What is summed is divided
by the r² of `tiles` that what reads brings.
"""

# pyright: reportArgumentType=false, reportIndexIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false
# Triton's annotations ask for what its compiler makes of literals, and of its ranges.

from __future__ import annotations

import triton
import triton.language as tl

from recallscope_kernels.ops.based.tiles import (
    copied,
    key_row,
    last_factors,
    load_moments,
    packed_factor,
    packed_row,
    pull,
    query_row,
    rolls,
    rounded_sums,
    row_of_sums,
    store_moments,
    sum_last,
    sum_moments,
    sum_wide,
    two_of_sixteen,
)


@triton.jit
def _pull_and_read_wide(keys, rolled, values, state, out, sums, C: tl.constexpr):
    inner = tl.dot(values, state.to(values.dtype), input_precision="ieee")
    turned, copies = tl.dot(keys, rolled, input_precision="ieee"), copied(keys.to(tl.float32), 4, C)
    features = (turned * copies).to(values.dtype)
    sums = tl.dot(features, tl.trans(state).to(values.dtype), sums, input_precision="ieee")
    return pull(inner, turned, copies, rolled, out, 4, C, values.dtype), sums


@triton.jit(do_not_specialize=["T"])
def based_key_gradient_kernel(
    q, k, v, grad, normaliser, delta, state, moments, dk, dv, state_out, moments_out,
    scale, unit, B, T, H: tl.constexpr, SPAN,
    q_b, q_t: tl.constexpr, q_h, k_b, k_t: tl.constexpr, k_h, v_b, v_t: tl.constexpr, v_h, g_b, g_t: tl.constexpr, g_h,
    V: tl.constexpr, VALUES: tl.constexpr, C: tl.constexpr,
    HAS_STATE: tl.constexpr, KEEP: tl.constexpr,
):  # fmt: skip
    """Grid (B H, V / VALUES, spans): `state` and `moments` are the gradient of a span's last state, packed.

    A block of V has its own `dk` and `moments`, in which Σ q qᵀ, Σ q and the count have the weights -do·o / z.
    """
    sequence, block, span = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2).to(tl.int64)
    b, h = sequence // H, sequence % H
    dtype = q.dtype.element_ty
    token, key, value = tl.arange(0, C), tl.arange(0, 16), tl.arange(0, VALUES)
    # The last width is contiguous; steps of one chunk fit in 32 bits (launch.py), sums of steps are pointers. Steps of
    # tokens are known when this is compiled: else each row of a tile has a pointer of its own in registers, and spills.
    tokens = tl.minimum(T - (span * SPAN).to(tl.int32), SPAN)
    last = (tl.cdiv(tokens, C) - 1) * C
    first = span * SPAN + last
    q += b * q_b + h * q_h + first * q_t
    k += b * k_b + h * k_h + first * k_t
    v += b * v_b + h * v_h + first * v_t + block * VALUES
    grad += b * g_b + h * g_h + first * g_t + block * VALUES
    normaliser += (b * T + first) * H + h
    delta += ((block * B + b) * T + first) * H + h
    dk += (((block * B + b) * T + first) * H + h) * 16
    dv += ((b * T + first) * H + h) * V + block * VALUES

    ratio, square = unit / scale, unit * unit
    key_a, key_b, key_c = rolls(0, 64, 1.0, 1.0, dtype), rolls(4, 64, 1.0, 1.0, dtype), rolls(8, 32, 1.0, 1.0, dtype)
    query_a, query_b = rolls(0, 64, 0.5 * square, square, dtype), rolls(4, 64, 0.5 * square, square, dtype)
    query_c = rolls(8, 32, 0.5 * square, square, dtype)
    key_rest, query_rest = query_row(ratio, dtype), key_row(unit)
    two = two_of_sixteen(C, dtype)

    state_at = tl.arange(0, 64)[None, :] * V + value[:, None]
    column = tl.arange(0, 32)[None, :]
    factor, share = packed_factor(ratio)[None, :] / (ratio * ratio), 1.0 / (ratio * ratio)
    if HAS_STATE:
        state += (span * tl.num_programs(0) + sequence) * 160 * V + block * VALUES
        moments += ((span * tl.num_programs(1) + block) * tl.num_programs(0) + sequence) * 288
        state_a, state_b = tl.load(state + state_at), tl.load(state + 64 * V + state_at)
        state_c = tl.load(state + packed_row()[None, :] * V + value[:, None]) * factor
        squares, sums = load_moments(moments)
        squares, sums = squares * share, sums * share
        count = tl.load(moments + 272) * share
    else:
        state_a, state_b = tl.zeros((VALUES, 64), tl.float32), tl.zeros((VALUES, 64), tl.float32)
        state_c = tl.zeros((VALUES, 32), tl.float32)
        squares, sums = tl.zeros((16, 16), tl.float32), tl.zeros((16, 16), tl.float32)
        count = 0.0

    for done in tl.range(0, tokens, C, disable_licm=True):  # what is hoisted out of the loop spills
        inside = token < tokens - last + done
        queries = tl.load(q + token[:, None] * q_t + key[None, :], mask=inside[:, None], other=0.0)
        keys = tl.load(k + token[:, None] * k_t + key[None, :], mask=inside[:, None], other=0.0)
        values = tl.load(v + token[:, None] * v_t + value[None, :], mask=inside[:, None], other=0.0)
        grads = tl.load(grad + token[:, None] * g_t + value[None, :], mask=inside[:, None], other=0.0)
        inverse = share / tl.load(normaliser + token * H, mask=inside, other=1.0)
        to_z = tl.load(delta + token * H, mask=inside, other=0.0) * share

        # The pairs inside the chunk: dκ = (do·v - do·o) / z, and κ' = 1 + s; κ as in the forward kernel.
        causal = token[:, None] >= token[None, :]
        shift = tl.dot(queries, tl.trans(keys), input_precision="ieee") * (unit * 0.5**0.5) + ratio * 0.5**0.5
        slope = tl.dot(grads, tl.trans(values), input_precision="ieee") * inverse[:, None] + to_z[:, None]
        slope = tl.where(causal, slope * shift * (unit * 2**0.5), 0.0)
        to_keys = tl.dot(tl.trans(slope.to(dtype)), queries, input_precision="ieee")
        scores = tl.where(causal, (shift * shift + 0.5 * ratio * ratio) * inverse[:, None], 0.0)
        to_values = tl.dot(tl.trans(scores.to(dtype)), grads, input_precision="ieee")

        # What later chunks ask for; of the normaliser first.
        asked = tl.dot(two, row_of_sums(sums, dtype), input_precision="ieee") * (ratio * unit)
        to_keys = tl.dot(keys, (squares * square).to(dtype), to_keys + asked, input_precision="ieee")
        to_keys, to_values = _pull_and_read_wide(keys, key_a, values, state_a, to_keys, to_values, C)
        to_keys, to_values = _pull_and_read_wide(keys, key_b, values, state_b, to_keys, to_values, C)
        rounded = rounded_sums(state_c, dtype)
        inner = tl.dot(values, rounded, input_precision="ieee")
        turned, copies = last_factors(keys, key_c, key_rest, keys.to(tl.float32), 1.0, C)
        to_values = tl.dot((turned * copies).to(dtype), tl.trans(rounded), to_values, input_precision="ieee")
        inner = tl.where((column >= 8) & (column < 16), 0.0, inner)  # constants have no gradient
        to_keys = pull(inner, turned, copies, key_c, to_keys, 2, C, dtype)

        to_keys = to_keys.to(dk.dtype.element_ty)
        tl.store(dk + token[:, None] * (H * 16) + key[None, :], to_keys, mask=inside[:, None])
        tl.store(dv + token[:, None] * (H * V) + value[None, :], to_values.to(dtype), mask=inside[:, None])

        weighted = queries.to(tl.float32) * to_z[:, None]
        squares, sums = sum_moments(queries, weighted.to(dtype), squares, sums, C)
        weighted = queries.to(tl.float32) * inverse[:, None]
        state_c = sum_last(queries, grads, query_c, query_rest, weighted, inverse[:, None], state_c, C)
        state_a = sum_wide(queries, grads, query_a, weighted, state_a, 4, C)
        state_b = sum_wide(queries, grads, query_b, weighted, state_b, 4, C)
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
        if span == 0:
            state_out += sequence * 160 * V + block * VALUES
            moments_out += (block * B * H + sequence) * 288
            tl.store(state_out + state_at, state_a)
            tl.store(state_out + 64 * V + state_at, state_b)
            state_c = tl.where((column > 8) & (column < 16), 0.0, state_c / factor)
            tl.store(state_out + (128 + column) * V + value[:, None], state_c)
            store_moments(moments_out, squares / share, sums / share, count / share)
