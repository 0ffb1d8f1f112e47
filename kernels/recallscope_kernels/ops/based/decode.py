"""One step of decoding: the state is read and written once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from recallscope_kernels.ops import _checks
from recallscope_kernels.ops.based import launch
from recallscope_kernels.ops.based.chunked import with_ones
from recallscope_kernels.ops.based.reference import feature_count, taylor_features


def based_decode(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    state: Tensor,
    *,
    scale: float | None = None,
    implementation: str | None = None,
) -> Tensor:
    """Outputs `[B, 1, H, V]` of one further token; **`state` is updated in place**. Not differentiable.

    q, k `[B, 1, H, K]`, v `[B, 1, H, V]` and `state` `[B, H, F, V + 1]` (contiguous), all as in `based`, whose result
    with T = 1 this is; 4 F (V + 1) FLOPs a head. `implementation`: `torch`, or `triton`, which touches the state once
    (not float64); None: triton on a GPU.
    """
    scale = _checks.check_decode(q, k, v, state, (feature_count(q.shape[-1]), v.shape[-1] + 1), scale)
    _checks.check_implementation(implementation, ("torch", "triton"))
    triton = implementation == "triton" or (implementation is None and q.is_cuda)
    why_not = launch.decode_refusal(q, v) if triton else None
    if implementation == "triton" and why_not:
        raise ValueError(f"implementation: {why_not}")
    return (_decode_triton if triton and not why_not else _decode)(q, k, v, state, scale)


@torch.library.custom_op("recallscope::based_decode", mutates_args=("state",))
def _decode(q: Tensor, k: Tensor, v: Tensor, state: Tensor, scale: float) -> Tensor:
    q, k, values = (u.flatten(0, 2).to(state.dtype) for u in (q, k, v))
    features = taylor_features(torch.stack([q, k]) * scale**0.5)
    matrix = state.view(-1, *state.shape[2:])
    matrix.baddbmm_(features[1, :, :, None], with_ones(values)[:, None, :])
    sums = torch.bmm(features[0, :, None, :], matrix)
    return (sums[..., :-1] / sums[..., -1:]).view(state.shape[0], 1, state.shape[1], -1).to(v.dtype)


@torch.library.custom_op("recallscope::based_decode_triton", mutates_args=("state",))
def _decode_triton(q: Tensor, k: Tensor, v: Tensor, state: Tensor, scale: float) -> Tensor:
    return launch.triton_decode(q, k, v, state, scale)


@_decode_triton.register_fake
@_decode.register_fake
def _(q, k, v, state, scale):
    return torch.empty_like(v, memory_format=torch.contiguous_format)


@register_flop_formula([torch.ops.recallscope.based_decode, torch.ops.recallscope.based_decode_triton])
def _decode_flop(q, k, v, state, scale, *args, out_shape=None, **kwargs) -> int:
    return 4 * torch.Size(state).numel()
