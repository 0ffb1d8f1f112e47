"""Rotary frequencies for longer texts than trained on; what they cost is nothing, what they keep must be measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recallscope.architectures.architecture import Architecture
from recallscope.architectures.mixers import DiffQKV, Mixer, MultiHeadLatent
from recallscope.architectures.mixers._softmax import SoftmaxMixer
from recallscope.architectures.operators._choice import call
from recallscope.architectures.operators._layers import layers_with, mixers
from recallscope.architectures.operators._shape import with_layers
from recallscope.architectures.specification import Specification

Frequencies = NDArray[np.float64]


def frequencies(key_width: int, base: float = 10_000.0) -> Frequencies:
    """`θ_j = base^{−2 j / K}` for j < K / 2, in radians per token (Su et al. 2021)."""
    if key_width < 2 or key_width % 2 or base <= 0:
        raise ValueError(f"key_width, base: even from 2 on and above 0, got {key_width} and {base}")
    return base ** (-2 * np.arange(key_width // 2) / key_width)


def interpolated(theta: Frequencies, factor: float) -> Frequencies:
    """Position interpolation (Chen et al. 2023): `θ_j / s`, so that s T positions turn as far as T did."""
    _check(factor)
    return theta / factor


def ntk_base(key_width: int, base: float, factor: float) -> float:
    """`base · s^{K / (K − 2)}`: the slowest pair is interpolated, the fastest stays (bloc97 2023, "NTK-aware")."""
    _check(factor)
    if key_width <= 2:
        raise ValueError(f"key_width: above 2, got {key_width}")
    return base * factor ** (key_width / (key_width - 2))


def yarn(
    theta: Frequencies, factor: float, length: int, slow: float = 1.0, fast: float = 32.0, ramp: str = "turns"
) -> Frequencies:
    """Pairs that turn often in the trained length stay, those that do not turn once are interpolated.

    Peng et al. 2023: `θ_j (γ + (1 − γ) / s)` with γ rising from 0 at `slow` turns `r_j = T θ_j / 2π` to 1 at `fast`.
    Queries and keys are also to be multiplied by `yarn_scale` each.

    Parameters
    ----------
    theta : array
        `frequencies(...)`.
    factor, length : float, int
        s, and the trained length T in tokens.
    slow, fast : float
        Turns; 1 and 32 are the paper's for Llama.
    ramp : str
        `turns`: γ linear in r_j, as in the paper; `pairs`: in j, between the whole pairs just outside, as in the
        released code.
    """
    _check(factor)
    if length < 1 or not 0 < slow < fast:
        raise ValueError(f"length, slow, fast: at least 1, and 0 < slow < fast, got {length}, {slow} and {fast}")
    if ramp == "turns":
        stay = np.clip((length * theta / (2 * math.pi) - slow) / (fast - slow), 0, 1)
    elif ramp == "pairs":
        rate = -math.log(theta[1])  # ln θ_j = −j · rate
        first, last = (math.log(length / (turns * 2 * math.pi)) / rate for turns in (fast, slow))
        low, high = max(math.floor(first), 0), min(math.ceil(last), 2 * len(theta) - 1)
        stay = 1 - np.clip((np.arange(len(theta)) - low) / max(high - low, 1e-3), 0, 1)
    else:
        raise ValueError(f"ramp: 'turns' or 'pairs', got {ramp!r}")
    return theta * (stay + (1 - stay) / factor)


def yarn_scale(factor: float) -> float:
    """`0.1 ln s + 1` for queries and for keys, so its square for scores (Peng et al. 2023, Eq. 22)."""
    _check(factor)
    return 0.1 * math.log(factor) + 1


def clex(
    theta: Frequencies, base: float, factor: float, up: Frequencies, down: Frequencies, step: float = 0.01
) -> Frequencies:
    """Frequencies that follow a learned differential equation in the length factor (Chen et al. 2024, CLEX).

    `dz/ds = W_downᵀ SiLU(W_upᵀ (z + ln θ^{NTK}(s))) + d/ds ln θ^{NTK}(s)` from z(1) = ln θ to z(s), by Runge-Kutta of
    fourth order, where θ^{NTK}(s) are the frequencies of `ntk_base` at the factor 2 s − 1; so with W_down = 0, its
    initial value, these are the result. Factor and sum are read from a public copy of the code.

    Parameters
    ----------
    theta, base : array, float
        `frequencies(...)` and their base.
    factor : float
        s, the one at inference; in training it is drawn.
    up, down : array
        `[K / 2, λ K]` and `[λ K, K / 2]`, learned.
    step : float
        Longest step of the integration.
    """
    _check(factor)
    pairs = len(theta)
    if up.shape[0] != pairs or down.shape != up.shape[::-1]:
        raise ValueError(f"up, down: [{pairs}, n] and [n, {pairs}], got {up.shape} and {down.shape}")
    if step <= 0:
        raise ValueError(f"step: above 0, got {step}")
    slope = -2 * np.arange(pairs) / (2 * pairs - 2)  # d ln θ_NTK / d ln(factor)

    def change(s: float, z: Frequencies) -> Frequencies:
        inner = (z + np.log(frequencies(2 * pairs, base)) + slope * math.log(2 * s - 1)) @ up
        return (inner / (1 + np.exp(-inner))) @ down + 2 * slope / (2 * s - 1)

    count = math.ceil((factor - 1) / step)
    h, z = (factor - 1) / max(count, 1), np.log(theta)
    for i in range(count):
        s = 1 + i * h
        a = change(s, z)
        b = change(s + h / 2, z + h / 2 * a)
        c = change(s + h / 2, z + h / 2 * b)
        z = z + h / 6 * (a + 2 * b + 2 * c + change(s + h, z + h * c))
    return np.exp(z)


def rescale_positions(
    specification: Specification, factor: float, layers: Sequence[int] | None = None
) -> Specification:
    """The rotary base of layers with attention as `ntk_base` has it; no cost changes, and s = 1 changes nothing.

    Parameters
    ----------
    factor : float
        s, at least 1.
    layers : sequence of int or None
        Layers to change; None: all with rotary attention. Windows never see far and need no change.
    """
    _check(factor)
    config = specification.architecture.config
    chosen = layers_with(config, layers, _is_rotary, "rotary attention")
    known: list[Any] = mixers(config)
    new = {}
    for i in chosen:
        width = known[i].rope_width if isinstance(known[i], MultiHeadLatent) else known[i].key_width
        new[i] = config.layers[i] | {"rope_base": ntk_base(width, known[i].rope_base, factor)}
    if factor == 1:
        return specification
    before = specification.architecture
    after = Architecture(before.name, with_layers(config, new), before.source)
    label = call("rescale_positions", factor=factor, layers=layers)
    return replace(specification, architecture=after, applied=(*specification.applied, label), quality=())


def _is_rotary(mixer: Mixer) -> bool:
    kind: Any = mixer
    return isinstance(mixer, SoftmaxMixer | DiffQKV | MultiHeadLatent) and kind.rope_base is not None


def _check(factor: float) -> None:
    if factor < 1:
        raise ValueError(f"factor: at least 1, got {factor}")
