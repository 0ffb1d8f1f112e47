"""Starting the Triton kernel: what fits it, and with which tiles."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from recallscope_kernels.ops import _triton
from recallscope_kernels.ops._checks import sum_dtype
from recallscope_kernels.ops.based.packing import MOMENTS, ROWS, pack, unpack

CHUNK, WARPS, STAGES = 64, 8, 2  # with 4 warps registers spill
DECODE_WARPS = 4
LIMIT = 2**31


def values_per_program(value_width: int) -> int:
    """Columns of V that one program holds: 64 of them are 40 registers a thread of state."""
    return min(value_width, 64)


def refusal(q: Tensor, k: Tensor, v: Tensor) -> str | None:
    """Why the forward kernel cannot take these operands, in one line, or None."""
    width, values, strides = q.shape[-1], v.shape[-1], [u.stride(1) for u in (q, k, v)]
    shape = None
    if width != 16:
        shape = f"triton takes K = 16, got {width}"
    elif values not in (16, 32) and values % 64:
        shape = f"triton takes V of 16, 32 or a multiple of 64, got {values}"
    elif CHUNK * max(*strides, q.shape[2] * values) >= LIMIT:
        shape = f"triton takes chunks of {CHUNK} tokens within 2**31 elements, got strides {strides}"
    return _triton.refusal(q, shape)


def decode_refusal(q: Tensor, v: Tensor) -> str | None:
    """Why the decoding kernel cannot take these operands, in one line, or None."""
    widths = q.shape[-1], v.shape[-1]
    return _triton.refusal(q, f"triton decodes K and V of at most 255, got {widths}" if max(widths) > 255 else None)


def triton_decode(q: Tensor, k: Tensor, v: Tensor, state: Tensor, scale: float) -> Tensor:
    """Outputs `[B, 1, H, V]`; the contiguous `state` is updated in place."""
    from recallscope_kernels.ops.based.decode_kernel import based_decode_kernel

    width, values = q.shape[-1], v.shape[-1]
    q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
    o = torch.empty_like(v)
    kernel: Any = based_decode_kernel
    kernel[(q.shape[0] * q.shape[2],)](
        q, k, v, o, state, _pairs(width, q.device), scale, FEATURES=state.shape[-2], K=width, V=values,
        **decode_tiles(values), num_warps=DECODE_WARPS,
    )  # fmt: skip
    return o


@cache
def _pairs(width: int, device: torch.device) -> Tensor:
    """256 (a + 1) + b + 1 for each feature: a = b = -1 for the constant, b = -1 for those of first order."""
    a, b = torch.triu_indices(width, width, dtype=torch.int32) + 1
    first = 256 * torch.arange(width + 1, dtype=torch.int32)
    return torch.cat([first, 256 * a + b]).to(device)


def decode_tiles(value_width: int) -> dict[str, int]:
    """Rows and columns of the state that are in registers at once: all V + 1, rounded up to a power of two."""
    columns = 1 << value_width.bit_length()
    return {"ROWS": max(2048 // columns, 1), "COLUMNS": columns}


def triton_forward(
    q: Tensor, k: Tensor, v: Tensor, scale: float, state: Tensor | None, keep: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs; with `keep` also the normaliser and the last state (else empty): shapes as in `chunked_forward`."""
    return forward_from(q, k, v, scale, None if state is None else pack(state, scale), keep)


def forward_from(
    q: Tensor, k: Tensor, v: Tensor, scale: float, before: tuple[Tensor, Tensor] | None, keep: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """As `triton_forward`, from a state and moments that are packed already."""
    from recallscope_kernels.ops.based.forward_kernel import based_forward_kernel

    batch, time, heads, _ = q.shape
    values, sums = v.shape[-1], sum_dtype(q)
    q, k, v = (u if u.stride(-1) == 1 else u.contiguous() for u in (q, k, v))
    o = torch.empty(batch, time, heads, values, dtype=q.dtype, device=q.device)
    normaliser = torch.empty((batch, time, heads) if keep else 0, dtype=sums, device=q.device)
    last = torch.empty((batch, heads, ROWS, values) if keep else 0, dtype=sums, device=q.device)
    moments_out = torch.empty((batch, heads, MOMENTS, 16) if keep else 0, dtype=sums, device=q.device)
    packed, moments = before or (last, moments_out)  # not read without a state
    block = values_per_program(values)
    kernel: Any = based_forward_kernel  # its launch takes options that its signature has not
    kernel[(batch * heads, values // block)](
        q, k, v, o, normaliser, packed, moments, last, moments_out, scale, time, heads,
        *q.stride()[:3], *k.stride()[:3], *v.stride()[:3],
        V=values, VALUES=block, C=CHUNK, HAS_STATE=before is not None, KEEP=keep, num_warps=WARPS, num_stages=STAGES,
    )  # fmt: skip
    return o, normaliser, unpack(last, moments_out, scale) if keep else last
