"""One call of an operator: what it is called with, what it should cost, and whether it can fit at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from recallscope_kernels.ops import OPERATORS, Cost, Shape, check_mode, decoding, operands, operator_by_name
from recallscope_kernels.profiling.device import device_facts

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
LIMIT = 2**31  # elements of a tensor: kernels of libraries address them by 32 bits


@dataclass(frozen=True)
class Setting:
    """What is run: `operator` or `operator:implementation`, a shape, `fwd`, `bwd` or `decode`, a dtype, a device."""

    subject: str
    shape: Shape
    mode: str = "fwd"
    dtype: str = "float32"
    device: str = "cpu"

    def __post_init__(self):
        operator_by_name(self.subject)
        check_mode(self.mode)
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype: one of {', '.join(DTYPES)}, got {self.dtype!r}")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def of_json(found: Mapping[str, Any]) -> Setting:
        return Setting(**{**found, "shape": Shape(**found["shape"])})


def settings_of(
    subjects: Iterable[str], shape: Shape, key_width: int | None, mode: str, dtype: str, device: str
) -> list[Setting]:
    """Each subject once, at `shape` with K as `key_width`, or if None as wide as its keys usually are."""
    widths = {s: key_width or OPERATORS[operator_by_name(s)[0]].key_width for s in subjects}
    return [Setting(s, replace(shape, K=width), mode, dtype, device) for s, width in widths.items()]


def call_of(setting: Setting) -> Callable[[], Any]:
    """The operator on operands of its own, as a call without arguments; `bwd` is the backward pass alone.

    A `ValueError` names what cannot run here. Operands are those of `operands`, the gradient of the outputs is 1.
    """
    check_size(setting)
    name, implementation = operator_by_name(setting.subject)
    dtype = DTYPES[setting.dtype]
    if setting.mode == "decode":
        return decoding(name, setting.shape, dtype, setting.device, implementation)
    run, given = OPERATORS[name].run, operands(name, setting.shape, dtype, setting.device)
    if setting.mode == "fwd":
        return lambda: run(*given, implementation=implementation)
    given = [u.requires_grad_() for u in given]
    o, _ = run(*given, implementation=implementation)
    grad = torch.ones_like(o)
    return lambda: torch.autograd.grad(o, given, grad, retain_graph=True)


def cost_of(setting: Setting) -> Cost:
    """The cost in closed form of the implementation that is named, else of the one that runs by default."""
    name, implementation = operator_by_name(setting.subject)
    operator, dtype = OPERATORS[name], DTYPES[setting.dtype]
    if implementation is None:
        on_gpu = setting.device != "cpu" and dtype != torch.float64 and setting.shape.K == operator.key_width
        implementation = "triton" if on_gpu and "triton" in operator.implementations else operator.implementations[0]
        if setting.device != "cpu" and "flex" in operator.implementations:
            implementation = "flex"
    state = 8 if dtype == torch.float64 else 4
    return operator.cost(setting.shape, setting.mode, implementation, dtype.itemsize, state)


def check_size(setting: Setting) -> None:
    """Refuse, before anything is allocated, tensors beyond 32-bit addressing, and operands beyond the memory."""
    shape = setting.shape
    elements = shape.B * shape.T * shape.H * max(shape.K, shape.V)
    if setting.mode != "decode" and elements >= LIMIT:
        raise ValueError(f"shape: fewer than 2**31 elements a tensor, got {elements:,} ({shape})")
    least = cost_of(setting).fused_bytes // (2 if setting.mode == "decode" else 1)  # a state is read and written
    memory = device_facts(setting.device).memory_bytes
    if least > memory:
        raise ValueError(
            f"shape: operands of at most {memory / 1e9:,.0f} GB, the memory of {setting.device},"
            f" got {least / 1e9:,.0f} GB for {setting.subject} ({shape})"
        )
