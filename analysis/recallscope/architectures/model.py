"""One language model for every mixer: embedding, pre-norm blocks of mixer and SwiGLU, head."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.mixers import MIXERS


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
        One per layer: `{"mixer": name in MIXERS, ...its keyword arguments}`.
    ffn_width : int
        Hidden width of the SwiGLU feed-forward layers.
    context : int
        Length of the training windows, in tokens; a default for evaluation, not a limit.
    """

    vocabulary: int
    width: int
    layers: tuple[dict[str, Any], ...]
    ffn_width: int
    context: int = 1024

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(dict(layer) for layer in self.layers))
        for layer in self.layers:
            if layer.get("mixer") not in MIXERS:
                raise ValueError(f"layers: mixer must be one of {', '.join(MIXERS)}, got {layer.get('mixer')!r}")

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        return cls(**json.loads(text))


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020): `W₂ (SiLU(W₁ x) ⊙ W₃ x)`, W₁ and W₃ in one product."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.up(x).chunk(2, -1)
        return self.down(F.silu(gate) * value)


class Block(nn.Module):
    """`x + Mixer(RMSNorm(x))`, then `x + FFN(RMSNorm(x))`."""

    def __init__(self, config: ModelConfig, layer: dict[str, Any]):
        super().__init__()
        arguments = {name: value for name, value in layer.items() if name != "mixer"}
        self.mixer_norm = nn.RMSNorm(config.width, eps=1e-5)
        self.mixer = MIXERS[layer["mixer"]](config.width, **arguments)
        self.ffn_norm = nn.RMSNorm(config.width, eps=1e-5)
        self.ffn = FeedForward(config.width, config.ffn_width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mixer(self.mixer_norm(x))
        return x + self.ffn(self.ffn_norm(x))

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        mixed, state = self.mixer.step(self.mixer_norm(x), state)
        x = x + mixed
        return x + self.ffn(self.ffn_norm(x)), state


class LanguageModel(nn.Module):
    """Causal language model over any stack of mixers; embedding and head have weights of their own."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in config.layers)
        self.norm = nn.RMSNorm(config.width, eps=1e-5)
        self.head = nn.Linear(config.width, config.vocabulary, bias=False)
        self._initialise()

    def _initialise(self) -> None:
        """Normal weights of deviation 1/√fan_in; zeros in the head and in the last product of each residual branch.

        So the residual stream starts as the embedding alone, the loss at ln(vocabulary). With branches that start at
        full size, attention had not learned to copy after 11 M tokens (see LOG.md).
        """
        for name, parameter in self.named_parameters():
            if name.endswith(("mixer.out.weight", "ffn.down.weight", "head.weight")):
                nn.init.zeros_(parameter)
            elif parameter.ndim == 2 and "filter" not in name:
                nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)

    def _embed(self, ids: Tensor) -> Tensor:
        """Embeddings times √D: of unit size, and yet learned as fast as weights of size 1/√D."""
        return self.embedding(ids) * self.config.width**0.5

    def hidden(self, ids: Tensor) -> Tensor:
        """`[B, T] -> [B, T, D]`: what the head reads."""
        x = self._embed(ids)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def forward(self, ids: Tensor) -> Tensor:
        """`[B, T] -> logits [B, T, vocabulary]`."""
        return self.head(self.hidden(ids))

    def init_state(self, batch: int) -> list[tuple[Tensor, ...]]:
        """State of every layer before the first token."""
        return [block.mixer.init_state(batch) for block in self.blocks]  # type: ignore[union-attr, operator]

    def step(self, ids: Tensor, states: list[tuple[Tensor, ...]]) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
        """One token per sequence: `[B]` and the states to logits `[B, vocabulary]` and the new states."""
        x, after = self._embed(ids), []
        for block, state in zip(self.blocks, states, strict=True):
            x, state = block.step(x, state)  # type: ignore[operator]
            after.append(state)
        return self.head(self.norm(x)), after

    def state_elements(self, t: int) -> int:
        """Elements that survive between two decoding steps after `t` tokens, per sequence, over all layers."""
        return sum(block.mixer.state_elements(t) for block in self.blocks)  # type: ignore[union-attr, operator]

    def parameters_count(self) -> int:
        """Number of parameters, embedding and head included."""
        return sum(parameter.numel() for parameter in self.parameters())


def cross_entropy(model: LanguageModel, ids: Tensor, targets: Tensor) -> Tensor:
    """Mean loss in nats per token; logits in the autocast dtype, log-softmax in float32."""
    logits = model(ids)
    return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
