"""Operators that change the shape: a new architecture, with what was done to bits and state carried over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.specification import Specification, Weights
from recallscope.architectures.specification import specification as untouched


def reshaped(before: Specification, applied: str, config: ModelConfig) -> Specification:
    """The specification of another shape; the same object if the shape is the same.

    Bits per value are carried over by name (a new `ffn.experts.up` has those of `ffn.up`; what is new altogether, such
    as a router, has 16), with the share of scales that they had. Factors, masks and shared layers are not carried:
    they belong to matrices that are gone, so shape comes first.
    """
    if config == before.architecture.config:
        return before
    if tuple(replace(w, bits=16.0) for w in before.weights) != untouched(before.architecture).weights or before.caches:
        done = ", ".join(before.applied)
        raise ValueError(f"{applied}: comes before operators on weights and caches, got a model after {done}")
    bits = {w.name: w.bits for w in before.weights}
    after = untouched(Architecture(before.architecture.name, config, before.architecture.source))
    weights = tuple(replace(w, bits=_bits(w, bits)) for w in after.weights)
    return replace(
        before,
        architecture=after.architecture,
        weights=weights,
        other_parameters=after.other_parameters,
        applied=(*before.applied, applied),
        quality=(),
    )


def _bits(w: Weights, known: dict[str, float]) -> float:
    place, last = w.name.split(".")[0], w.name.split(".")[-1]
    alike = [bits for name, bits in known.items() if name.split(".")[0] == place and name.split(".")[-1] == last]
    return known.get(w.name, alike[0] if alike else 16.0)


def chosen_layers(config: ModelConfig, layers: Sequence[int] | None) -> set[int]:
    """Indices of layers, from 0; None: all."""
    indices = set(range(len(config.layers))) if layers is None else set(layers)
    wrong = sorted(i for i in indices if not 0 <= i < len(config.layers))
    if wrong or not indices:
        raise ValueError(f"layers: some of 0 to {len(config.layers) - 1}, got {wrong or 'none'}")
    return indices


def with_layers(config: ModelConfig, new: dict[int, dict[str, Any]]) -> ModelConfig:
    """Some layers replaced."""
    return replace(config, layers=tuple(new.get(i, layer) for i, layer in enumerate(config.layers)))


def ffn_width(config: ModelConfig, layer: dict[str, Any]) -> int:
    """Hidden width of a layer's FFN, or of one of its experts; 0: none."""
    return layer.get("ffn_width", config.ffn_width)
