"""What activation functions cost: operations that the products' convention leaves out, and what they keep."""

from __future__ import annotations

from dataclasses import dataclass

from recallscope.architectures.operators._shape import ffn_width
from recallscope.architectures.specification import Specification


@dataclass(frozen=True)
class ActivationCost:
    """Per hidden unit and token.

    Attributes
    ----------
    operations : int
        Additions, products, comparisons, divisions and exponentials, each one; twice that for a multiply-add.
    reductions : int
        Sums over the hidden units that have to end before the activation can (their additions are in `operations`).
    saved : int
        Values kept for the backward pass if nothing is computed again.
    """

    operations: int
    reductions: int
    saved: int


def activation_cost(kind: str, order: int = 3) -> ActivationCost:
    """Elementwise cost of an activation function.

    `relu`: max(x, 0). `relu2`: max(x, 0)² (So et al. 2021). `silu`: x / (1 + e^{−x}). `poly_relu`: Σ_{i ≤ r} a_i
    max(x, 0)^i by Horner's rule, 2 r + 1 operations. `poly_norm`: a_0 + Σ_{1 ≤ i ≤ r} a_i x^i / rms(x^i), r − 1 for
    the powers, 2 r for the sums of squares, 2 r to scale and add, in all 5 r − 1 (both Zhuo et al. 2024). Left out:
    what occurs once per token, such as the root and a_i / rms.

    Parameters
    ----------
    kind : str
        One of those above.
    order : int
        r, of the polynomials; they save x and its powers, r values.
    """
    if order < 1:
        raise ValueError(f"order: at least 1, got {order}")
    costs = {
        "relu": ActivationCost(1, 0, 1),
        "relu2": ActivationCost(2, 0, 1),
        "silu": ActivationCost(4, 0, 1),
        "poly_relu": ActivationCost(2 * order + 1, 0, order),
        "poly_norm": ActivationCost(5 * order - 1, order, order),
    }
    if kind not in costs:
        raise ValueError(f"kind: one of {', '.join(costs)}, got {kind!r}")
    return costs[kind]


def activation_operations(specification: Specification, kind: str, order: int = 3) -> int:
    """Operations of one token in all feed-forward layers: the cost of a unit times the units that the token uses."""
    config = specification.architecture.config
    units = sum(
        ffn_width(config, layer) * layer.get("active_experts", 1)
        + (layer.get("shared_width", 0) if "experts" in layer else 0)
        for layer in config.layers
    )
    return units * activation_cost(kind, order).operations
