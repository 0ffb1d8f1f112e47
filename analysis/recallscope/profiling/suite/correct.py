"""Is an operator right, before it is timed: outputs or gradients against float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from recallscope_kernels.ops import OPERATORS, decoding, operands, operator_by_name
from recallscope_kernels.profiling import DTYPES, Setting
from torch import Tensor

# Of the norm, against float64 on the same operands; half precision rounds queries, features and outputs.
LARGEST_ERROR = {"float64": 1e-12, "float32": 3e-6, "float16": 1e-3, "bfloat16": 4e-3}
# A gradient passes through twice as many roundings; a decoding step in half precision has operands that are rounded as
# well, against float64 of those that are not.
LARGEST_GRADIENT_ERROR = LARGEST_ERROR | {"float16": 3e-3, "bfloat16": 2e-2}
LARGEST_STEP_ERROR = LARGEST_ERROR | {"float16": 3e-3, "bfloat16": 2e-2}
SEEN = 4096  # tokens on which outputs are compared where only a quadratic form, or a serial one, is at hand


def largest_error(setting: Setting) -> float:
    """What the error may be at most for the operator to be timed."""
    limits = {"fwd": LARGEST_ERROR, "bwd": LARGEST_GRADIENT_ERROR, "decode": LARGEST_STEP_ERROR}
    return limits[setting.mode][setting.dtype]


def relative_error(setting: Setting) -> float:
    """‖got - float64‖ / ‖float64‖, of the outputs (`fwd`, `decode`), or the largest of all gradients (`bwd`).

    On one sequence of a call at the full shape, against the chunked form in float64 (which tests hold to the
    reference); where an operator has none, against `math` or its reference, on two heads, and forward on the first
    4,096 tokens. Decoding on two sequences and heads, and operators with operands that are not `[B, ., H, ...]` on one
    sequence, two heads and 1,024 tokens of their own. NaN where something is NaN.
    """
    return _step_error(setting) if setting.mode == "decode" else _whole_error(setting)


def _whole_error(setting: Setting) -> float:
    name, implementation = operator_by_name(setting.subject)
    shape, backward = setting.shape, setting.mode == "bwd"
    known = next((n for n in ("chunked", "math") if n in OPERATORS[name].implementations), None)
    given = operands(name, shape, DTYPES[setting.dtype], setting.device)
    if any(u.dim() < 3 or u.shape[0] != shape.B or u.shape[2] != shape.H for u in given):  # cannot be cut out
        own = replace(shape, B=1, T=min(shape.T, SEEN // 4), H=min(shape.H, 2))
        given = operands(name, own, DTYPES[setting.dtype], setting.device)
        exact = [u.double() for u in given]
    else:
        # All heads where that is cheap: a decay may depend on the number of heads.
        heads = shape.H if known == "chunked" else 2
        seen = shape.T if known == "chunked" or backward else SEEN
        exact = [u[:1, :seen, :heads].double() for u in given]
    got = _results(_run(name, implementation), given, backward)
    want = _results(_run(name, known) if known else OPERATORS[name].reference, exact, backward)
    errors = [_error(g[: w.shape[0], : w.shape[1], : w.shape[2]], w) for g, w in zip(got, want, strict=True)]
    return torch.tensor(errors, dtype=torch.float64).max().item()  # Python's max would hide a NaN


def _run(name: str, implementation: str | None) -> Callable[..., Any]:
    return partial(OPERATORS[name].run, implementation=implementation)


def _results(run: Callable[..., Any], given: list[Tensor], backward: bool) -> list[Tensor]:
    """The output, or the gradients of its sum."""
    if not backward:
        return [run(*given)[0]]
    given = [u.requires_grad_() for u in given]
    o = run(*given)[0]
    return list(torch.autograd.grad(o, given, torch.ones_like(o)))


def _step_error(setting: Setting) -> float:
    name, implementation = operator_by_name(setting.subject)
    shape = replace(setting.shape, B=min(setting.shape.B, 2), H=min(setting.shape.H, 2))
    known = next(n for n in ("chunked", "math", *OPERATORS[name].steps) if n in OPERATORS[name].steps)
    got = decoding(name, shape, DTYPES[setting.dtype], setting.device, implementation)()
    return _error(got, decoding(name, shape, torch.float64, setting.device, known)())


def _error(got: Tensor, want: Tensor) -> float:
    got = got.double()
    norm = want.norm()
    return (((got - want).norm() / norm) if norm > 0 else got.norm()).item()
