"""Prefix linear attention all in Triton: the kernel that encodes the prefix, then Based's from the packed state."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from recallscope_kernels.ops._checks import sum_dtype
from recallscope_kernels.ops._shape import Shape
from recallscope_kernels.ops.based.cost import triton_forward_flops
from recallscope_kernels.ops.based.launch import CHUNK, STAGES, WARPS, forward_from, refusal, values_per_program
from recallscope_kernels.ops.based.packing import MOMENTS, ROWS, pack
from recallscope_kernels.ops.based.reference import feature_count
from recallscope_kernels.ops.jrt_prefix.cost import triton_encode_flops


def fits(q: Tensor, k: Tensor, v: Tensor, prefix_k: Tensor, prefix_v: Tensor) -> bool:
    """Whether both kernels take these operands."""
    return refusal(q, k, v) is None and refusal(q, prefix_k, prefix_v) is None


def triton_encode(
    k: Tensor, v: Tensor, scale: float, before: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Packed state `[B, H, 160, V]` and moments `[B, H, 18, 16]` after a prefix `[B, M, H, 16]`, `[B, M, H, V]`.

    Layouts as in `based.packing`, of the state `before` too; rows that are empty there are 0; of the last row
    of moments only the first, the count, is written.
    """
    from recallscope_kernels.ops.jrt_prefix.encode_kernel import jrt_encode_kernel

    batch, tokens, heads, _ = k.shape
    values = v.shape[-1]
    k, v = (u if u.stride(-1) == 1 else u.contiguous() for u in (k, v))
    packed = torch.empty(batch, heads, ROWS, values, dtype=sum_dtype(k), device=k.device)
    moments = torch.empty(batch, heads, MOMENTS, 16, dtype=sum_dtype(k), device=k.device)
    block = values_per_program(values)
    kernel: Any = jrt_encode_kernel  # its launch takes options that its signature has not
    kernel[(batch * heads, values // block)](
        k, v, *(before or (packed, moments)), packed, moments, scale, tokens, heads, *k.stride()[:3], *v.stride()[:3],
        V=values, VALUES=block, C=CHUNK, HAS_STATE=before is not None, num_warps=WARPS, num_stages=STAGES,
    )  # fmt: skip
    return packed, moments


@torch.library.custom_op("recallscope::jrt_prefix_triton", mutates_args=())
def jrt_prefix_triton(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    prefix_k: Tensor,
    prefix_v: Tensor,
    scale: float,
    state: Tensor | None,
    keep: bool,
) -> tuple[Tensor, Tensor]:
    """Outputs, and with `keep` the last state (else empty). It has no gradient: torch refuses to go back through it."""
    before = None if state is None else pack(state, scale)
    o, _, last = forward_from(q, k, v, scale, triton_encode(prefix_k, prefix_v, scale, before), keep)
    return o, last


@jrt_prefix_triton.register_fake
def _(q, k, v, prefix_k, prefix_v, scale, state, keep):
    batch, _, heads, width = q.shape
    shape = (batch, heads, feature_count(width), v.shape[-1] + 1) if keep else 0
    return torch.empty_like(v, memory_format=torch.contiguous_format), q.new_empty(shape, dtype=sum_dtype(q))


@register_flop_formula(torch.ops.recallscope.jrt_prefix_triton)
def _flop(q, k, v, prefix_k, *args, out_shape=None, **kwargs) -> int:
    batch, time, heads, width = q
    shape = Shape(batch, time, heads, width, v[-1])
    return triton_forward_flops(shape) + triton_encode_flops(shape, prefix_k[1])
