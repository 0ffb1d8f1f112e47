"""Prefix linear attention all in Triton: the kernel that encodes the prefix, then Based's from the packed state."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from recallscope_kernels.ops._checks import sum_dtype
from recallscope_kernels.ops._shape import Shape
from recallscope_kernels.ops.based.cost import cut, triton_encode_flops, triton_forward_flops
from recallscope_kernels.ops.based.launch import refusal
from recallscope_kernels.ops.based.launch_forward import forward_from
from recallscope_kernels.ops.based.packing import pack
from recallscope_kernels.ops.based.reference import feature_count
from recallscope_kernels.ops.based.spans import Packed, empty_moments, empty_states, encode_spans, spans_of


def fits(q: Tensor, k: Tensor, v: Tensor, prefix_k: Tensor, prefix_v: Tensor) -> bool:
    """Whether both kernels take these operands."""
    return refusal(q, k, v) is None and refusal(q, prefix_k, prefix_v) is None


def triton_encode(k: Tensor, v: Tensor, scale: float, before: Packed | None = None) -> Packed:
    """The packed state after a prefix `[B, M, H, 16]`, `[B, M, H, V]`, and the packed state `before` it."""
    span, count = cut(k.shape[1], spans_of(k, v))
    spans = empty_states(k, v, max(count, 1)), empty_moments(k, max(count, 1))
    encode_spans(k, v, scale, spans, span)
    packed, moments = (u.sum(0) if u.shape[0] > 1 else u[0] for u in spans)
    return (packed, moments) if before is None else (packed + before[0], moments + before[1])


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
    spans: int,
) -> tuple[Tensor, Tensor]:
    """Outputs, and with `keep` the last state (else empty). It has no gradient: torch refuses to go back through it."""
    before = None if state is None else pack(state, scale)
    o, _, last = forward_from(q, k, v, scale, triton_encode(prefix_k, prefix_v, scale, before), keep, spans)
    return o, last


@jrt_prefix_triton.register_fake
def _(q, k, v, prefix_k, prefix_v, scale, state, keep, spans):
    batch, _, heads, width = q.shape
    shape = (batch, heads, feature_count(width), v.shape[-1] + 1) if keep else 0
    return torch.empty_like(v, memory_format=torch.contiguous_format), q.new_empty(shape, dtype=sum_dtype(q))


@register_flop_formula(torch.ops.recallscope.jrt_prefix_triton)
def _flop(q, k, v, prefix_k, prefix_v, scale, state, keep, spans, *args, out_shape=None, **kwargs) -> int:
    batch, time, heads, width = q
    shape = Shape(batch, time, heads, width, v[-1])
    return triton_forward_flops(shape, spans) + triton_encode_flops(shape, prefix_k[1])
