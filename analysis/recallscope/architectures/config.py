"""The shape of a language model, its checks, and the layers that it describes."""

from __future__ import annotations

import inspect
import json
import warnings
from dataclasses import asdict, dataclass
from typing import Any

from recallscope.architectures.feed_forward import FFN, FFN_OPTIONS, feed_forward
from recallscope.architectures.mixers import MIXERS, Mixer
from recallscope.checks import parsed

MOST_LAYERS = 10_000
"""Passes through layers; more are a damaged file: a list of them alone would take the memory."""
_COUNT = 2**31 - 1  # as token ids; what is beyond, torch refuses in words of its own
_LIMITS = {
    "vocabulary": (0, _COUNT), "width": (1, 2**24), "ffn_width": (0, 2**24), "context": (1, _COUNT),
    "loops": (1, MOST_LAYERS),
}  # fmt: skip


def check_layers(name: str, count: Any) -> None:
    """Refuse a number of layers before a list of them is made."""
    _check_integer(name, count, 1, MOST_LAYERS)


def _check_integer(name: str, value: Any, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name}: an integer from {least} to {most}, got {value!r:.40}")


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a language model.

    Attributes
    ----------
    vocabulary : int
        Number of token ids.
    width : int
        Model width D.
    layers : tuple of dict
        One per layer: `{"mixer": name in MIXERS, ...its keyword arguments}`; and where they differ from a dense FFN of
        `ffn_width`: that width, `ffn` (`swiglu`; `rwkv4`, `rwkv7`: channel mixing), `experts` (number),
        `active_experts` (per token), `shared_width` (always used) and `shared_gate`.
    ffn_width : int
        Hidden width of the SwiGLU feed-forward layers; 0: none.
    context : int
        Length of the training windows, in tokens; a default for evaluation, not a limit.
    tied : bool
        Whether the head has the embedding's weights.
    loops : int
        How often the stack of layers runs, with the same weights and states of its own (Dehghani et al. 2018; Giannou
        et al. 2023).
    inject : bool
        Whether every pass but the first adds the embedding to its input.
    """

    vocabulary: int
    width: int
    layers: tuple[dict[str, Any], ...]
    ffn_width: int
    context: int = 1024
    tied: bool = False
    loops: int = 1
    inject: bool = False

    def __post_init__(self) -> None:
        for name, (least, most) in _LIMITS.items():
            _check_integer(name, getattr(self, name), least, most)
        if not isinstance(self.layers, list | tuple) or not all(isinstance(layer, dict) for layer in self.layers):
            raise ValueError(f"layers: a list with one dict for each layer, got {self.layers!r:.60}")
        if len(self.layers) * self.loops > MOST_LAYERS:
            raise ValueError(f"loops: at most {MOST_LAYERS} layers in all, got {self.loops} x {len(self.layers)}")
        object.__setattr__(self, "layers", tuple(dict(layer) for layer in self.layers))
        for layer in self.layers:
            _check_layer(layer)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> ModelConfig:
        """The shape in a `config.json` of ours; `ValueError` for anything else."""
        found = parsed(text, "config")
        try:
            return cls(**found)
        except TypeError as error:
            raise ValueError(f"config: not a model shape ({error})") from None


def _check_layer(layer: dict[str, Any]) -> None:
    name = layer.get("mixer")
    if name not in MIXERS:
        raise ValueError(f"layers: mixer must be one of {', '.join(MIXERS)}, got {name!r}")
    known = mixer_options(name)
    unknown = set(layer) - set(known) - {"mixer", *FFN_OPTIONS}
    if unknown:
        raise ValueError(f"layers: {name} takes {', '.join([*known, *FFN_OPTIONS])}, got {', '.join(sorted(unknown))}")
    for option in set(layer) & set(known):
        value, accepted = layer[option], known[option].annotation
        kinds = accepted.replace(" ", "").split("|") + ["int"] * ("float" in accepted)
        if type(value).__name__.replace("NoneType", "None") not in kinds:
            raise ValueError(f"{option}: {accepted}, got {value!r}")
        least = int(option == "chunk")
        if isinstance(value, int) and not least <= value <= _COUNT:
            raise ValueError(f"{option}: from {least} to {_COUNT}, got {value!r:.40}")


def mixer_options(name: str) -> dict[str, inspect.Parameter]:
    """The keyword arguments of a mixer, those that its base takes included."""
    options: dict[str, inspect.Parameter] = {}
    for kind in MIXERS[name].__mro__:
        if "__init__" not in vars(kind) or kind.__module__.startswith("torch"):
            continue
        parameters = inspect.signature(kind.__init__).parameters.values()
        options |= {p.name: p for p in parameters if p.name not in options and p.kind != p.VAR_KEYWORD}
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            break
    return {option: parameter for option, parameter in options.items() if option not in ("self", "width")}


def build_layer(config: ModelConfig, layer: dict[str, Any]) -> tuple[Mixer, FFN | None]:
    """The mixer and the feed-forward layer of one entry of `config.layers`."""
    ffn = {"ffn_width": config.ffn_width} | {name: layer[name] for name in FFN_OPTIONS if name in layer}
    options = {name: value for name, value in layer.items() if name not in ("mixer", *FFN_OPTIONS)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # torch only warns of weights without elements
            return MIXERS[layer["mixer"]](config.width, **options), feed_forward(config.width, ffn)
    except (ZeroDivisionError, RuntimeError, UserWarning, TypeError) as error:  # a size of 0, or of 2**63 and more
        why = str(error).splitlines()[0]
        raise ValueError(f"layers: {layer['mixer']} cannot be built with {options | ffn} ({why})") from None
