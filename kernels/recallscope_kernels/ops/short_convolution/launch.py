"""Starting the kernels of the short convolution: with which tiles, and on which strides."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recallscope_kernels.ops import _triton
from recallscope_kernels.ops._checks import sum_dtype

TILES = {"forward": (16, 256), "backward": (4, 256), "step": (1, 256)}  # tokens and channels of one pass: 8 a thread
SPAN, WARPS = 256, 1  # tokens of one program of the backward pass


def refusal(x: Tensor) -> str | None:
    """Why the kernels cannot take this input, in one line, or None."""
    return _triton.refusal(x, f"triton takes B of at most 65535, got {x.shape[0]}" if x.shape[0] > 65535 else None)


def triton_forward(x: Tensor, taps: Tensor, state: Tensor | None, silu: bool) -> Tensor:
    """`[B, T, H, V]`; x with any strides of sequences and tokens is read as it is."""
    from recallscope_kernels.ops.short_convolution.kernel import short_convolution_kernel

    x, taps = _joined(x), taps.contiguous()
    batch, time, channels = x.shape[0], x.shape[1], x.shape[2] * x.shape[3]
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    before = x if state is None else state.contiguous()  # not read without a state
    kernel: Any = short_convolution_kernel
    tokens, width = TILES["forward"]
    kernel[(-(-time // tokens), -(-channels // width), batch)](
        x, taps, before, y, *x.stride()[:2], time, channels,
        N=len(taps), TOKENS=tokens, CHANNELS=width, HAS_STATE=state is not None, SILU=silu, num_warps=WARPS,
    )  # fmt: skip
    return y


def triton_backward(
    grad: Tensor, x: Tensor, taps: Tensor, state: Tensor | None, silu: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, taps and the state before; the last is empty without a state."""
    from recallscope_kernels.ops.short_convolution.kernel import short_convolution_gradient_kernel

    grad, x, taps = _joined(grad), _joined(x), taps.contiguous()
    batch, time, channels, count = x.shape[0], x.shape[1], x.shape[2] * x.shape[3], len(taps)
    keep = state is not None
    spans = -(-(time + (count - 1 if keep else 0)) // SPAN)
    dx = torch.empty_like(x, memory_format=torch.contiguous_format)
    dstate = x.new_empty(state.shape if keep else (0,))
    parts = torch.empty(batch * spans, *taps.shape, dtype=sum_dtype(x), device=x.device)
    kernel: Any = short_convolution_gradient_kernel
    tokens, width = TILES["backward"]
    kernel[(spans, -(-channels // width), batch)](
        grad, x, taps, state.contiguous() if keep else x, dx, parts, dstate,
        *grad.stride()[:2], *x.stride()[:2], time, channels,
        N=count, TOKENS=tokens, CHANNELS=width, SPAN=SPAN, HAS_STATE=keep, SILU=silu,
        num_warps=WARPS,
    )  # fmt: skip
    return dx, parts.sum(0).to(x.dtype), dstate


def triton_step(x: Tensor, taps: Tensor, state: Tensor, silu: bool) -> Tensor:
    """`[B, 1, H, V]`; the contiguous `state` is updated in place."""
    from recallscope_kernels.ops.short_convolution.kernel import short_convolution_step_kernel

    x, taps = _joined(x), taps.contiguous()
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    channels, width = x.shape[2] * x.shape[3], TILES["step"][1]
    kernel: Any = short_convolution_step_kernel
    kernel[(-(-channels // width), x.shape[0])](
        x, taps, state, y, x.stride(0), channels, N=len(taps), CHANNELS=width, SILU=silu, num_warps=WARPS
    )
    return y


def _joined(x: Tensor) -> Tensor:
    """Channels `[H, V]` next to each other."""
    return x if x.stride(3) == 1 and x.stride(2) == x.shape[3] else x.contiguous()
