"""One language model for every mixer: embedding, pre-norm blocks of mixer and SwiGLU, head."""

from __future__ import annotations

import inspect
import json
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.feed_forward import FFN_OPTIONS, FeedForward, MixtureOfExperts, feed_forward
from recallscope.architectures.mixers import MIXERS, Mixer, State


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
        `ffn_width`: that width, `experts` (number), `active_experts` (per token), `shared_width` (always used) and
        `shared_gate`.
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
        object.__setattr__(self, "layers", tuple(dict(layer) for layer in self.layers))
        if self.loops < 1:
            raise ValueError(f"loops: at least 1, got {self.loops}")
        for layer in self.layers:
            _check_layer(layer)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        return cls(**json.loads(text))


def _check_layer(layer: dict[str, Any]) -> None:
    name = layer.get("mixer")
    if name not in MIXERS:
        raise ValueError(f"layers: mixer must be one of {', '.join(MIXERS)}, got {name!r}")
    known = mixer_options(name)
    unknown = set(layer) - set(known) - {"mixer", *FFN_OPTIONS}
    if unknown:
        raise ValueError(f"layers: {name} takes {', '.join([*known, *FFN_OPTIONS])}, got {', '.join(sorted(unknown))}")


def mixer_options(name: str) -> dict[str, Any]:
    """The keyword arguments of a mixer and their defaults, those that its base passes on included."""
    options: dict[str, Any] = {}
    for kind in MIXERS[name].__mro__:
        if "__init__" not in vars(kind) or kind.__module__.startswith("torch"):
            continue
        parameters = inspect.signature(kind.__init__).parameters.values()
        options |= {p.name: p.default for p in parameters if p.name not in options and p.kind != p.VAR_KEYWORD}
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            break
    return {option: default for option, default in options.items() if option not in ("self", "width")}


def build_layer(config: ModelConfig, layer: dict[str, Any]) -> tuple[Mixer, FeedForward | MixtureOfExperts | None]:
    """The mixer and the feed-forward layer of one entry of `config.layers`."""
    ffn = {"ffn_width": config.ffn_width} | {name: layer[name] for name in FFN_OPTIONS if name in layer}
    options = {name: value for name, value in layer.items() if name not in ("mixer", *FFN_OPTIONS)}
    return MIXERS[layer["mixer"]](config.width, **options), feed_forward(config.width, ffn)


class Block(nn.Module):
    """`x + Mixer(RMSNorm(x))`, then `x + FFN(RMSNorm(x))` if there is an FFN."""

    def __init__(self, config: ModelConfig, layer: dict[str, Any]):
        super().__init__()
        self.mixer_norm = nn.RMSNorm(config.width, eps=1e-5)
        self.mixer, self.ffn = build_layer(config, layer)
        self.ffn_norm = nn.RMSNorm(config.width, eps=1e-5) if self.ffn else None

    def _feed_forward(self, x: Tensor) -> Tensor:
        return x + self.ffn(self.ffn_norm(x)) if self.ffn and self.ffn_norm else x

    def forward(self, x: Tensor) -> Tensor:
        return self._feed_forward(x + self.mixer(self.mixer_norm(x)))

    def prefill(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        mixed, state = self.mixer.prefill(self.mixer_norm(x), state)
        return self._feed_forward(x + mixed), state

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        mixed, state = self.mixer.step(self.mixer_norm(x), state)
        return self._feed_forward(x + mixed), state


class LanguageModel(nn.Module):
    """Causal language model over any stack of mixers; embedding and head have weights of their own unless tied.

    What it costs, `architecture.Architecture` says.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in config.layers)
        self.norm = nn.RMSNorm(config.width, eps=1e-5)
        self.head = nn.Linear(config.width, config.vocabulary, bias=False)
        self._initialise()
        if config.tied:
            self.head.weight = self.embedding.weight

    def _initialise(self) -> None:
        """Normal weights of deviation 1/√fan_in; zeros in the head and in the last product of each residual branch.

        So the residual stream starts as the embedding alone, the loss at ln(vocabulary). With branches that start at
        full size, attention had not learned to copy after 11 M tokens (see LOG.md).
        """
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear) and name.endswith(("mixer.out", "ffn.down", "head")):
                nn.init.zeros_(module.weight)
            elif isinstance(module, nn.Linear | nn.Embedding) and "filter" not in name:  # Hyena's has its own scale
                nn.init.normal_(module.weight, std=module.weight.shape[1] ** -0.5)

    def _embed(self, ids: Tensor) -> Tensor:
        """Embeddings times √D: of unit size, and yet learned as fast as weights of size 1/√D."""
        return self.embedding(ids) * self.config.width**0.5

    def hidden(self, ids: Tensor) -> Tensor:
        """`[B, T] -> [B, T, D]`: what the head reads."""
        x = start = self._embed(ids)
        for block, again in self._passes():
            x = block(x + start if again else x)
        return self.norm(x)

    def forward(self, ids: Tensor) -> Tensor:
        """`[B, T] -> logits [B, T, vocabulary]`."""
        return self.head(self.hidden(ids))

    def _passes(self) -> list[tuple[Block, bool]]:
        """The blocks in the order in which they run, and whether the embedding is added before them."""
        inject = self.config.inject
        loops = range(self.config.loops)
        return [(block, inject and i == 0 and loop > 0) for loop in loops for i, block in enumerate(self.blocks)]  # type: ignore[misc]

    def init_state(self, batch: int) -> list[State]:
        """State of every layer before the first token, for each pass over the layers."""
        return [block.mixer.init_state(batch) for block, _ in self._passes()]

    def run(self, x: Tensor, states: list[State] | None = None) -> tuple[Tensor, list[State]]:
        """Embeddings `[B, T, D]`, or `[B, D]` in one step, to what the head reads; and the states after them."""
        passes, after, start, one = self._passes(), [], x, x.ndim == 2
        for (block, again), state in zip(passes, states or [None] * len(passes), strict=True):
            x, state = (block.step if one else block.prefill)(x + start if again else x, state)  # type: ignore[arg-type]
            after.append(state)
        return self.norm(x), after

    def prefill(self, ids: Tensor, states: list[State] | None = None) -> tuple[Tensor, list[State]]:
        """`[B, T]` and the states before them to logits `[B, T, vocabulary]` and the states after them."""
        x, states = self.run(self._embed(ids), states)
        return self.head(x), states

    def step(self, ids: Tensor, states: list[State]) -> tuple[Tensor, list[State]]:
        """One token per sequence: `[B]` and the states to logits `[B, vocabulary]` and the new states."""
        x, states = self.run(self._embed(ids), states)
        return self.head(x), states


def cross_entropy(model: LanguageModel, ids: Tensor, targets: Tensor) -> Tensor:
    """Mean loss in nats per token; logits in the autocast dtype, log-softmax in float32."""
    logits = model(ids)
    return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
