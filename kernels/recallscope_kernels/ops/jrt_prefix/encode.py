"""Encoding a prefix: its sum of `φ(k) [v, 1]ᵀ`, and the gradient of that, as torch custom ops."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from recallscope_kernels.ops._checks import sum_dtype
from recallscope_kernels.ops.based.chunked import first_state, heads_first, last_state, tokens_first, with_ones
from recallscope_kernels.ops.based.reference import feature_count
from recallscope_kernels.ops.based.rolled import rolled_features, rolled_features_backward
from recallscope_kernels.ops.jrt_prefix.cost import encode_backward_flops, encode_flops


def encoded(k: Tensor, v: Tensor, scale: float, state: Tensor | None, chunk: int) -> Tensor:
    """`state + Σ_j φ(k_j) [v_j, 1]ᵀ`, `[B, H, F, V + 1]`; chunk by chunk: features are F / K times the keys."""
    batch, tokens, _, width = k.shape
    k, v = heads_first(k) * scale**0.5, heads_first(v)
    matrix, values = first_state(state, k, v), with_ones(v)
    for start in range(0, tokens, chunk):
        here = slice(start, start + chunk)
        matrix = torch.baddbmm(matrix, rolled_features(k[:, here]).transpose(1, 2), values[:, here])
    return last_state(matrix, batch, width)


def encoded_backward(grad: Tensor, k: Tensor, v: Tensor, scale: float, chunk: int) -> tuple[Tensor, Tensor]:
    """Gradients of keys and values; that of the state before is `grad` itself."""
    batch, tokens, _, _ = k.shape
    dtype, root = k.dtype, scale**0.5
    k, v = heads_first(k) * root, heads_first(v)
    matrix, values = first_state(grad, k, v), with_ones(v)
    dk, dv = torch.empty_like(k), torch.empty_like(v)
    for start in range(0, tokens, chunk):
        here = slice(start, start + chunk)
        dv[:, here] = rolled_features(k[:, here]) @ matrix[..., :-1]
        dk[:, here] = rolled_features_backward(k[:, here], values[:, here] @ matrix.transpose(1, 2))
    dk, dv = (tokens_first(u, batch).to(dtype).contiguous() for u in (dk * root, dv))
    return dk, dv


@torch.library.custom_op("recallscope::jrt_encode", mutates_args=())
def encode(k: Tensor, v: Tensor, scale: float, state: Tensor | None, chunk: int) -> Tensor:
    return encoded(k, v, scale, state, chunk)


@torch.library.custom_op("recallscope::jrt_encode_backward", mutates_args=())
def _backward(grad: Tensor, k: Tensor, v: Tensor, scale: float, chunk: int) -> tuple[Tensor, Tensor]:
    return encoded_backward(grad, k, v, scale, chunk)


@encode.register_fake
def _(k, v, scale, state, chunk):
    return k.new_empty(k.shape[0], k.shape[2], feature_count(k.shape[-1]), v.shape[-1] + 1, dtype=sum_dtype(k))


@_backward.register_fake
def _(grad, k, v, scale, chunk):
    return tuple(torch.empty_like(u, memory_format=torch.contiguous_format) for u in (k, v))


def _save(ctx, inputs, output):
    k, v, ctx.scale, state, ctx.chunk = inputs
    ctx.has_state = state is not None
    ctx.save_for_backward(k, v)


def _gradients(ctx, grad):
    k, v = ctx.saved_tensors
    dk, dv = _backward(grad, k, v, ctx.scale, ctx.chunk)
    return dk, dv, None, grad if ctx.has_state else None, None


encode.register_autograd(_gradients, setup_context=_save)


def _tokens(k) -> int:
    return k[0] * k[1] * k[2]


@register_flop_formula(torch.ops.recallscope.jrt_encode)
def _flop(k, v, scale, state, chunk, *args, out_shape=None, **kwargs) -> int:
    return encode_flops(_tokens(k), k[-1], v[-1])


@register_flop_formula(torch.ops.recallscope.jrt_encode_backward)
def _backward_flop(grad, k, v, scale, chunk, *args, out_shape=None, **kwargs) -> int:
    return encode_backward_flops(_tokens(k), k[-1], v[-1])
