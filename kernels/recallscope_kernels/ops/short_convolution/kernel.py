"""A short causal convolution in Triton: forward, backward, and one step of decoding.

Channels `[H, V]` are one axis D. A program walks over tokens with some channels, and keeps what it needs again, the
last inputs and gradients, in registers: each is loaded and worked on once, and sums over tokens need no other thread.
"""

# pyright: reportArgumentType=false, reportIndexIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false
# Triton's annotations ask for what its compiler makes of literals, and of its ranges.

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _input(x, state, t, x_t, channel, ours, T, D, N: tl.constexpr, HAS_STATE: tl.constexpr):
    """`[CHANNELS]` in float32: token t, everywhere the same; one before the first from the state, others 0."""
    found = tl.load(x + t * x_t + channel, mask=ours & (t >= 0) & (t < T), other=0.0).to(tl.float32)
    if HAS_STATE:
        before = ours & (t < 0) & (t > -N)
        found += tl.load(state + (t + N - 1) * D + channel, mask=before, other=0.0).to(tl.float32)
    return found


@triton.jit
def _three_before(x, state, t, x_t, channel, ours, T, D, N: tl.constexpr, HAS_STATE: tl.constexpr):
    """Tokens t - 1, t - 2 and t - 3."""
    one = _input(x, state, t - 1, x_t, channel, ours, T, D, N, HAS_STATE)
    two = _input(x, state, t - 2, x_t, channel, ours, T, D, N, HAS_STATE)
    return one, two, _input(x, state, t - 3, x_t, channel, ours, T, D, N, HAS_STATE)


@triton.jit
def _four(taps, channel, ours, D, N: tl.constexpr):
    """All taps, the last of them again in the place of those that there are not."""
    taps += channel
    h0, h1 = tl.load(taps, mask=ours, other=0.0), tl.load(taps + D, mask=ours, other=0.0)
    h2 = tl.load(taps + min(N - 1, 2) * D, mask=ours, other=0.0)
    h3 = tl.load(taps + (N - 1) * D, mask=ours, other=0.0)
    return h0.to(tl.float32), h1.to(tl.float32), h2.to(tl.float32), h3.to(tl.float32)


@triton.jit
def _products(a, b, c, d, h_a, h_b, h_c, h_d, N: tl.constexpr):
    """The sum of the first N of four products."""
    z = h_a * a + h_b * b
    if N > 2:
        z += h_c * c
    if N > 3:
        z += h_d * d
    return z


@triton.jit
def short_convolution_kernel(
    x, taps, state, y, x_b, x_t, T, D,
    N: tl.constexpr, TOKENS: tl.constexpr, CHANNELS: tl.constexpr, HAS_STATE: tl.constexpr, SILU: tl.constexpr,
):  # fmt: skip
    """Grid (tokens, channels, B); taps `[N, D]`, `state` `[B, N - 1, D]` and y `[B, T, D]` contiguous."""
    b = tl.program_id(2).to(tl.int64)
    first = tl.program_id(0).to(tl.int64) * TOKENS
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    ours, everywhere = channel < D, tl.zeros((CHANNELS,), tl.int32)
    x += b * x_b
    state += b * (N - 1) * D
    y += b * T * D + channel
    h0, h1, h2, h3 = _four(taps, channel, ours, D, N)
    x1, x2, x3 = _three_before(x, state, everywhere + first, x_t, channel, ours, T, D, N, HAS_STATE)
    for step in tl.static_range(0, TOKENS):
        t = everywhere + first + step
        x0 = _input(x, state, t, x_t, channel, ours, T, D, N, HAS_STATE)
        z = _products(x0, x1, x2, x3, h0, h1, h2, h3, N)
        if SILU:
            z *= 1 / (1 + tl.exp(-z))
        tl.store(y + t * D, z.to(y.dtype.element_ty), mask=ours & (t < T))
        x3 = x2
        x2 = x1
        x1 = x0


@triton.jit
def short_convolution_gradient_kernel(
    grad, x, taps, state, dx, dtaps, dstate, g_b, g_t, x_b, x_t, T, D,
    N: tl.constexpr, TOKENS: tl.constexpr, CHANNELS: tl.constexpr, SPAN: tl.constexpr,
    HAS_STATE: tl.constexpr, SILU: tl.constexpr,
):  # fmt: skip
    """Grid (tokens, channels, B), a program of SPAN tokens, from the first of a state on; `dtaps` a part a program.

    At token t the gradient of the sum at t is known, and with it that of the input at t - N + 1.
    """
    b = tl.program_id(2).to(tl.int64)
    first = tl.program_id(0).to(tl.int64) * SPAN
    if HAS_STATE:
        first -= N - 1
    span = tl.minimum(SPAN, T - first).to(tl.int32)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    ours, everywhere = channel < D, tl.zeros((CHANNELS,), tl.int32)
    x += b * x_b
    grad += b * g_b + channel
    state += b * (N - 1) * D
    dx += b * T * D + channel
    h0, h1, h2, h3 = _four(taps, channel, ours, D, N)
    x1, x2, x3 = _three_before(x, state, everywhere + first, x_t, channel, ours, T, D, N, HAS_STATE)
    d1, d2, d3 = tl.zeros((CHANNELS,), tl.float32), tl.zeros((CHANNELS,), tl.float32), tl.zeros((CHANNELS,), tl.float32)
    to_h0, to_h1 = tl.zeros((CHANNELS,), tl.float32), tl.zeros((CHANNELS,), tl.float32)
    to_h2, to_h3 = tl.zeros((CHANNELS,), tl.float32), tl.zeros((CHANNELS,), tl.float32)
    for start in range(0, span + N - 1, TOKENS):
        for step in tl.static_range(0, TOKENS):
            t = everywhere + first + start + step
            x0 = _input(x, state, t, x_t, channel, ours, T, D, N, HAS_STATE)
            d0 = tl.load(grad + t * g_t, mask=ours & (t >= 0) & (t < T), other=0.0).to(tl.float32)
            if SILU:
                z = _products(x0, x1, x2, x3, h0, h1, h2, h3, N)
                gate = 1 / (1 + tl.exp(-z))
                d0 *= gate * (1 + z * (1 - gate))
            mine = tl.where(t < first + span, d0, 0.0)  # the others are the next program's to sum
            to_h0 += mine * x0
            to_h1 += mine * x1
            if N > 2:
                to_h2 += mine * x2
            if N > 3:
                to_h3 += mine * x3
            if N == 2:
                to_x = _products(d1, d0, d0, d0, h0, h1, h2, h3, N)
            elif N == 3:
                to_x = _products(d2, d1, d0, d0, h0, h1, h2, h3, N)
            else:
                to_x = _products(d3, d2, d1, d0, h0, h1, h2, h3, N)
            s = t - N + 1
            here = ours & (s >= first) & (s < first + span)
            to_x = to_x.to(dx.dtype.element_ty)
            tl.store(dx + s * D, to_x, mask=here & (s >= 0) & (s < T))
            if HAS_STATE:
                tl.store(dstate + (b * (N - 1) + s + N - 1) * D + channel, to_x, mask=here & (s < 0))
            x3 = x2
            x2 = x1
            x1 = x0
            d3 = d2
            d2 = d1
            d1 = d0
    dtaps += (b * tl.num_programs(0) + tl.program_id(0)) * N * D + channel
    tl.store(dtaps, to_h0, mask=ours)
    tl.store(dtaps + D, to_h1, mask=ours)
    if N > 2:
        tl.store(dtaps + 2 * D, to_h2, mask=ours)
    if N > 3:
        tl.store(dtaps + 3 * D, to_h3, mask=ours)


@triton.jit
def short_convolution_step_kernel(
    x, taps, state, y, x_b, D, N: tl.constexpr, CHANNELS: tl.constexpr, SILU: tl.constexpr
):
    """Grid (channels, B): `state` `[B, N - 1, D]` drops its first row, and gets x as its last."""
    b = tl.program_id(1).to(tl.int64)
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    ours = channel < D
    state += b * (N - 1) * D + channel
    now = tl.load(x + b * x_b + channel, mask=ours, other=0.0)
    z = now.to(tl.float32) * tl.load(taps + channel, mask=ours, other=0.0).to(tl.float32)
    for row in tl.static_range(0, N - 1):
        seen = tl.load(state + row * D, mask=ours, other=0.0)
        z += seen.to(tl.float32) * tl.load(taps + (N - 1 - row) * D + channel, mask=ours, other=0.0).to(tl.float32)
        if row > 0:
            tl.store(state + (row - 1) * D, seen, mask=ours)
    tl.store(state + (N - 2) * D, now, mask=ours)
    if SILU:
        z *= 1 / (1 + tl.exp(-z))
    tl.store(y + b * D + channel, z.to(y.dtype.element_ty), mask=ours)
