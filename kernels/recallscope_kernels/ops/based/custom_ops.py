"""Based as torch custom ops, which torch's counter sees: forward and backward, in torch and in Triton."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from recallscope_kernels.ops import _checks
from recallscope_kernels.ops._shape import Shape, squares
from recallscope_kernels.ops.based.chunked import chunked_backward, chunked_forward
from recallscope_kernels.ops.based.cost import (
    backward_flops,
    forward_flops,
    triton_backward_flops,
    triton_forward_flops,
)
from recallscope_kernels.ops.based.launch_backward import triton_backward
from recallscope_kernels.ops.based.launch_forward import triton_forward
from recallscope_kernels.ops.based.reference import feature_count


@torch.library.custom_op("recallscope::based_chunked", mutates_args=())
def based_chunked(
    q: Tensor, k: Tensor, v: Tensor, scale: float, state: Tensor | None, chunk: int
) -> tuple[Tensor, Tensor, Tensor]:
    return chunked_forward(q, k, v, scale, state, chunk)


@torch.library.custom_op("recallscope::based_triton", mutates_args=())
def based_triton(
    q: Tensor, k: Tensor, v: Tensor, scale: float, state: Tensor | None, keep: bool, spans: int
) -> tuple[Tensor, Tensor, Tensor]:
    return triton_forward(q, k, v, scale, state, keep, spans)


@torch.library.custom_op("recallscope::based_backward", mutates_args=())
def _backward(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    o: Tensor,
    normaliser: Tensor,
    scale: float,
    state: Tensor | None,
    grad_state: Tensor | None,
    chunk: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return chunked_backward(grad, q, k, v, o, normaliser, scale, state, grad_state, chunk)


@torch.library.custom_op("recallscope::based_backward_triton", mutates_args=())
def _backward_triton(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    o: Tensor,
    normaliser: Tensor,
    scale: float,
    state: Tensor | None,
    grad_state: Tensor | None,
    spans: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return triton_backward(grad, q, k, v, o, normaliser, scale, state, grad_state, spans)


def _empty_results(q: Tensor, v: Tensor, keep: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    batch, time, heads, width = q.shape
    o = torch.empty_like(v, memory_format=torch.contiguous_format)
    shapes = (batch, time, heads), (batch, heads, feature_count(width), v.shape[-1] + 1)
    normaliser, last = (q.new_empty(shape if keep else 0, dtype=_checks.sum_dtype(q)) for shape in shapes)
    return o, normaliser, last


@based_chunked.register_fake
def _(q, k, v, scale, state, chunk):
    return _empty_results(q, v)


@based_triton.register_fake
def _(q, k, v, scale, state, keep, spans):
    return _empty_results(q, v, keep)


def _empty_gradients(q: Tensor, k: Tensor, v: Tensor, keep: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dq, dk, dv = (torch.empty_like(u, memory_format=torch.contiguous_format) for u in (q, k, v))
    return dq, dk, dv, _empty_results(q, v, keep)[2]


@_backward.register_fake
def _(grad, q, k, v, o, normaliser, scale, state, grad_state, chunk):
    return _empty_gradients(q, k, v, True)


@_backward_triton.register_fake
def _(grad, q, k, v, o, normaliser, scale, state, grad_state, spans):
    return _empty_gradients(q, k, v, state is not None)


def _save(ctx, inputs, output):
    q, k, v, ctx.scale, state, ctx.chunk, *ctx.spans = inputs  # for the kernel, whether its state is kept, and spans
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(q, k, v, *output[:2], state)


def _saved(ctx, grad, grad_state) -> tuple[Any, ...]:
    """What both backward passes begin with; outputs that nobody used have no gradient."""
    q, k, v, o, normaliser, state = ctx.saved_tensors
    return (torch.zeros_like(o) if grad is None else grad), q, k, v, o, normaliser, ctx.scale, state, grad_state


def _gradients(ctx, grad, _, grad_state):
    dq, dk, dv, ds = _backward(*_saved(ctx, grad, grad_state), ctx.chunk)
    return dq, dk, dv, None, ds if ctx.needs_input_grad[4] else None, None


def _gradients_triton(ctx, grad, _, grad_state):
    dq, dk, dv, ds = _backward_triton(*_saved(ctx, grad, grad_state), *ctx.spans)
    return dq, dk, dv, None, ds if ctx.needs_input_grad[4] else None, None, None


based_chunked.register_autograd(_gradients, setup_context=_save)
based_triton.register_autograd(_gradients_triton, setup_context=_save)


def _shape(q, v) -> Shape:
    batch, time, heads, width = q
    return Shape(batch, time, heads, width, v[-1])


@register_flop_formula(torch.ops.recallscope.based_chunked)
def _chunked_flop(q, k, v, scale, state, chunk, *args, out_shape=None, **kwargs) -> int:
    return forward_flops(_shape(q, v), squares(q[1], chunk))


@register_flop_formula(torch.ops.recallscope.based_triton)
def _triton_flop(q, k, v, scale, state, keep, spans, *args, out_shape=None, **kwargs) -> int:
    return triton_forward_flops(_shape(q, v), spans)


@register_flop_formula(torch.ops.recallscope.based_backward_triton)
def _backward_triton_flop(grad, q, k, v, o, z, scale, state, grad_state, spans, *args, out_shape=None, **kwargs) -> int:
    return triton_backward_flops(_shape(q, v), spans)


@register_flop_formula(torch.ops.recallscope.based_backward)
def _backward_flop(grad, q, k, v, o, z, scale, state, grad_state, chunk, *args, out_shape=None, **kwargs) -> int:
    return backward_flops(_shape(q, v), squares(q[1], chunk))
