"""From a name to an architecture: presets, mixers with options, model folders."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig, check_layers, mixer_options
from recallscope.architectures.feed_forward import FFN_OPTIONS
from recallscope.architectures.mixers import MIXERS
from recallscope.architectures.presets import PRESETS
from recallscope.checks import parsed

_SHAPE = {"width": 2048, "layers": 1, "ffn_width": 0, "vocabulary": 0, "tied": False}


def architecture(name: str | None = None, *, mixer: str | None = None, **options: Any) -> Architecture:
    """The architecture of a name, or of one mixer repeated.

    Parameters
    ----------
    name : str or None
        A preset (`PRESETS`), a folder or `config.json` of this toolkit or of Hugging Face (families that are known), or
        `mixer:option=value,...` with the options below.
    mixer : str or None
        Instead of a name: a mixer in `MIXERS`.
    **options
        `width` (2,048), `layers` (1), `ffn_width` (0: none), `vocabulary` (0: neither embedding nor head), `tied`, and
        the mixer's own but its place in the stack. The defaults describe a single bare layer.

    Raises `ValueError` for unknown names and options; it lists the known ones.
    """
    if (name is None) == (mixer is None):
        raise ValueError(f"name, mixer: exactly one of them, got {name!r} and {mixer!r}")
    if mixer is not None:
        return _repeated(mixer, mixer, options)
    assert name is not None
    if name in PRESETS:
        return _without(options, Architecture(name, PRESETS[name].config, PRESETS[name].source))
    if Path(name).exists():
        return _without(options, _from_disk(Path(name)))
    head, _, tail = name.partition(":")
    if head in MIXERS:
        return _repeated(name, head, parsed_options(tail) | options)
    raise ValueError(
        f"architecture: a preset ({', '.join(PRESETS)}), a mixer with options such as attention:width=512,heads=8 "
        f"({', '.join(MIXERS)}), or a model folder, got {name!r}"
    )


def _without(options: dict[str, Any], found: Architecture) -> Architecture:
    if options:
        raise ValueError(f"options: none beside a preset or folder, got {', '.join(options)}")
    return found


def parsed_options(text: str) -> dict[str, Any]:
    """`heads=8,rope_base=None` as a dictionary; what is not a Python literal is a string."""
    options = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"architecture: options as name=value, separated by commas, got {part!r}")
        try:
            options[key.strip()] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            options[key.strip()] = value
    return options


def _repeated(label: str, mixer: str, options: dict[str, Any]) -> Architecture:
    if mixer not in MIXERS:
        raise ValueError(f"mixer: one of {', '.join(MIXERS)}, got {mixer!r}")
    own = mixer_options(mixer)
    placed = {"layer", "layers"} <= set(own)  # a mixer that depends on its place in the stack
    own = {key: value for key, value in own.items() if not placed or key not in ("layer", "layers")}
    unknown = set(options) - set(_SHAPE) - set(own) - set(FFN_OPTIONS)
    if unknown:
        known = ", ".join([*_SHAPE, *own, *FFN_OPTIONS[1:]])
        raise ValueError(f"options: {mixer} takes {known}, got {', '.join(sorted(unknown))}")
    shape = _SHAPE | {key: value for key, value in options.items() if key in _SHAPE}
    count = shape["layers"]
    check_layers("layers", count)
    layer = {"mixer": mixer} | {key: value for key, value in options.items() if key not in _SHAPE}
    layers = tuple(layer | ({"layer": place, "layers": count} if placed else {}) for place in range(count))
    config = ModelConfig(shape["vocabulary"], shape["width"], layers, shape["ffn_width"], tied=shape["tied"])
    return Architecture(label, config)


def _from_disk(path: Path) -> Architecture:
    from recallscope.architectures.hugging_face import from_hugging_face

    file = path / "config.json" if path.is_dir() else path
    try:
        text = file.read_bytes()
    except OSError as error:
        raise ValueError(f"architecture: {path} must hold a config.json ({error})") from None
    found = parsed(text, f"architecture: {file}")
    if isinstance(found, dict) and "model_type" in found:
        return Architecture(path.stem if path.is_file() else path.name, from_hugging_face(found), str(file))
    try:
        config = ModelConfig.from_json(text)
    except ValueError as error:
        raise ValueError(f"architecture: {file} is not a model shape ({error})") from None
    return Architecture(path.name, config, str(file))
