"""One step of decoding a short convolution: the last inputs are shifted by one in place."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from recallscope_kernels.ops import _checks
from recallscope_kernels.ops.short_convolution import launch
from recallscope_kernels.ops.short_convolution.cost import forward_flops
from recallscope_kernels.ops.short_convolution.op import IMPLEMENTATIONS, check_short_convolution, takes_triton
from recallscope_kernels.ops.short_convolution.shifted import shifted_forward


def short_convolution_decode(
    x: Tensor, taps: Tensor, state: Tensor, *, activation: str | None = None, implementation: str | None = None
) -> Tensor:
    """Outputs `[B, 1, H, V]` of one further token; **`state` is updated in place**. Not differentiable.

    x `[B, 1, H, V]`, taps `[n, H, V]` and `state` `[B, n - 1, H, V]` (contiguous), all as in `short_convolution`, whose
    result with T = 1 this is; 2 n FLOPs a channel. `implementation`: `torch`, or `triton`, one kernel; None: triton on
    a GPU.
    """
    check_short_convolution(x, taps, activation, state, "state")
    _checks.check_implementation(implementation, IMPLEMENTATIONS)
    if x.shape[1] != 1:
        raise ValueError(f"x: one token, [B, 1, H, V], got {list(x.shape)}")
    if not state.is_contiguous():
        raise ValueError(f"state: contiguous, as it is updated in place, got strides {list(state.stride())}")
    run = _decode_triton if takes_triton(x, implementation) else _decode
    return run(x, taps, state, activation == "silu")


@torch.library.custom_op("recallscope::short_convolution_decode", mutates_args=("state",))
def _decode(x: Tensor, taps: Tensor, state: Tensor, silu: bool) -> Tensor:
    y = shifted_forward(x, taps, state, silu)
    state.copy_(torch.cat([state[:, 1:], x], 1))
    return y


@torch.library.custom_op("recallscope::short_convolution_decode_triton", mutates_args=("state",))
def _decode_triton(x: Tensor, taps: Tensor, state: Tensor, silu: bool) -> Tensor:
    return launch.triton_step(x, taps, state, silu)


@_decode.register_fake
@_decode_triton.register_fake
def _(x, taps, state, silu):
    return torch.empty_like(x, memory_format=torch.contiguous_format)


_DECODES = [torch.ops.recallscope.short_convolution_decode, torch.ops.recallscope.short_convolution_decode_triton]


@register_flop_formula(_DECODES)
def _flop(x, taps, state, silu, *args, out_shape=None, **kwargs) -> int:
    return forward_flops(torch.Size(x).numel(), taps[0])
