"""Scores of a chunk whose channels decay apart: by halving the chunk, without a [C, C, K] tensor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def channel_decay_scores(q: Tensor, k: Tensor, total: Tensor) -> Tensor:
    """`Σ_c q_ic k_jc e^{G_ic - G_jc}` for j ≤ i, 0 elsewhere: `[..., C, C]`; G `[..., C, K]` sums the log decay.

    C is a power of two. The later half of the chunk sees the earlier one through the boundary b between them:
    `e^{G_i - G_b} e^{G_b - G_j}`, neither exponent positive, so this block is one matrix product. Each half is then
    halved in turn, down to single tokens: log₂ C exponentials for each element of q and k, and half of the products of
    the full square.
    """
    return _Scores.apply(q, k, total)  # type: ignore[return-value]


def _halves(u: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """`[..., C, K]` to the earlier and later halves of its blocks of two `size`: `[..., C / (2 size), size, K]`."""
    earlier, later = u.unflatten(-2, (-1, 2, size)).unbind(-3)
    return earlier, later


def _block(scores: Tensor, size: int) -> Tensor:
    """View of the scores of each later half on its earlier half: `[..., size, size, C / (2 size)]`."""
    pairs = scores.unflatten(-1, (-1, 2, size)).unflatten(-4, (-1, 2, size))  # [..., n, 2, size, n, 2, size]
    return pairs[..., 1, :, :, 0, :].diagonal(dim1=-4, dim2=-2)


def _levels(q: Tensor, k: Tensor, total: Tensor) -> Iterator[tuple[int, Tensor, Tensor, Tensor, Tensor]]:
    """For each size of halves: the size, later queries and earlier keys with their decays, and these decays."""
    size = q.shape[-2] // 2
    while size:
        earlier, later = _halves(total, size)
        boundary = earlier[..., -1:, :]
        after, before = (later - boundary).exp_(), (boundary - earlier).exp_()
        yield size, _halves(q, size)[1] * after, _halves(k, size)[0] * before, after, before
        size //= 2


class _Scores(torch.autograd.Function):
    """With its own backward: nothing but the inputs is kept, and the gradient of G is `q ⊙ dq - k ⊙ dk`."""

    @staticmethod
    def forward(q: Tensor, k: Tensor, total: Tensor) -> Tensor:
        scores = torch.diag_embed((q * k).sum(-1))
        for size, late, early, _, _ in _levels(q, k, total):
            _block(scores, size).copy_((late @ early.transpose(-1, -2)).movedim(-3, -1))
        return scores

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Tensor) -> tuple[Any, int]:
        """Models side by side are one more leading axis."""
        pairs = zip(inputs, in_dims, strict=True)
        moved = (u.expand(info.batch_size, *u.shape) if dim is None else u.movedim(dim, 0) for u, dim in pairs)
        return _Scores.apply(*moved), 0

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        q, k, total = ctx.saved_tensors
        own = grad.diagonal(dim1=-2, dim2=-1)[..., None]
        grad_q, grad_k = own * k, own * q
        for size, late, early, after, before in _levels(q, k, total):
            block = _block(grad, size).movedim(-1, -3).contiguous()
            _halves(grad_q, size)[1].add_((block @ early).mul_(after))
            _halves(grad_k, size)[0].add_((block.transpose(-1, -2) @ late).mul_(before))
        return grad_q, grad_k, q * grad_q - k * grad_k
