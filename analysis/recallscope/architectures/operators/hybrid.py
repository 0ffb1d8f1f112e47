"""Two kinds of layers in one model: where the few with full attention are, and the length at which they dominate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import sympy

from recallscope.architectures.cache_rule import CacheRule
from recallscope.architectures.costs import T, crossings
from recallscope.architectures.feed_forward import FFN_OPTIONS
from recallscope.architectures.operators._choice import call
from recallscope.architectures.operators._layers import mixers
from recallscope.architectures.operators._shape import chosen_layers, reshaped, with_layers
from recallscope.architectures.specification import Specification

PLACES = ("first", "last", "spread")


def positions(layers: int, count: int, where: str = "spread") -> list[int]:
    """The layers, from 0, in which `count` of L lie: `first`, `last`, or `spread`, each as the last of an equal share.

    Spread, layer ⌊(i + 1) L / n⌋ − 1 for i < n: every fourth of 48 is 3, 7, ..., 47.
    """
    if not 0 <= count <= layers:
        raise ValueError(f"count: between 0 and {layers} layers, got {count}")
    if where not in PLACES:
        raise ValueError(f"where: one of {', '.join(PLACES)}, or layers, got {where!r}")
    if where == "spread":
        return [(i + 1) * layers // count - 1 for i in range(count)]
    return list(range(count)) if where == "first" else list(range(layers - count, layers))


def hybrid(
    specification: Specification,
    count: int,
    full: Mapping[str, Any] | None = None,
    other: Mapping[str, Any] | None = None,
    where: str | Sequence[int] = "spread",
) -> Specification:
    """n layers of one kind and L − n of another: E(t) = n · 2 H_kv K t + (L − n) E_other, if the one is attention.

    With r = n / L, what a step reads tends to r of what the attention model reads as t grows (Lieber et al. 2024 have
    r = 1/8, Yang et al. 2025 1/4). If a full layer can bind a key to what follows it, the state of the others no longer
    bounds recall. Feed-forward layers stay as they are. Left out: heads of both kinds in one layer.

    Parameters
    ----------
    count : int
        n, of `full`.
    full, other : mapping or None
        Layers as in `ModelConfig`, `{"mixer": ..., ...}` without options of the feed-forward layer; None: those places
        keep the layer that they have.
    where : str or sequence of int
        `first`, `last`, `spread`, or the n layers themselves, from 0.
    """
    config = specification.architecture.config
    total = len(config.layers)
    chosen = set(positions(total, count, where)) if isinstance(where, str) else _given(specification, count, where)
    new = {}
    for i, layer in enumerate(config.layers):
        kind = full if i in chosen else other
        if kind is not None:
            if set(kind) & set(FFN_OPTIONS):
                raise ValueError(f"full, other: a mixer and its options, got {dict(kind)}")
            new[i] = dict(kind) | {name: layer[name] for name in FFN_OPTIONS if name in layer}
    label = call("hybrid", count=count, full=_plain(full), other=_plain(other), where=where)
    return reshaped(specification, label, with_layers(config, new))


def _given(specification: Specification, count: int, where: Sequence[int]) -> set[int]:
    chosen = chosen_layers(specification.architecture.config, where) if where else set()
    if len(chosen) != count:
        raise ValueError(f"where: {count} layers, got {list(where)}")
    return chosen


def _plain(kind: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if kind is None else dict(kind)


def crossover_length(specification: Specification) -> float:
    """Length t× from which the layers whose state grows keep more than all others: (1 − r) E_other / (r 2 H_kv K).

    A state grows if it is larger after 2³⁰ tokens than after 2²⁹. Infinite if none grows, 0 if each does.
    """
    layers = mixers(specification.architecture.config)
    rules = specification.caches or [CacheRule()] * len(layers)
    growing, fixed = sympy.Integer(0), sympy.Integer(0)
    for mixer, rule in zip(layers, rules, strict=True):
        state = sympy.sympify(rule.state_elements(mixer, T))
        if state.subs(T, 2**30) > state.subs(T, 2**29):
            growing += state
        else:
            fixed += state
    if not growing:
        return math.inf
    return float(max([sympy.Integer(0), *crossings(growing, fixed)]))
