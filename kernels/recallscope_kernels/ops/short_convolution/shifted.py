"""A short causal convolution in torch, as a sum of products with shifted inputs: forward and backward."""

from __future__ import annotations

import torch
from torch import Tensor

from recallscope_kernels.ops._checks import sum_dtype


def shifted_forward(x: Tensor, taps: Tensor, state: Tensor | None, silu: bool) -> Tensor:
    """`[B, T, H, V]` in the precision of x; sums in float32 or more."""
    z = _sums(_past(x, taps, state), taps, x.shape[1])
    return (z * z.sigmoid() if silu else z).to(x.dtype)


def shifted_backward(
    grad: Tensor, x: Tensor, taps: Tensor, state: Tensor | None, silu: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, taps and the state before; the last is there without a state too."""
    past, time, before = _past(x, taps, state), x.shape[1], len(taps) - 1
    dz = grad.to(past.dtype)
    if silu:
        z = _sums(past, taps, time)
        gate = z.sigmoid()
        dz = dz * gate * (1 + z * (1 - gate))
    dpast, dtaps = torch.zeros_like(past), torch.empty_like(taps, dtype=past.dtype)
    for j, tap in enumerate(taps.to(past.dtype)):
        here = slice(before - j, before - j + time)
        dpast[:, here] += tap * dz
        dtaps[j] = (dz * past[:, here]).sum((0, 1))
    whole = {"dtype": x.dtype, "copy": True, "memory_format": torch.contiguous_format}  # no result is a part of another
    return dpast[:, before:].to(**whole), dtaps.to(x.dtype), dpast[:, :before].to(**whole)


def _past(x: Tensor, taps: Tensor, state: Tensor | None) -> Tensor:
    """`[B, n - 1 + T, H, V]`: the state and the inputs, in the precision of the sums."""
    before = x.new_zeros(x.shape[0], len(taps) - 1, *x.shape[2:]) if state is None else state
    return torch.cat([before, x], 1).to(sum_dtype(x))


def _sums(past: Tensor, taps: Tensor, time: int) -> Tensor:
    z = torch.zeros_like(past[:, :time])
    for j, tap in enumerate(taps.to(past.dtype).flip(0)):
        z.addcmul_(past[:, j : j + time], tap)
    return z
