"""Diagonal recurrences `h_t = a_t ⊙ h_{t-1} + b_t`, by halving: log T operations on ever fewer tokens."""

from __future__ import annotations

from typing import Any

import torch
from recallscope_kernels.ops.selective_scan import scan_ as scan_
from recallscope_kernels.ops.selective_scan import scan_chunk_flops as scan_chunk_flops
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from recallscope.architectures.mixers._counts import ceil_div
from recallscope.architectures.mixers._members import folded


def scan(a: Tensor, b: Tensor, h: Tensor, chunk: int = 64) -> Tensor:
    """All states `h_1 ... h_T`, `[B, T, ...]`, from a, b `[B, T, ...]` and the state h_0 `[B, ...]`; differentiable.

    `chunk`, a power of two, changes speed, not results: each chunk is one `scan_`, which goes on from the one before.
    Decays are only ever multiplied, so they may be 0, and strong ones underflow; those in [0, 1] cannot overflow.
    """
    return _Scan.apply(a, b, h, chunk)  # type: ignore[return-value]


def scan_flops(t: Any, chunk: int = 64) -> Any:
    """FLOPs of the scan, for each element of the state, forward; its backward pass takes the same again."""
    return ceil_div(t, chunk) * scan_chunk_flops(chunk)


def checked_scan_chunk(chunk: int) -> int:
    """The chunk, if it is a power of two."""
    if chunk < 1 or chunk & (chunk - 1):
        raise ValueError(f"chunk: a power of two, got {chunk}")
    return chunk


def _chunked(a: Tensor, b: Tensor, h: Tensor, chunk: int, reverse: bool = False) -> Tensor:
    """`scan` in either direction, without gradients; a and b stay as they are."""
    time = a.shape[1]
    ends = (0, 0) * (a.ndim - 2) + (0, -time % chunk)
    a, b = (F.pad(u, ends) for u in (a, b))  # copies in any case
    pieces = list(zip(a.split(chunk, 1), b.split(chunk, 1), strict=True))
    for decay, states in reversed(pieces) if reverse else pieces:
        h = scan_(decay, states, h, reverse)[:, 0 if reverse else -1]
    return b[:, :time]


class _Scan(torch.autograd.Function):
    """The gradient of `b` runs the recurrence backwards; the state's own gradient joins at each token."""

    @staticmethod
    def forward(a: Tensor, b: Tensor, h: Tensor, chunk: int) -> Tensor:
        return _chunked(a, b, h, chunk)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        a, _, h, ctx.chunk = inputs
        ctx.save_for_backward(a, h, output)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Any, Any]:
        return folded(_Scan.apply, info, in_dims, *inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:  # type: ignore[override]
        a, h, states = ctx.saved_tensors
        # what h_{t-1} receives, a_t ⊙ (gradient of h_t), is itself a scan
        passed = _chunked(a, a * grad, torch.zeros_like(h), ctx.chunk, reverse=True)
        total = grad.clone()
        total[:, :-1] += passed[:, 1:]
        return total * torch.cat([h[:, None], states[:, :-1]], 1), total, passed[:, 0], None
