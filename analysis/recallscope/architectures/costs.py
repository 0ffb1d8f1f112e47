"""Costs as expressions: one architecture's in tokens and batch, one mixer's in its letters, and where two cross."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import sympy
import torch
from torch import nn

from recallscope.architectures.mixers import MIXERS

if TYPE_CHECKING:
    from recallscope.architectures.architecture import Architecture

T = sympy.Symbol("t", positive=True, integer=True)
B = sympy.Symbol("B", positive=True, integer=True)

_LETTERS = {
    "width": "D", "heads": "H", "kv_heads": "H_kv", "key_width": "K", "value_width": "V", "state_size": "N",
    "window": "W", "chunk": "C", "features": "F",
}  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """What an architecture keeps, computes and moves, in `t` tokens and `B` sequences; conventions: `Architecture`."""

    parameters: sympy.Expr
    state: sympy.Expr
    read: sympy.Expr
    write: sympy.Expr
    prefill_flops: sympy.Expr
    training_flops: sympy.Expr
    decode_flops: sympy.Expr
    prefill_bytes: sympy.Expr
    training_bytes: sympy.Expr
    decode_bytes: sympy.Expr


def cost(architecture: Architecture, weight_bits: int = 16, state_bits: int = 16) -> Cost:
    """The costs of an architecture as sympy expressions; per sequence where no batch is named."""
    bits = {"weight_bits": weight_bits, "state_bits": state_bits}
    values = (
        architecture.parameters(),
        architecture.state_elements(T),
        architecture.read_elements(T),
        architecture.write_elements(T),
        architecture.prefill_flops(T, B),
        architecture.training_flops(T, B),
        architecture.decode_flops(T, B),
        architecture.prefill_bytes(T, B, **bits),
        architecture.training_bytes(T, B, weight_bits),
        architecture.decode_bytes(T, B, **bits),
    )
    return Cost(*(sympy.expand(sympy.sympify(value)) for value in values))


def formula(mixer: str, quantity: str, fixed: tuple[str, ...] = (), **options: Any) -> sympy.Expr:
    """A closed form of a mixer in letters instead of numbers: `formula("attention", "state_elements")` is 2 H_kv K t.

    Parameters
    ----------
    mixer : str
        A name in `MIXERS`.
    quantity : str
        `parameters_count`, `state_elements`, `read_elements`, `write_elements`, `prefill_flops`, `training_flops` or
        `decode_flops`.
    fixed : tuple of str
        Integer attributes that keep their number.
    **options
        Switches that decide the form (`sinks=True`), and numbers that `fixed` keeps. Letters stand for integers
        whatever the numbers are; quantities that a mixer derives from others are letters of their own.
    """
    if mixer not in MIXERS:
        raise ValueError(f"mixer: one of {', '.join(MIXERS)}, got {mixer!r}")
    with torch.device("meta"):
        real = MIXERS[mixer](options.pop("width", 256), **options)
    form = getattr(_in_letters(real, frozenset(fixed)), quantity)
    arguments = {"parameters_count": (), "prefill_flops": (T, B), "training_flops": (T, B), "decode_flops": (T, B)}
    return sympy.expand(sympy.sympify(form(*arguments.get(quantity, (T,)))))


def _in_letters(real: nn.Module, fixed: frozenset[str], prefix: str = "") -> Any:
    """The module with a symbol in the place of every integer attribute, in the modules that it is made of too."""

    class InLetters(type(real)):  # type: ignore[misc]
        def __init__(self) -> None:
            pass

        def __getattr__(self, name: str) -> Any:
            value = getattr(real, name)
            if isinstance(value, nn.Module) and not type(value).__module__.startswith("torch"):
                return _in_letters(value, fixed, f"{prefix}{name}_")
            if type(value) is int and name not in fixed:
                return sympy.Symbol(prefix + _LETTERS.get(name, name), positive=True, integer=True)
            return int(value) if isinstance(value, bool) else value  # a switch counts as 0 or 1

    return InLetters()


def crossings(first: Any, second: Any, longest: int = 2**30) -> list[Any]:
    """Lengths in (0, `longest`] at which two costs in `t` are equal, in order, solved exactly.

    Costs with min and max are solved piece by piece. Those with logarithms or ceilings have no exact solution: the
    first whole lengths at which the order has changed are returned instead, found by bisection between powers of two.
    """
    difference = sympy.expand(sympy.sympify(first) - sympy.sympify(second))
    if difference.free_symbols - {T}:
        raise ValueError(f"first, second: expressions in t alone, got also {difference.free_symbols - {T}}")
    if difference.has(sympy.ceiling, sympy.floor, sympy.log):
        return _whole_crossings(difference, longest)
    edges = [sympy.Integer(0), *_breakpoints(difference, longest), sympy.Integer(longest)]
    found: set[Any] = set()
    for low, high in pairwise(edges):
        piece = _piece(difference, (low + high) / 2)
        found |= {root for root in _roots(piece) if low < root <= high}
    return sorted(found)


def _choices(expression: Any) -> list[Any]:
    return sorted(expression.atoms(sympy.Min, sympy.Max), key=sympy.count_ops)  # the innermost first


def _breakpoints(expression: Any, longest: int) -> list[Any]:
    """Where an argument of a min or max overtakes another."""
    points: set[Any] = set()
    for choice in _choices(expression):
        for a in choice.args:
            for b in choice.args:
                equal = sympy.expand(a - b)
                if not equal.has(sympy.Min, sympy.Max):
                    points |= {p for p in _roots(equal) if 0 < p < longest}
    return sorted(points)


def _roots(polynomial: Any) -> list[Any]:
    return sympy.real_roots(sympy.Poly(polynomial, T)) if polynomial.has(T) else []  # type: ignore[return-value]


def _piece(expression: Any, at: Any) -> Any:
    """The polynomial that the expression is around `at`."""
    for choice in _choices(expression):
        pick: Any = min if isinstance(choice, sympy.Min) else max
        chosen: Any = pick(choice.args, key=lambda one: float(one.subs(T, at)))
        expression = expression.subs(choice, chosen)
    return sympy.expand(expression)


def _whole_crossings(difference: Any, longest: int) -> list[Any]:
    value = sympy.lambdify(T, difference, "math")
    found, low = [], 1
    while low < longest:
        high = min(2 * low, longest)
        if (value(low) > 0) != (value(high) > 0):
            found.append(sympy.Integer(_bisect(value, low, high)))
        low = high
    return found


def _bisect(value: Any, low: int, high: int) -> int:
    sign = value(high) > 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if (value(middle) > 0) == sign else (middle, high)
    return high
