"""All operators by name: how each is called, what it costs, and operands to try it on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from recallscope_kernels.ops._checks import sum_dtype
from recallscope_kernels.ops._shape import Cost, Shape
from recallscope_kernels.ops.attention import attention, attention_cost, attention_decode, attention_reference
from recallscope_kernels.ops.attention.op import BACKENDS
from recallscope_kernels.ops.based import based, based_cost, based_decode, based_reference, feature_count
from recallscope_kernels.ops.based.op import IMPLEMENTATIONS as BASED
from recallscope_kernels.ops.delta_rule import (
    delta_rule,
    delta_rule_cost,
    delta_rule_decode,
    delta_rule_reference,
    gated_delta_rule,
    gated_delta_rule_cost,
)
from recallscope_kernels.ops.linear_attention import (
    linear_attention,
    linear_attention_cost,
    linear_attention_decode,
    linear_attention_reference,
)


@dataclass(frozen=True)
class Operator:
    """One operator: functions of one signature family, the names of its implementations, and its usual key width K."""

    run: Callable[..., tuple[Tensor, Any]]
    reference: Callable[..., tuple[Tensor, Any]]
    cost: Callable[..., Cost]
    implementations: tuple[str, ...]
    key_width: int
    gates: int = 0  # β and ln α, a number a token and head


OPERATORS = {
    "based": Operator(based, based_reference, based_cost, BASED, 16),
    "attention": Operator(attention, attention_reference, attention_cost, tuple(BACKENDS), 64),
    "linear_attention": Operator(
        linear_attention, linear_attention_reference, linear_attention_cost, ("chunked", "fla"), 64
    ),
    "delta_rule": Operator(delta_rule, delta_rule_reference, delta_rule_cost, ("chunked", "fla"), 64, 1),
    "gated_delta_rule": Operator(
        gated_delta_rule, delta_rule_reference, gated_delta_rule_cost, ("chunked", "fla"), 64, 2
    ),
}


def operator_by_name(name: str) -> tuple[str, str | None]:
    """`based` or `based:triton` to the operator's name and that of an implementation, None if none is named."""
    operator, _, implementation = name.partition(":")
    if operator not in OPERATORS:
        raise ValueError(f"operator: one of {', '.join(OPERATORS)}, got {operator!r}")
    known = OPERATORS[operator].implementations
    if implementation and implementation not in known:
        raise ValueError(f"operator: {operator} has {', '.join(known)}, got {implementation!r}")
    return operator, implementation or None


def operands(
    name: str, shape: Shape, dtype: torch.dtype = torch.float32, device: str = "cpu", seed: int = 0
) -> list[Tensor]:
    """q, k, v and the gates of an operator: standard normal, keys of length 1 and β in (0, 1) for the delta rules."""
    generator = torch.Generator().manual_seed(seed)
    gates = OPERATORS[name].gates
    made = [torch.randn(shape.B, shape.T, shape.H, n, generator=generator) for n in (shape.K, shape.K, shape.V)]
    if gates:
        made[1] = normalize(made[1], dim=-1)
        made.append(torch.rand(shape.B, shape.T, shape.H, generator=generator))
    if gates > 1:
        made.append(-0.1 * torch.rand(shape.B, shape.T, shape.H, generator=generator))
    return [u.to(device, dtype) for u in made]


def decoding(
    name: str, shape: Shape, dtype: torch.dtype = torch.float32, device: str = "cpu", implementation: str | None = None
) -> Callable[[], Tensor]:
    """One decoding step after T tokens of context, as a call without arguments: states are there, and kept in place."""
    if implementation not in (None, "chunked", *BACKENDS, *(("triton",) if name == "based" else ())):
        raise ValueError(f"operator: decoding of {name} runs in torch, got {implementation!r}")
    q, k, v, *gates = operands(name, replace(shape, T=1), dtype, device)
    if name == "attention":
        past = replace(shape, T=shape.T + 1)
        _, keys, values = operands(name, past, dtype, device, seed=1)
        return lambda: attention_decode(q, k, v, keys, values, shape.T, implementation=implementation)
    size = (feature_count(shape.K), shape.V + 1) if name == "based" else (shape.K, shape.V)
    state = torch.ones(shape.B, shape.H, *size, dtype=sum_dtype(q), device=device)
    if name == "based":
        chosen = {"chunked": "torch"}.get(implementation or "", implementation)
        return lambda: based_decode(q, k, v, state, implementation=chosen)
    if name == "linear_attention":
        return lambda: linear_attention_decode(q, k, v, state)
    beta, log_decay = gates[0], gates[1] if len(gates) > 1 else None
    return lambda: delta_rule_decode(q, k, v, beta, log_decay, state)
