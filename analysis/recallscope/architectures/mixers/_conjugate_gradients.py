"""Symmetric positive systems by conjugate gradients, many at once, with the gradients of the exact solution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from recallscope.architectures.mixers._members import one_by_one


def conjugate_gradients(product: Callable[[Tensor], Tensor], rhs: Tensor, iterations: int) -> Tensor:
    """Solve along the last axis, from zero; rows that have converged to nothing left stay where they are."""
    tiny = torch.finfo(rhs.dtype).tiny
    x, residual, direction = torch.zeros_like(rhs), rhs, rhs
    size = residual.square().sum(-1, keepdim=True)
    for _ in range(iterations):
        image = product(direction)
        step = size / ((direction * image).sum(-1, keepdim=True) + tiny)
        x += step * direction
        residual = residual - step * image
        size, last = residual.square().sum(-1, keepdim=True), size
        direction = residual + size / (last + tiny) * direction
    return x


class Solve(torch.autograd.Function):
    """`A⁻¹ rhs` for a symmetric A given as `product(x, *operands)`; backward `w = A⁻¹ g`, and `-w xᵀ` through A."""

    @staticmethod
    def forward(product: Callable[..., Tensor], iterations: int, rhs: Tensor, *operands: Tensor) -> Tensor:
        return conjugate_gradients(lambda p: product(p, *operands), rhs, iterations)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.product, ctx.iterations, _, *operands = inputs
        ctx.save_for_backward(output, *operands)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Any, Any]:
        return one_by_one(Solve.apply, info, in_dims, *inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, *operands = ctx.saved_tensors
        wanted = ctx.needs_input_grad[3:]
        w = conjugate_gradients(lambda p: ctx.product(p, *operands), grad, ctx.iterations)
        with torch.enable_grad():
            leaves = [u.detach().requires_grad_(need) for u, need in zip(operands, wanted, strict=True)]
            image = ctx.product(x, *leaves)
        given = iter(torch.autograd.grad(image, [u for u in leaves if u.requires_grad], -w))
        return None, None, w, *(next(given) if need else None for need in wanted)
