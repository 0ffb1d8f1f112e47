"""Fewer tokens in deeper layers, of a prompt or in training; fewer keys for a query, in training alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from recallscope.architectures.architecture import Architecture


def _single_layers(architecture: Architecture) -> list[Architecture]:
    """Each layer alone, without embedding and head; equal ones are one object."""
    config, known = architecture.config, {}
    if config.loops > 1:
        raise ValueError(f"architecture: layers that run once, got {config.loops} loops")
    for layer in config.layers:
        alone = replace(config, layers=(layer,), vocabulary=0)
        known.setdefault(repr(layer), Architecture(architecture.name, alone))
    return [known[repr(layer)] for layer in config.layers]


def _checked(architecture: Architecture, lengths: Sequence[int]) -> list[Architecture]:
    layers = _single_layers(architecture)
    falling = all(a >= b for a, b in pairwise(lengths))
    if len(lengths) != len(layers) or not falling or min(lengths, default=0) < 1:
        raise ValueError(f"lengths: {len(layers)} that do not rise, at least 1, got {list(lengths)}")
    return layers


def reduced_prefill_flops(
    architecture: Architecture, lengths: Sequence[int], batch: int = 1, restored: int | None = None
) -> int:
    """FLOPs of a forward pass in which layer i works on l_i tokens: Σ_i F_i(l_i), and the head.

    Kim & Cho 2021 (Length-Adaptive Transformer): `Σ_i (2 P_i l_i + 4 H K l_i²)` for attention. A token that is dropped
    is gone for all deeper layers; recall of what it held is at most the share of the needed tokens that stay.

    Parameters
    ----------
    architecture : Architecture
        The model.
    lengths : sequence of int
        l_1 ≥ … ≥ l_L, the tokens that each layer works on.
    batch : int
        Sequences.
    restored : int or None
        Tokens that the head is applied to, when those that were dropped come back; None: those of the last layer.
    """
    layers = _checked(architecture, lengths)
    head = 2 * architecture.config.vocabulary * architecture.config.width
    last = lengths[-1] if restored is None else restored
    return sum(one.prefill_flops(n, batch) for one, n in zip(layers, lengths, strict=True)) + batch * last * head


def reduced_state_elements(architecture: Architecture, lengths: Sequence[int]) -> int:
    """Elements of state that such a pass leaves per sequence: Σ_i E_i(l_i), for decoding after a reduced prompt."""
    return sum(one.state_elements(n) for one, n in zip(_checked(architecture, lengths), lengths, strict=True))


def length_drop(tokens: int, layers: int, drop: float) -> NDArray[np.float64]:
    """Distribution of the tokens left in each layer when l_{i+1} is uniform on ⌈(1 − p) l_i⌉ … l_i.

    LengthDrop (Kim & Cho 2021) draws so in training, l_1 being one such drop of all the tokens.

    Parameters
    ----------
    tokens, layers : int
        T and L.
    drop : float
        p, from 0 to below 1.

    Returns
    -------
    array `[L, T + 1]`
        Probability that layer i works on l tokens.
    """
    if tokens < 1 or layers < 1 or not 0 <= drop < 1:
        raise ValueError(f"tokens, layers, drop: at least 1, 1 and in [0, 1), got {tokens}, {layers}, {drop}")
    move = np.zeros((tokens + 1, tokens + 1))
    for n in range(1, tokens + 1):
        least = math.ceil((1 - drop) * n - 1e-12)  # 0.8 · 10 is 8, not 9
        move[n, least : n + 1] = 1 / (n + 1 - least)
    chance = np.zeros(tokens + 1)
    chance[tokens] = 1
    found = []
    for _ in range(layers):
        chance = chance @ move
        found.append(chance)
    return np.stack(found)


def expected_prefill_flops(architecture: Architecture, tokens: int, drop: float, restored: bool = True) -> float:
    """Expected FLOPs of a forward pass on one sequence under `length_drop`, exactly; `restored`: a head on all T."""
    layers = _single_layers(architecture)
    chances = length_drop(tokens, len(layers), drop)
    sizes = np.arange(1, tokens + 1)

    def expected(cost: Callable[[int], int], chance: NDArray[np.float64]) -> float:
        return math.fsum(p * cost(int(n)) for n, p in zip(sizes, chance[1:], strict=True) if p)

    head = 2 * architecture.config.vocabulary * architecture.config.width
    last = tokens if restored else float(chances[-1][1:] @ sizes)
    return sum(expected(one.prefill_flops, chance) for one, chance in zip(layers, chances, strict=True)) + last * head


def token_transform_flops(tokens: int, kept: int, width: int) -> int:
    """FLOPs of X' = R X with n' of n tokens: 2 n' n D for similarities to the n' chosen, as many for the product.

    Token Transforming (Zeng et al. 2025): every token goes into several of the new ones, each row of R summing to one.
    """
    if not 1 <= kept <= tokens:
        raise ValueError(f"kept: between 1 and {tokens} tokens, got {kept}")
    return 4 * kept * tokens * width


def subsampled_training_flops(
    architecture: Architecture, rate: int, dense_share: float, t: int, batch: int = 1
) -> float:
    """FLOPs of a training step, averaged over a training on a part ρ = 1 / rate of the keys that ends dense.

    Hussain et al. 2023: attention costs ρ (1 − f) + f of dense attention. Here with the products that are executed: a
    dense kernel computes scores anew in the backward pass, 7/2 of its forward products, the sampled form does not.

    Parameters
    ----------
    architecture : Architecture
        The model; its layers with `attention` are those that are sampled.
    rate : int
        One key in how many.
    dense_share : float
        f, share of the steps that train with all keys.
    t, batch : int
        Tokens per sequence, and sequences.
    """
    config = architecture.config
    if not 0 <= dense_share <= 1:
        raise ValueError(f"dense_share: between 0 and 1, got {dense_share}")
    layers = tuple(
        layer | {"mixer": "subsampled", "rate": rate} if layer["mixer"] == "attention" else layer
        for layer in config.layers
    )
    if layers == config.layers:
        raise ValueError("architecture: some layer with attention, got none")
    sampled = Architecture(architecture.name, replace(config, layers=layers))
    return (1 - dense_share) * sampled.training_flops(t, batch) + dense_share * architecture.training_flops(t, batch)
