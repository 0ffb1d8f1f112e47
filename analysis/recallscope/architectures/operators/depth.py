"""Fewer layers for a token: cut, left early, shared, passed by; and fewer dimensions of what comes out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from recallscope.architectures.architecture import Architecture
from recallscope.architectures.operators._choice import call, chosen
from recallscope.architectures.operators._shape import chosen_layers, reshaped
from recallscope.architectures.specification import Specification


def drop_layers(specification: Specification, layers: Sequence[int]) -> Specification:
    """Layers removed altogether, with their state (Kurtic et al. 2022 combine this with pruning and quantisation)."""
    config = specification.architecture.config
    dropped = chosen_layers(config, layers) if layers else set()
    left = tuple(layer for i, layer in enumerate(config.layers) if i not in dropped)
    if not left:
        raise ValueError(f"layers: fewer than all {len(config.layers)}, got {sorted(dropped)}")
    return reshaped(specification, call("drop_layers", layers=sorted(dropped)), replace(config, layers=left))


def early_exit(specification: Specification, layers: int) -> Specification:
    """The first ℓ layers, then norm and head: parameters, FLOPs, bytes and state of the layers are ℓ / L of all."""
    config = specification.architecture.config
    if not 1 <= layers <= len(config.layers):
        raise ValueError(f"layers: between 1 and {len(config.layers)}, got {layers}")
    return reshaped(specification, call("early_exit", layers=layers), replace(config, layers=config.layers[:layers]))


def expected_exit_flops(specification: Specification, shares: Mapping[int, float], t: int) -> float:
    """Expected FLOPs of decoding token `t` when each token leaves at the first exit that is sure of it.

    A token that leaves at ℓ has been through the head at every exit up to ℓ. Left out: the states of the layers that
    were not run, which later tokens may need (Schuster et al. 2022 copy them, so that only projections remain).

    Parameters
    ----------
    specification : Specification
        The whole model.
    shares : mapping from int to float
        Exits ℓ, and the share of the tokens that leaves there; they sum to 1.
    t : int
        The token, counted from 1.
    """
    if abs(math.fsum(shares.values()) - 1) > 1e-9 or min(shares.values()) < 0:
        raise ValueError(f"shares: at least 0, with sum 1, got {dict(shares)}")
    head = sum(w.token_flops for w in specification.weights if w.name == "head")
    exits = sorted(shares)
    return math.fsum(shares[e] * (early_exit(specification, e).decode_flops(t) + i * head) for i, e in enumerate(exits))


def share_layers(specification: Specification, unique: int, resident: bool = False) -> Specification:
    """U sets of weights for L layers (Lan et al. 2020, ALBERT): parameters fall to U / L, FLOPs and state do not.

    Layer i has the weights of layer i mod U, or of layer ⌊i U / L⌋; layers that share must be alike.

    Parameters
    ----------
    unique : int
        U, a divisor of L; L changes nothing.
    resident : bool
        Whether a set stays in a cache from layer to layer, so that decoding reads U sets; else it reads L. Vectors
        (norms, biases) are read once either way.
    """
    config = specification.architecture.config
    layers, total = config.layers, len(config.layers)
    if unique < 1 or total % unique:
        raise ValueError(f"unique: a divisor of {total} layers, got {unique}")
    times = total // unique
    cyclic = all(layer == layers[i % unique] for i, layer in enumerate(layers))
    if not cyclic and any(layer != layers[i // times * times] for i, layer in enumerate(layers)):
        raise ValueError(f"unique: sharing layers must be alike, got {unique} sets for {total} layers that are not")
    if times == 1:
        return specification
    inside = chosen(specification, ("mixer", "ffn"))
    weights = tuple(
        replace(w, count=w.count // times, passes=w.passes * times, resident=resident) if inside(w) else w
        for w in specification.weights
    )
    vectors = (specification.other_parameters - config.width) // times + config.width  # the last norm is no layer's
    label = call("share_layers", unique=unique, resident=resident)
    return replace(specification.with_weights(label, weights), other_parameters=vectors)


@dataclass(frozen=True)
class Elasticity:
    """What one text costs an encoder that is used up to a layer and up to a dimension.

    Attributes
    ----------
    parameters : int
        Of the layers used, with the embedding.
    flops : int
        Of a forward pass over the text, without head.
    index_bytes : float
        Of the vector that is kept of it.
    """

    parameters: int
    flops: int
    index_bytes: float


def elasticity(architecture: Architecture, layers: int, dimensions: int, t: int, bits: float = 16) -> Elasticity:
    """Two-dimensional Matryoshka embeddings (Li et al. 2024): FLOPs fall to ℓ / L, the index to m / D.

    Parameters
    ----------
    architecture : Architecture
        The whole encoder.
    layers, dimensions : int
        ℓ and m; the last layer used gives a vector, of which the first m dimensions are kept.
    t : int
        Tokens of the text.
    bits : float
        Bits of a dimension in the index.
    """
    config = architecture.config
    if not 1 <= dimensions <= config.width:
        raise ValueError(f"dimensions: between 1 and {config.width}, got {dimensions}")
    if not 1 <= layers <= len(config.layers):
        raise ValueError(f"layers: between 1 and {len(config.layers)}, got {layers}")
    blocks = Architecture(architecture.name, replace(config, vocabulary=0, layers=config.layers[:layers]))
    parameters = blocks.parameters() + config.vocabulary * config.width
    return Elasticity(parameters, blocks.prefill_flops(t), dimensions * bits / 8)


@dataclass(frozen=True)
class MixtureOfDepths:
    """A model of which some layers see only the tokens that a router picks (Raposo et al. 2024).

    In each such layer ⌈c T⌉ of T tokens are mixed and fed forward; the others pass by and leave nothing in its state.
    FLOPs are those of the layer at that length, and 2 D for each token's router.

    Attributes
    ----------
    full, routed : Architecture
        The model without the routed layers, and those layers alone.
    capacity : float
        c, share of the tokens.
    """

    full: Architecture
    routed: Architecture
    capacity: float

    @property
    def _routers(self) -> int:
        return len(self.routed.config.layers) * self.full.config.width

    def _seen(self, t: int) -> int:
        return math.ceil(self.capacity * t - 1e-9)  # 0.1 x 30 is 3

    def parameters(self) -> int:
        """Of the whole model: D per router more than without."""
        return self.full.parameters() + self.routed.parameters() - self.full.config.width + self._routers

    def state_elements(self, t: int) -> Any:
        """Per sequence, after `t` tokens."""
        return self.full.state_elements(t) + self.routed.state_elements(self._seen(t))

    def prefill_flops(self, t: int, batch: int = 1) -> Any:
        """Of `batch` sequences of `t` tokens."""
        routed = self.routed.prefill_flops(self._seen(t), batch)
        return self.full.prefill_flops(t, batch) + routed + 2 * batch * t * self._routers

    def training_flops(self, t: int, batch: int = 1) -> Any:
        """Forward and backward."""
        routed = self.routed.training_flops(self._seen(t), batch)
        return self.full.training_flops(t, batch) + routed + 6 * batch * t * self._routers


def mixture_of_depths(architecture: Architecture, capacity: float, layers: Sequence[int]) -> MixtureOfDepths:
    """Layers that only a share of the tokens enters.

    Parameters
    ----------
    architecture : Architecture
        The model whose layers all see every token.
    capacity : float
        c, above 0 and at most 1.
    layers : sequence of int
        The layers that are routed, often every other one.
    """
    if not 0 < capacity <= 1:
        raise ValueError(f"capacity: above 0 and at most 1, got {capacity}")
    config = architecture.config
    picked = chosen_layers(config, layers)
    routed = tuple(layer for i, layer in enumerate(config.layers) if i in picked)
    full = tuple(layer for i, layer in enumerate(config.layers) if i not in picked)
    return MixtureOfDepths(
        Architecture(architecture.name, replace(config, layers=full)),
        Architecture(architecture.name, replace(config, layers=routed, vocabulary=0)),
        capacity,
    )
