"""Whether Triton can run here, and what no kernel takes."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor


@cache
def installed() -> bool:
    return find_spec("triton") is not None


@cache
def interpreted() -> bool:
    """Whether Triton was imported under TRITON_INTERPRET=1, which runs kernels on the CPU, slowly."""
    from recallscope_kernels.ops.matrix_state.kernel import matrix_decode_kernel

    return type(matrix_decode_kernel).__name__ == "InterpretedFunction"


def refusal(q: Tensor, shape: str | None) -> str | None:
    """Why no kernel can run on these operands, in one line; else what is wrong with their `shape`, or None."""
    if not installed():
        return "triton is not installed (pip install 'recallscope[triton]')"
    if q.dtype == torch.float64:
        return "triton takes float16, bfloat16 or float32, got torch.float64"
    if shape is None and not q.is_cuda and not interpreted():
        return f"triton takes tensors on a GPU (or runs under TRITON_INTERPRET=1), got {q.device}"
    if shape is None and not q.is_cuda and q.dtype == torch.bfloat16:
        return "triton's interpreter has no bfloat16; use float32 or float16, got torch.bfloat16"
    return shape
