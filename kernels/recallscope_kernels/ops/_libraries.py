"""Libraries that may be installed: found when asked for, and missed in one line."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from torch import Tensor


def fla(operator: str, name: str, q: Tensor) -> Callable[..., Any]:
    """A function of flash-linear-attention's `fla.ops`."""
    if find_spec("fla") is None:
        raise ValueError("implementation: flash-linear-attention is not installed (pip install flash-linear-attention)")
    if not q.is_cuda:
        raise ValueError(f"implementation: flash-linear-attention runs on a GPU, got tensors on {q.device}")
    return getattr(import_module(f"fla.ops.{operator}"), name)
