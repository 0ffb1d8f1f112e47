"""Starting the decoding kernel of matrix states: what fits it, and with which tiles."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recallscope_kernels.ops import _triton

WARPS = 4
TILE = 2048  # elements of a state in the registers of one program: 16 of a thread's
WIDEST = 1024  # keys; their number is a row of the tile


def refusal(q: Tensor, v: Tensor) -> str | None:
    """Why the kernel cannot take these operands, in one line, or None."""
    width, columns = q.shape[-1], tiles(q.shape[-1], v.shape[-1])["COLUMNS"]
    shape = None
    if width > WIDEST:
        shape = f"triton decodes K of at most {WIDEST}, got {width}"
    elif -(-v.shape[-1] // columns) > 65535:
        shape = f"triton decodes V of at most {65535 * columns} at K = {width}, got {v.shape[-1]}"
    return _triton.refusal(q, shape)


def tiles(key_width: int, value_width: int) -> dict[str, int]:
    """Rows and columns of the state that one program holds: all K rounded up to a power of two, and some of V."""
    rows = 1 << (key_width - 1).bit_length()
    return {"ROWS": rows, "COLUMNS": min(max(TILE // rows, 8), 1 << (value_width - 1).bit_length())}


def matrix_decode_triton(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor | None, log_decay: Tensor | None, state: Tensor, scale: float
) -> Tensor:
    """Outputs `[B, 1, H, V]`; the contiguous `state` is updated in place. Operands with any strides are read as is."""
    from recallscope_kernels.ops.matrix_state.kernel import matrix_decode_kernel

    (batch, _, heads, width), values = q.shape, v.shape[-1]
    q, k, v = (u if u.stride(-1) == 1 else u.contiguous() for u in (q, k, v))
    o = torch.empty(batch, 1, heads, values, dtype=v.dtype, device=v.device)
    gates = [q if gate is None else gate for gate in (beta, log_decay)]  # not read where there is none
    strides = [u.stride(n) for u in (q, k, v, *gates) for n in (0, 2)]
    size = tiles(width, values)
    kernel: Any = matrix_decode_kernel
    kernel[(batch * heads, -(-values // size["COLUMNS"]))](
        q, k, v, *gates, o, state, scale, heads, *strides,
        K=width, V=values, **size, DELTA=beta is not None, DECAY=log_decay is not None, num_warps=WARPS,
    )  # fmt: skip
    return o
