"""The mixers of single layers, and the layers that an operator on caches works on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from recallscope.architectures.cache_rule import CacheRule, cached_elements
from recallscope.architectures.config import ModelConfig, build_layer
from recallscope.architectures.mixers import Attention, ClippedSoftmax, Mixer
from recallscope.architectures.mixers._softmax import SoftmaxMixer
from recallscope.architectures.operators._shape import chosen_layers
from recallscope.architectures.specification import Specification


def mixers(config: ModelConfig) -> list[Mixer]:
    """The mixer of each layer, without storage; equal layers have the same object."""
    built: dict[str, Mixer] = {}
    with torch.device("meta"):
        for layer in config.layers:
            if repr(layer) not in built:
                built[repr(layer)] = build_layer(config, layer)[0]
    return [built[repr(layer)] for layer in config.layers]


def keeps_all(mixer: Mixer) -> bool:
    """Whether the mixer keeps something of every position."""
    return cached_elements(mixer) > 0


def keeps_keys_and_values(mixer: Mixer) -> bool:
    """Whether what it keeps of every position is a key and a value as wide as it for each of H_kv heads."""
    return isinstance(mixer, SoftmaxMixer) and cached_elements(mixer) == 2 * mixer.kv_heads * mixer.key_width


def projects_plainly(mixer: Mixer) -> bool:
    """Whether keys and values are projections of the input, without convolutions that would have to go with them."""
    return isinstance(mixer, Attention | ClippedSoftmax)


def layers_with(
    config: ModelConfig, layers: Sequence[int] | None, suits: Callable[[Mixer], bool], what: str
) -> list[int]:
    """The layers chosen (None: all that suit), all of which must suit."""
    suitable = [i for i, mixer in enumerate(mixers(config)) if suits(mixer)]
    wanted = sorted(chosen_layers(config, layers)) if layers is not None else suitable
    if not wanted or set(wanted) - set(suitable):
        raise ValueError(f"layers: with {what} ({suitable or 'none'}), got {wanted}")
    return wanted


def with_rules(specification: Specification, label: str, layers: Sequence[int], **fields: object) -> Specification:
    """The rules of some layers with other fields; the same object if none changes."""
    config = specification.architecture.config
    rules = list(specification.caches or [CacheRule()] * len(config.layers))
    for i in layers:
        rules[i] = replace(rules[i], **fields)  # type: ignore[arg-type]
    if tuple(rules) == specification.caches:
        return specification
    return replace(specification, caches=tuple(rules), applied=(*specification.applied, label), quality=())
