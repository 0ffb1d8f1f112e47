"""Libraries that may be installed: found when asked for, and missed in one line."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from torch import Tensor


def fla(operator: str, name: str, q: Tensor) -> Callable[..., Any]:
    """A function of flash-linear-attention's `fla.ops`."""
    return _found("flash-linear-attention", "fla", f"fla.ops.{operator}", name, q)


def flash_attention_2(q: Tensor) -> Callable[..., Any]:
    """FlashAttention-2's `flash_attn_func`."""
    return _found("flash-attn", "flash_attn", "flash_attn", "flash_attn_func", q)


def flash_attention_3(q: Tensor) -> Callable[..., Any]:
    """FlashAttention-3's `flash_attn_func`, for Hopper, which is not on a package index."""
    how = "build flash-attention's folder hopper"
    return _found("flash-attn-3", "flash_attn_interface", "flash_attn_interface", "flash_attn_func", q, how)


def mamba_ssd(q: Tensor) -> Callable[..., Any]:
    """Mamba-2's state space duality in mamba-ssm."""
    return _found("mamba-ssm", "mamba_ssm", "mamba_ssm.ops.triton.ssd_combined", "mamba_chunk_scan_combined", q)


def on_gpu(q: Tensor) -> bool:
    """Whether the libraries' kernels can run on this tensor."""
    return q.is_cuda


def mamba_scan(q: Tensor) -> Callable[..., Any]:
    """Mamba's selective scan in mamba-ssm."""
    return _found("mamba-ssm", "mamba_ssm", "mamba_ssm.ops.selective_scan_interface", "selective_scan_fn", q)


def _found(library: str, root: str, module: str, name: str, q: Tensor, how: str | None = None) -> Callable[..., Any]:
    if find_spec(root) is None:
        raise ValueError(f"implementation: {library} is not installed ({how or f'pip install {library}'})")
    if not on_gpu(q):
        raise ValueError(f"implementation: {library} runs on a GPU, got tensors on {q.device}")
    return getattr(import_module(module), name)
