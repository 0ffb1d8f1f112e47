"""Activation functions evaluated on numbers that count what is done to them."""

from __future__ import annotations

import math

import pytest
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.operators import activation_cost, activation_operations, to_experts
from recallscope.architectures.specification import specification


class Counted:
    """A number that counts the operations on it and on what comes of it."""

    done = 0

    def __init__(self, value: float):
        self.value = value

    def _result(self, value: float) -> Counted:
        Counted.done += 1
        return Counted(value)

    def __add__(self, other) -> Counted:
        return self._result(self.value + getattr(other, "value", other))

    def __mul__(self, other) -> Counted:
        return self._result(self.value * getattr(other, "value", other))

    def __truediv__(self, other) -> Counted:
        return self._result(self.value / getattr(other, "value", other))

    def __neg__(self) -> Counted:
        return self._result(-self.value)

    def relu(self) -> Counted:
        return self._result(max(self.value, 0.0))

    def exp(self) -> Counted:
        return self._result(math.exp(self.value))


def poly_relu(x: Counted, order: int) -> Counted:
    x, y = x.relu(), Counted(1.0)
    for _ in range(order):
        y = y * x + 1.0
    return y


def poly_norm(row: list[Counted], order: int) -> list[Counted]:
    """With all coefficients 1."""
    powers = [row]
    for _ in range(order - 1):
        powers.append([p * x for p, x in zip(powers[-1], row, strict=True)])
    y = [Counted(1.0) for _ in row]
    for power in powers:
        total = Counted(0.0)
        for p in power:
            total = total + p * p
        scale = (total.value / len(row)) ** -0.5  # once per token
        y = [one + p * scale for one, p in zip(y, power, strict=True)]
    return y


@pytest.mark.parametrize("order", [1, 3, 4])
@pytest.mark.parametrize("kind", ["relu", "relu2", "silu", "poly_relu", "poly_norm"])
def test_operations_against_an_evaluation(kind, order):
    row = [Counted(v) for v in (0.5, -1.0, 2.0, 0.1, -0.3, 1.5)]
    Counted.done = 0
    if kind == "relu":
        [x.relu() for x in row]
    elif kind == "relu2":
        [u * u for u in (x.relu() for x in row)]
    elif kind == "silu":
        found = [x / ((-x).exp() + 1.0) for x in row]
        assert found[2].value == pytest.approx(2 / (1 + math.exp(-2)))
    elif kind == "poly_relu":
        assert poly_relu(row[2], order).value == sum(2.0**i for i in range(order + 1))
        Counted.done = 0
        [poly_relu(x, order) for x in row]
    else:
        poly_norm(row, order)
    assert Counted.done == len(row) * activation_cost(kind, order).operations


def test_operations_of_a_model():
    layers = ({"mixer": "attention", "heads": 2}, {"mixer": "retention", "heads": 2, "ffn_width": 16})
    base = specification(Architecture("test", ModelConfig(0, 32, layers, 48)))
    assert activation_operations(base, "poly_relu", 3) == 7 * (48 + 16)
    assert activation_operations(to_experts(base, 4, 2, hidden=10, shared=5), "relu2") == 2 * 2 * 25
    assert activation_cost("poly_norm", 3).saved == 3 and activation_cost("poly_norm", 3).reductions == 3


def test_bad_knobs():
    with pytest.raises(ValueError, match=r"kind: one of relu, relu2, .*got 'gelu'"):
        activation_cost("gelu")
    with pytest.raises(ValueError, match="order: at least 1"):
        activation_cost("poly_relu", 0)
