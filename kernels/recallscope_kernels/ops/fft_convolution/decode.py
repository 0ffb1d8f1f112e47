"""One step of decoding a causal convolution: the sum itself, over the inputs so far."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from recallscope_kernels.ops._checks import sum_dtype
from recallscope_kernels.ops.fft_convolution.op import check_convolution


def fft_convolution_decode(x: Tensor, taps: Tensor, inputs: Tensor, length: int) -> Tensor:
    """Outputs `[B, 1, H, V]` of token number `length` (from 0); **it is written into the inputs in place**.

    x `[B, 1, H, V]`, taps `[n, H, V]`; `inputs` `[B, M, H, V]` hold the first `length` of M ≥ length + 1 tokens. Sums
    in float32 or more; 2 FLOPs a tap and channel, `min(length + 1, n)` taps.
    """
    check_convolution(x, taps, inputs)
    if x.shape[1] != 1:
        raise ValueError(f"x: one token, [B, 1, H, V], got {list(x.shape)}")
    if not 0 <= length < inputs.shape[1]:
        raise ValueError(f"length: from 0 to {inputs.shape[1] - 1}, the last place of the inputs, got {length}")
    inputs[:, length] = x[:, 0]
    n = min(length + 1, len(taps))
    return _sum(inputs[:, length + 1 - n : length + 1], taps[:n])


@torch.library.custom_op("recallscope::fft_convolution_decode", mutates_args=())
def _sum(inputs: Tensor, taps: Tensor) -> Tensor:
    """`[B, n, H, V]` and `[n, H, V]` to `[B, 1, H, V]`; elementwise: products of single rows are slower."""
    seen, taps = (u.to(sum_dtype(inputs)) for u in (inputs, taps.flip(0)))
    return (seen * taps).sum(1, keepdim=True).to(inputs.dtype)


@_sum.register_fake
def _(inputs, taps):
    return inputs[:, :1].new_empty(inputs[:, :1].shape)


@register_flop_formula(torch.ops.recallscope.fft_convolution_decode)
def _flop(inputs, taps, *args, out_shape=None, **kwargs) -> int:
    return 2 * torch.Size(inputs).numel()
