"""What the Triton kernels take, with which tiles, and starting the one that decodes."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from recallscope_kernels.ops import _triton

CHUNK = 64
# Two programs of 4 warps fit a multiprocessor, and each works while the other one waits.
LAUNCH = {"C": CHUNK, "num_warps": 4, "num_stages": 2}
LIMIT = 2**31


def values_per_program(value_width: int) -> int:
    """Columns of V that one program holds: 64 of them are 80 registers a thread of state with 4 warps."""
    return min(value_width, 64)


def unit_of(scale: float) -> float:
    """The power of two that is not above: a weight that no dtype rounds."""
    return 2.0 ** (math.frexp(scale)[1] - 1)


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
        q, k, v, o, state, scale**0.5, FEATURES=state.shape[-2], K=width, V=values, **decode_tiles(width, values),
    )  # fmt: skip
    return o


def decode_tiles(key_width: int, value_width: int) -> dict[str, int]:
    """Rows and columns of the state that are in registers at once: all V, rounded up to a power of two."""
    rows, columns = (1 << (width - 1).bit_length() for width in (key_width, value_width))
    return {"ROWS": min(rows, 16), "COLUMNS": columns, "num_warps": min(max(columns // 64, 1), 4)}
