"""What routing to experts reads, sends, pads and drops, and what it costs while the number of experts changes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from recallscope.architectures.operators._schedule import average
from recallscope.architectures.operators._shape import ffn_width
from recallscope.architectures.specification import Specification

_EXPERTS = "ffn.experts."


def expected_experts(experts: int, active: int, tokens: float) -> float:
    """Experts that a pass over so many tokens touches, all being as likely: E (1 − (1 − k / E)^n)."""
    check_active(experts, active)
    return experts * (1 - (1 - active / experts) ** tokens)


def expert_capacity(experts: int, active: int, tokens: int, factor: float) -> int:
    """Places in the buffer of one expert: ⌈c n k / E⌉ for a capacity factor c (Fedus et al. 2022)."""
    check_active(experts, active)
    return _places(factor * tokens * active / experts)


def dropped_share(experts: int, active: int, tokens: int, factor: float) -> float:
    """Share of the choices that find their expert full: `E[(X − C)⁺] / (n k / E)`, X binomial (n, k / E).

    For even and independent routing; a real router is uneven and drops more.
    """
    places, p = expert_capacity(experts, active, tokens, factor), active / experts
    if active == experts:
        return max(0, tokens - places) / tokens
    odds = ((x, _log_binomial(tokens, x, p)) for x in range(places, tokens + 1))
    return math.fsum(math.exp(log) * (x - places) for x, log in odds) / (tokens * p)


def padding_flops(specification: Specification, tokens: int, factor: float) -> float:
    """FLOPs that a forward pass adds by computing every place of every expert's buffer, filled or not.

    Negative where the buffers hold fewer than the tokens choose, which then are dropped. Three times that in training.
    """
    _mixtures(specification)
    routed = [w for w in specification.weights if w.name.startswith(_EXPERTS)]
    return sum(w.count * w.passes * w.flops * (_places(factor * tokens * w.used) - tokens * w.used) for w in routed)


def all_to_all_bytes(specification: Specification, tokens: int, bits: float = 16, devices: int | None = None) -> float:
    """Bytes sent when experts are spread over devices: 2 k D b / 8 per token and layer, there and back.

    Parameters
    ----------
    tokens : int
        Tokens of the pass.
    bits : float
        Bits of an activation.
    devices : int or None
        G: a share 1 / G of the choices stays at home; None: none does. Two choices on one device are sent twice.
    """
    chosen = sum(layer.get("active_experts", 1) for layer in _mixtures(specification))
    width = specification.architecture.config.width
    return tokens * 2 * chosen * width * bits / 8 * (1 - (1 / devices if devices else 0))


def scheduled_training_flops(
    specification: Specification, schedule: Sequence[tuple[float, float]], t: int, batch: int = 1
) -> float:
    """Training FLOPs per step, averaged over a training in which the number of experts used changes: ∫ k(s) ds.

    Nie et al. 2021 (EvoMoE): a gate that starts dense and sharpens, so k falls from E to one or two.

    Parameters
    ----------
    specification : Specification
        The model as it ends; all its mixtures follow the schedule.
    schedule : sequence of (float, float)
        Share of the training tokens seen and experts used then, linear in between; a jump is the same share twice.
    t, batch : int
        Tokens per sequence and sequences of a step.
    """
    counts = {layer["experts"] for layer in _mixtures(specification)}
    most = counts.pop()
    if counts or not all(0 <= active <= most for _, active in schedule):
        raise ValueError(f"schedule: from 0 to {most} experts, as many in each layer, got {list(schedule)}")
    share = average(schedule) / most
    routed = [w for w in specification.weights if w.name.startswith(_EXPERTS)]
    added = sum(w.count * w.passes * w.flops * (share - w.used) for w in routed)
    return specification.training_flops(t, batch) + 3 * batch * t * added


def _log_binomial(n: int, x: int, p: float) -> float:
    chosen = math.lgamma(n + 1) - math.lgamma(x + 1) - math.lgamma(n - x + 1)
    return chosen + x * math.log(p) + (n - x) * math.log1p(-p)


def _places(expected: float) -> int:
    """Rounded up, but not for what is a whole number before rounding errors."""
    return math.ceil(expected - 1e-9)


def _mixtures(specification: Specification) -> list[dict[str, Any]]:
    config = specification.architecture.config
    found = [layer for layer in config.layers if "experts" in layer and ffn_width(config, layer)]
    if not found:
        raise ValueError("specification: some layer with experts, got none")
    return found


def check_active(experts: int, active: int) -> None:
    if not 1 <= active <= experts:
        raise ValueError(f"active: between 1 and experts = {experts}, got {active}")
