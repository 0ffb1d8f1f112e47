"""Operators that make mixtures of experts: from a dense model, from its hidden units, from coarser experts."""

from __future__ import annotations

from collections.abc import Sequence

from recallscope.architectures.config import ModelConfig
from recallscope.architectures.operators._choice import call
from recallscope.architectures.operators._shape import chosen_layers, ffn_width, reshaped, with_layers
from recallscope.architectures.operators.routing import check_active
from recallscope.architectures.specification import Specification


def to_experts(
    specification: Specification,
    experts: int,
    active: int,
    hidden: int | None = None,
    shared: int = 0,
    layers: Sequence[int] | None = None,
) -> Specification:
    """Dense feed-forward layers as mixtures: parameters E P_e + P_shared + D E, of which a token uses k P_e + ...

    Shazeer et al. 2017; Komatsuzaki et al. 2023 (experts that start as copies of the dense layer); Nie et al. 2021
    (EvoMoE, experts spawned from one).

    Parameters
    ----------
    experts, active : int
        Number of experts E and how many each token uses, k.
    hidden : int or None
        Hidden width of one expert; None: that of the dense layer.
    shared : int
        Hidden width of an expert that every token uses; 0: none.
    layers : sequence of int or None
        Layers to change; None: all that have a dense feed-forward layer.
    """
    check_active(experts, active)
    for name, value, least in (("hidden", hidden, 1), ("shared", shared, 0)):
        if value is not None and value < least:
            raise ValueError(f"{name}: at least {least}, got {value}")
    config = specification.architecture.config
    routing = {"experts": experts, "active_experts": active} | ({"shared_width": shared} if shared else {})
    new = {
        i: config.layers[i] | routing | {"ffn_width": hidden or ffn_width(config, config.layers[i])}
        for i in _dense_layers(config, layers)
    }
    label = call("to_experts", experts=experts, active=active, hidden=hidden, shared=shared or None, layers=layers)
    return reshaped(specification, label, with_layers(config, new))


def split_ffn(
    specification: Specification, experts: int, active: int, layers: Sequence[int] | None = None
) -> Specification:
    """The hidden units of dense layers as E groups of F / E, of which a token uses k: no new trained parameters.

    Qiu et al. 2023 (EMoE): units are clustered by their keys, the rows of the first matrix, and the gate is x times the
    mean key of each group, D E values per layer that are derived, but stored here like a router, since computing them
    anew would read every key. FLOPs of the layer fall to k / E of themselves and 2 D E; with k = E the outputs sum to
    the dense layer. Reconstruction: for SwiGLU the keys are the rows that make the gate.

    Parameters
    ----------
    experts, active : int
        Number of groups E, a divisor of the hidden width, and how many each token uses, k.
    layers : sequence of int or None
        Layers to change; None: all that have a dense feed-forward layer.
    """
    check_active(experts, active)
    config, new = specification.architecture.config, {}
    for i in _dense_layers(config, layers):
        hidden = ffn_width(config, config.layers[i])
        if hidden % experts:
            raise ValueError(f"experts: a divisor of the hidden width {hidden} of layer {i}, got {experts}")
        routing = {"experts": experts, "active_experts": active, "ffn_width": hidden // experts}
        new[i] = config.layers[i] | routing
    label = call("split_ffn", experts=experts, active=active, layers=layers)
    return reshaped(specification, label, with_layers(config, new))


def fine_grained(specification: Specification, split: int, shared: int = 0) -> Specification:
    """Every expert cut into m, and k m of them used; some are shared: used by all tokens instead of chosen.

    Dai et al. 2024 (DeepSeekMoE): parameters and FLOPs stay, but for a larger router; the choices grow from
    C(E, k) to C(m E − s, m k − s).

    Parameters
    ----------
    split : int
        m, a divisor of the experts' hidden width; 1 without sharing changes nothing.
    shared : int
        s, small experts that are shared, fewer than m k.
    """
    config, new = specification.architecture.config, {}
    for i, layer in enumerate(config.layers):
        hidden, active = ffn_width(config, layer), layer.get("active_experts", 1)
        if "experts" not in layer or not hidden:
            continue
        if split < 1 or hidden % split:
            raise ValueError(f"split: a divisor of the hidden width {hidden} of an expert in layer {i}, got {split}")
        if not 0 <= shared < split * active:
            raise ValueError(f"shared: from 0 to {split * active - 1} in layer {i}, got {shared}")
        small = hidden // split
        finer = {"experts": split * layer["experts"] - shared, "active_experts": split * active - shared}
        widths = {"ffn_width": small, "shared_width": layer.get("shared_width", 0) + shared * small}
        new[i] = layer if split == 1 and not shared else layer | finer | widths
    if not new:
        raise ValueError("specification: some layer with experts, got none")
    label = call("fine_grained", split=split, shared=shared or None)
    return reshaped(specification, label, with_layers(config, new))


def _dense_layers(config: ModelConfig, layers: Sequence[int] | None) -> list[int]:
    wanted = sorted(chosen_layers(config, layers))
    dense = [i for i in wanted if "experts" not in config.layers[i] and ffn_width(config, config.layers[i])]
    if not dense or (layers is not None and dense != wanted):
        raise ValueError(f"layers: with a dense feed-forward layer ({dense or 'none'}), got {wanted}")
    return dense
