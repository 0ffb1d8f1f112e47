"""The small models that recall tasks are put to: one mixer, behind a short convolution where it needs one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from recallscope.architectures.config import ModelConfig, build_layer, check_layers
from recallscope.architectures.mixers import MIXERS
from recallscope.architectures.mixers.base_conv import BaseConv
from recallscope.architectures.names import parsed_options

_OWN = ("width", "layers", "ffn_width", "first", "alternate", "tied", "loops", "inject")


@dataclass(frozen=True)
class Subject:
    """A model of a sweep: what tables call it, its mixer, its shape."""

    name: str
    mixer: str
    config: ModelConfig


def recall_subject(text: str, width: int = 64) -> Subject:
    """`mixer` or `mixer:option=value,...` as a small model.

    Two layers without feed-forward layers, as in Based's Figure 2: a mixer that sees the previous token itself
    (`Mixer.shift`) makes both; before any other stands a BaseConv of 3 taps. Further options: `width` (default as
    given), `layers` (1: the bare mixer; n: the first and n - 1 mixers), `first` (another first layer, or None),
    `alternate` (True: the first layer before every mixer), `ffn_width`, and `tied`, `loops`, `inject` of `ModelConfig`.
    """
    mixer, _, tail = text.partition(":")
    if mixer not in MIXERS:
        raise ValueError(f"mixer: one of {', '.join(MIXERS)}, got {mixer!r}")
    options = parsed_options(tail)
    usual = {"width": width, "layers": 2, "ffn_width": 0, "loops": 1}
    shape = usual | {key: value for key, value in options.items() if key in _OWN}
    layer = {"mixer": mixer} | {key: value for key, value in options.items() if key not in _OWN}
    check_layers("layers", shape["layers"])
    bare = ModelConfig(1, shape["width"], (layer,), shape["ffn_width"])
    with torch.device("meta"):
        shifts = build_layer(bare, layer)[0].shift
    first = shape.get("first", None if shape["layers"] == 1 or shifts else "base_conv")
    if first not in (None, *MIXERS):
        raise ValueError(f"first: None or one of {', '.join(MIXERS)}, got {first!r}")
    before = ({"mixer": first},) if first else ()
    pattern = (*before, layer) * shape["layers"] if shape.get("alternate") else before + (layer,) * shape["layers"]
    layers, loops = pattern[: shape["layers"]], shape["loops"]
    tied, inject = (bool(shape.get(key, False)) for key in ("tied", "inject"))
    config = ModelConfig(1, shape["width"], layers, shape["ffn_width"], tied=tied, loops=loops, inject=inject)
    return Subject(text, mixer, config)


def stacked_subject(stack: Sequence[str], width: int = 64) -> Subject:
    """A small model of these layers, one after another, each a mixer with its options (`mixer:option=value,...`).

    It is named by its layers, and its mixers are those of all but the first, which is the convolution before them.
    """
    parts = [text.partition(":") for text in stack]
    mixers = tuple(dict.fromkeys(mixer for mixer, _, _ in parts[1:]))
    for mixer in (mixer for mixer, _, _ in parts if mixer not in MIXERS):
        raise ValueError(f"stack: mixers of {', '.join(MIXERS)}, got {mixer!r}")
    layers = tuple({"mixer": mixer} | parsed_options(tail) for mixer, _, tail in parts)
    return Subject(" + ".join(stack), "+".join(mixers), ModelConfig(1, width, layers, 0))


def subjects(names: Sequence[str]) -> tuple[Subject, ...]:
    """`recall_subject` of each name."""
    return tuple(recall_subject(name) for name in names)


def tied(models: Sequence[Subject]) -> tuple[Subject, ...]:
    """The same with the embedding as head."""
    return tuple(replace(model, config=replace(model.config, tied=True)) for model in models)


def cannot_bind(config: ModelConfig) -> str:
    """Why models of a shape cannot do associative recall, in words; empty if they may.

    The value must be found under the key that came *before* it. One layer without a shift sees key and value as
    separate tokens and cannot (Zoology, Section 4); a second layer can, by attending to the previous token. And
    somewhere what is read must depend on the token that reads.
    """
    with torch.device("meta"):
        mixers = [build_layer(config, layer)[0] for layer in config.layers]
    if not any(mixer.by_content for mixer in mixers if not isinstance(mixer, BaseConv)):
        return "no layer reads by content" if not all(isinstance(m, BaseConv) for m in mixers) else ""
    if len(mixers) * config.loops == 1 and not mixers[0].shift:
        return "one layer without a shift cannot find a value under the key before it"
    return ""


def options_of(config: ModelConfig) -> dict[str, Any]:
    """The options of the last layer, as columns of a table."""
    return {name: value for name, value in config.layers[-1].items() if name != "mixer"}
