"""Torch's attention kernel, also for many models at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import is_batchedtensor  # type: ignore[import-not-found]  # there is no public question
from torch.nn import functional as F


def attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, causal: bool = False, scale: float | None = None
) -> Tensor:
    """`F.scaled_dot_product_attention` on q `[B, H, T, K]`, k and v `[B, H, S, K]`, which get the queries' dtype.

    Under `torch.vmap` the members join the batch. Torch would call the CPU's kernel for each of them, and the backward
    pass would fill and add a tensor of all members for each member. (Keys from a cache are in float32, and autocast
    does not reach the kernel under `torch.vmap`: hence the dtype.)
    """
    k, v = k.to(q.dtype), v.to(q.dtype)
    if not torch.compiler.is_compiling() and is_batchedtensor(q):
        return _Members.apply(q, k, v, mask, causal, scale)  # type: ignore[return-value]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, scale=scale)


class _Members(torch.autograd.Function):
    """Only its rule for `torch.vmap` runs, on tensors of all members, whose backward pass is torch's own."""

    @staticmethod
    def forward(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool, scale: float | None) -> Tensor:
        raise NotImplementedError("outside torch.vmap, call the kernel itself")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None: ...

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[int | None, ...],
        q: Tensor,
        k: Tensor,
        v: Tensor,
        mask: Tensor | None,
        causal: bool,
        scale: float | None,
    ) -> tuple[Tensor, int]:
        members = info.batch_size
        q, k, v = (_joined(x, dim, members) for x, dim in zip((q, k, v), in_dims, strict=False))
        if mask is not None and in_dims[3] is not None:
            mask = _joined(mask, in_dims[3], members)
        o = attend(q, k, v, mask, causal, scale)
        return o.unflatten(0, (members, -1)), 0


def _joined(x: Tensor, dim: int | None, members: int) -> Tensor:
    """`[B, ...]` of each member as `[members * B, ...]`."""
    x = x.expand(members, *x.shape) if dim is None else x.movedim(dim, 0)
    return x.flatten(0, 1)
