"""Encoding a prefix in Triton: one program holds the packed state of one head on chip and sums all of the prefix.

Less than half the products of the kernel that goes on from there (`based.forward_kernel`): keys write, nothing reads.
Forward only: where a gradient is needed the prefix is encoded in torch (`encode`).
"""

# pyright: reportArgumentType=false, reportIndexIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false
# Triton's annotations ask for what its compiler makes of literals, and of its ranges.

from __future__ import annotations

import triton
import triton.language as tl

from recallscope_kernels.ops.based.tiles import rolls, write


@triton.jit
def jrt_encode_kernel(
    k, v, state, moments, state_out, moments_out,
    scale, T, H,
    k_b, k_t, k_h, v_b, v_t, v_h,
    V: tl.constexpr, VALUES: tl.constexpr, C: tl.constexpr, HAS_STATE: tl.constexpr,
):  # fmt: skip
    """Grid (B H, V / VALUES); T tokens of prefix, which may be 0. States are laid out as Based's kernel reads them."""
    sequence, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    b, h = sequence // H, sequence % H
    dtype = k.dtype.element_ty
    token, key, value = tl.arange(0, C), tl.arange(0, 16), tl.arange(0, VALUES)
    # The last width is contiguous; steps of one chunk fit in 32 bits (based.launch), sums of steps are pointers.
    k += b * k_b + h * k_h
    v += b * v_b + h * v_h + block * VALUES
    state_out += sequence * 160 * V + block * VALUES
    moments_out += sequence * 288

    square = scale * scale
    key_a, key_b = rolls(0, 0.5 * square, square, dtype), rolls(2, 0.5 * square, square, dtype)
    key_c, key_d = rolls(4, 0.5 * square, square, dtype), rolls(6, 0.5 * square, square, dtype)
    key_e = rolls(8, 0.5 * square, square, dtype)
    feature = tl.arange(0, 32)
    key_one = tl.where(feature >= 16, scale, 0.0)[None, :]

    state_at = feature[None, :] * V + value[:, None]
    square_at = key[:, None] * 16 + key[None, :]
    if HAS_STATE:
        state += sequence * 160 * V + block * VALUES
        moments += sequence * 288
        state_a, state_b = tl.load(state + state_at), tl.load(state + state_at + 32 * V)
        state_c, state_d = tl.load(state + state_at + 64 * V), tl.load(state + state_at + 96 * V)
        state_e, sum_v = tl.load(state + state_at + 128 * V), tl.load(state + 136 * V + value)
        squares, sum_k = tl.load(moments + square_at), tl.load(moments + 256 + key)
        count = tl.load(moments + 272)
    else:
        state_a, state_b = tl.zeros((VALUES, 32), tl.float32), tl.zeros((VALUES, 32), tl.float32)
        state_c, state_d = tl.zeros((VALUES, 32), tl.float32), tl.zeros((VALUES, 32), tl.float32)
        state_e, sum_v = tl.zeros((VALUES, 32), tl.float32), tl.zeros((VALUES,), tl.float32)
        squares, sum_k = tl.zeros((16, 16), tl.float32), tl.zeros((16,), tl.float32)
        count = 0.0

    for start in tl.range(0, T, C, disable_licm=True):
        inside = token < T - start
        # What is not inside is 0: its features of first and second order are, and its values.
        keys = tl.load(k + token[:, None] * k_t + key[None, :], mask=inside[:, None], other=0.0)
        values = tl.load(v + token[:, None] * v_t + value[None, :], mask=inside[:, None], other=0.0)
        state_a = write(keys, key_a, 0.0, values, state_a, C)
        state_b = write(keys, key_b, 0.0, values, state_b, C)
        state_c = write(keys, key_c, 0.0, values, state_c, C)
        state_d = write(keys, key_d, 0.0, values, state_d, C)
        state_e = write(keys, key_e, key_one, values, state_e, C)
        sum_v += tl.sum(values.to(tl.float32), 0)
        squares = tl.dot(tl.trans(keys), keys, squares, input_precision="ieee")
        sum_k += tl.sum(keys.to(tl.float32), 0)
        k += C * k_t
        v += C * v_t

    tl.store(state_out + state_at, state_a)
    tl.store(state_out + state_at + 32 * V, state_b)
    tl.store(state_out + state_at + 64 * V, state_c)
    tl.store(state_out + state_at + 96 * V, state_d)
    tl.store(state_out + state_at + 128 * V, tl.where(feature == 8, sum_v[:, None], state_e))
    if block == 0:
        tl.store(moments_out + square_at, squares)
        tl.store(moments_out + 256 + key, sum_k)
        tl.store(moments_out + 272, count + T)
