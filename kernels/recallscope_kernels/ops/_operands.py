"""Operands to try an operator on, and a decoding step that is ready to run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from recallscope_kernels.ops._checks import sum_dtype
from recallscope_kernels.ops._shape import Shape
from recallscope_kernels.ops._table import OPERATORS
from recallscope_kernels.ops.attention import attention_decode
from recallscope_kernels.ops.based import based_decode, feature_count
from recallscope_kernels.ops.jrt_prefix import prefix_length
from recallscope_kernels.ops.matrix_state import matrix_decode


def operands(
    name: str, shape: Shape, dtype: torch.dtype = torch.float32, device: str = "cpu", seed: int = 0
) -> list[Tensor]:
    """q, k, v and what else an operator takes: standard normal, keys of length 1 and β in (0, 1) for the delta rules.

    ln α is from -0.1 to 0; a prefix has half the tokens.
    """
    generator, extra = torch.Generator(device).manual_seed(seed), OPERATORS[name].extra
    here = {"generator": generator, "device": device}
    gate, prefix = (shape.B, shape.T, shape.H), (shape.B, prefix_length(shape.T), shape.H)
    made = [torch.randn(*gate, n, **here) for n in (shape.K, shape.K, shape.V)]
    if "beta" in extra:
        made[1] = normalize(made[1], dim=-1)
        made.append(torch.rand(gate, **here))
    if "log_decay" in extra:
        made.append(-0.1 * torch.rand(gate, **here))
    if "prefix" in extra:
        made += [torch.randn(*prefix, n, **here) for n in (shape.K, shape.V)]
    return [u.to(dtype) for u in made]


def decoding(
    name: str, shape: Shape, dtype: torch.dtype = torch.float32, device: str = "cpu", implementation: str | None = None
) -> Callable[[], Tensor]:
    """One decoding step after T tokens of context, as a call without arguments: states are there, and kept in place."""
    steps, extra = OPERATORS[name].steps, OPERATORS[name].extra
    if implementation not in (None, *steps):
        raise ValueError(f"operator: decoding of {name} has {', '.join(steps)}, got {implementation!r}")
    q, k, v, *rest = operands(name, replace(shape, T=1), dtype, device)
    if name == "attention":
        past = replace(shape, T=shape.T + 1)
        _, keys, values = operands(name, past, dtype, device, seed=1)
        return lambda: attention_decode(q, k, v, keys, values, shape.T, implementation=implementation)
    chosen = {"chunked": "torch"}.get(implementation or "", implementation)
    taylor = name in ("based", "jrt_prefix")
    size = (feature_count(shape.K), shape.V + 1) if taylor else (shape.K, shape.V)
    state = torch.ones(shape.B, shape.H, *size, dtype=sum_dtype(q), device=device)
    if taylor:
        return lambda: based_decode(q, k, v, state, implementation=chosen)
    gates = dict(zip(extra, rest, strict=True))
    return lambda: matrix_decode(q, k, v, gates.get("beta"), gates.get("log_decay"), state, None, chosen)
