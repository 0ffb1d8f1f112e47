"""Width for depth: the same attention in fewer layers with more heads."""

from __future__ import annotations

from dataclasses import replace

from recallscope.architectures.config import mixer_options
from recallscope.architectures.operators._choice import call
from recallscope.architectures.operators._shape import reshaped
from recallscope.architectures.specification import Specification


def widen(specification: Specification, layers: int = 1) -> Specification:
    """L equal layers as `layers` wider ones, H L / layers heads each, of unchanged width (Brown et al. 2022).

    Weights, state and products of attention in all stay what they were; the feed-forward layers, whose width stays
    too, become fewer, and so does the depth. With one layer of attention without convolutions nothing can bind a key
    to the token after it (`Mixer.shift`).

    Raises `ValueError` unless the layers are equal, have `heads` and a key width of their own, and `layers` divides L.
    """
    config = specification.architecture.config
    first, depth = config.layers[0], len(config.layers)
    if any(layer != first for layer in config.layers):
        raise ValueError("specification: equal layers can be widened, got layers that differ")
    options = mixer_options(first["mixer"])
    if not {"heads", "key_width"} <= options.keys():
        raise ValueError(f"specification: a mixer with heads and key_width can be widened, got {first['mixer']}")
    if not (1 <= layers <= depth and depth % layers == 0):
        raise ValueError(f"layers: a divisor of {depth}, got {layers}")
    factor, heads = depth // layers, first.get("heads", options["heads"].default)
    wider = first | {"heads": factor * heads, "key_width": first.get("key_width") or config.width // heads}
    if "kv_heads" in options:
        wider["kv_heads"] = factor * (first.get("kv_heads") or heads)
    if first.get("value_width") is None and "value_width" in options:
        wider["value_width"] = config.width // heads
    return reshaped(specification, call("widen", layers=layers), replace(config, layers=(wider,) * layers))
