"""The selective scan of Mamba: the operator, and its closed form."""

from __future__ import annotations

from typing import Any

from recallscope_kernels.ops.selective_scan import chunked_selective_scan as selective_scan
from recallscope_kernels.ops.selective_scan import scan_chunk_flops

from recallscope.architectures.mixers._counts import ceil_div

__all__ = ["selective_scan", "selective_scan_flops"]


def selective_scan_flops(t: Any, chunk: int, training: bool = False) -> Any:
    """FLOPs for each element of the state: scan and read; in training, scan again, back, and read in three products."""
    scans, products = (3, 4) if training else (1, 1)
    return ceil_div(t, chunk) * (scans * scan_chunk_flops(chunk) + products * 2 * chunk)
