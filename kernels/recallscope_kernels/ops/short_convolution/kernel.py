"""A short causal convolution in Triton: forward, backward, and one step of decoding.

Channels `[H, V]` are one axis D. The kernels move bytes and compute little, so that shifted inputs are loaded again,
from cache, and sums before SiLU computed again, for each of the N outputs that an input reaches.
"""

# pyright: reportArgumentType=false, reportIndexIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false
# Triton's annotations ask for what its compiler makes of literals, and of its ranges.

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _inputs(x, state, t, x_t, channel, ours, T, D, N: tl.constexpr, HAS_STATE: tl.constexpr):
    """`[TOKENS, CHANNELS]` in float32: tokens t, those before the first from the state, others 0."""
    inside = ours & (t >= 0) & (t < T)
    found = tl.load(x + t * x_t + channel, mask=inside, other=0.0).to(tl.float32)
    if HAS_STATE:
        before = ours & (t < 0) & (t > -N)
        found += tl.load(state + (t + N - 1) * D + channel, mask=before, other=0.0).to(tl.float32)
    return found


@triton.jit
def _sums(x, taps, state, t, x_t, channel, ours, T, D, N: tl.constexpr, HAS_STATE: tl.constexpr):
    """`Σ_j h_j ⊙ x_{t-j}`."""
    z = tl.load(taps + channel, mask=ours, other=0.0).to(tl.float32)
    z *= _inputs(x, state, t, x_t, channel, ours, T, D, N, HAS_STATE)
    for j in tl.static_range(1, N):
        tap = tl.load(taps + j * D + channel, mask=ours, other=0.0).to(tl.float32)
        z += tap * _inputs(x, state, t - j, x_t, channel, ours, T, D, N, HAS_STATE)
    return z


@triton.jit
def short_convolution_kernel(
    x, taps, state, y, x_b, x_t, T, D,
    N: tl.constexpr, TOKENS: tl.constexpr, CHANNELS: tl.constexpr, HAS_STATE: tl.constexpr, SILU: tl.constexpr,
):  # fmt: skip
    """Grid (tokens, channels, B); taps `[N, D]`, `state` `[B, N - 1, D]` and y `[B, T, D]` contiguous."""
    b = tl.program_id(2).to(tl.int64)
    t = (tl.program_id(0).to(tl.int64) * TOKENS + tl.arange(0, TOKENS))[:, None]
    channel = (tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS))[None, :]
    ours = channel < D
    z = _sums(x + b * x_b, taps, state + b * (N - 1) * D, t, x_t, channel, ours, T, D, N, HAS_STATE)
    if SILU:
        z *= 1 / (1 + tl.exp(-z))
    tl.store(y + (b * T + t) * D + channel, z.to(y.dtype.element_ty), mask=ours & (t < T))


@triton.jit
def short_convolution_gradient_kernel(
    grad, x, taps, state, dx, dtaps, dstate, g_b, g_t, x_b, x_t, T, D,
    N: tl.constexpr, TOKENS: tl.constexpr, CHANNELS: tl.constexpr, SPAN: tl.constexpr,
    HAS_STATE: tl.constexpr, SILU: tl.constexpr,
):  # fmt: skip
    """Grid (tokens, channels, B), a program of SPAN tokens, from the first of a state on; `dtaps` a part a program."""
    b = tl.program_id(2).to(tl.int64)
    first = tl.program_id(0).to(tl.int64) * SPAN
    if HAS_STATE:
        first -= N - 1
    span = tl.minimum(SPAN, T - first)
    channel = (tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS))[None, :]
    ours = channel < D
    row = tl.arange(0, 4)[:, None]
    to_taps = tl.zeros((4, CHANNELS), tl.float32)
    x += b * x_b
    grad += b * g_b
    state += b * (N - 1) * D
    for start in range(0, span, TOKENS):
        t = (first + start + tl.arange(0, TOKENS))[:, None]
        to_x = tl.zeros((TOKENS, CHANNELS), tl.float32)
        for step in tl.static_range(0, N):  # from the last to the first, whose dz is needed after
            j = N - 1 - step
            reached = ours & (t + j >= 0) & (t + j < T)
            dz = tl.load(grad + (t + j) * g_t + channel, mask=reached, other=0.0).to(tl.float32)
            if SILU:
                z = _sums(x, taps, state, t + j, x_t, channel, ours, T, D, N, HAS_STATE)
                gate = 1 / (1 + tl.exp(-z))
                dz *= gate * (1 + z * (1 - gate))
            to_x += dz * tl.load(taps + j * D + channel, mask=ours, other=0.0).to(tl.float32)
            if j == 0:
                for i in tl.static_range(0, N):
                    seen = _inputs(x, state, t - i, x_t, channel, ours, T, D, N, HAS_STATE)
                    to_taps += tl.where(row == i, tl.sum(dz * seen, 0)[None, :], 0.0)
        to_x = to_x.to(dx.dtype.element_ty)
        tl.store(dx + (b * T + t) * D + channel, to_x, mask=ours & (t >= 0) & (t < T))
        if HAS_STATE:
            tl.store(dstate + (b * (N - 1) + t + N - 1) * D + channel, to_x, mask=ours & (t < 0))
    part = b * tl.num_programs(0) + tl.program_id(0)
    tl.store(dtaps + (part * N + row) * D + channel, to_taps, mask=ours & (row < N))


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
