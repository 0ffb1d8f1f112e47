"""One language model for every mixer: embedding, pre-norm blocks of mixer and feed-forward layer, head."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.config import ModelConfig, build_layer
from recallscope.architectures.mixers import State

_TIED = 0.02  # deviation of an embedding whose rows are the head's


class Block(nn.Module):
    """`x + Mixer(RMSNorm(x))`, then `x + FFN(RMSNorm(x))` if there is an FFN."""

    def __init__(self, config: ModelConfig, layer: dict[str, Any]):
        super().__init__()
        self.mixer_norm = nn.RMSNorm(config.width, eps=1e-5)
        self.mixer, self.ffn = build_layer(config, layer)
        self.ffn_norm = nn.RMSNorm(config.width, eps=1e-5) if self.ffn else None
        self._ffn_tensors = len(self.ffn.init_state(0)) if self.ffn else 0

    def forward(self, x: Tensor, prefix: int = 0) -> Tensor:
        """`prefix` goes to mixers that encode their first tokens without a causal mask."""
        encoded = {"prefix": prefix} if prefix and self.mixer.encodes else {}
        x = x + self.mixer(self.mixer_norm(x), **encoded)
        return x + self.ffn(self.ffn_norm(x)) if self.ffn and self.ffn_norm else x

    def init_state(self, batch: int) -> State:
        """The mixer's state, then that of the feed-forward layer, which is empty but for RWKV's."""
        return *self.mixer.init_state(batch), *(self.ffn.init_state(batch) if self.ffn else ())

    def prefill(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        return self._both(x, self.init_state(x.shape[0]) if state is None else state, "prefill")

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return self._both(x, state, "step")

    def _both(self, x: Tensor, state: State, form: str) -> tuple[Tensor, State]:
        cut = len(state) - self._ffn_tensors
        mixed, after = getattr(self.mixer, form)(self.mixer_norm(x), state[:cut])
        x = x + mixed
        if self.ffn and self.ffn_norm:
            fed, last = getattr(self.ffn, form)(self.ffn_norm(x), state[cut:])
            x, after = x + fed, (*after, *last)
        return x, after


class Stack(nn.Module):
    """The layers of a shape and the norm after them, on vectors: a language model without embedding and head."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self._build(config)
        self._initialise()

    def _build(self, config: ModelConfig) -> None:
        self.config = config
        self.blocks = nn.ModuleList(Block(config, layer) for layer in config.layers)
        self.norm = nn.RMSNorm(config.width, eps=1e-5)

    def _initialise(self) -> None:
        """Normal weights of deviation 1/√fan_in; zeros in the head and in the last product of each residual branch.

        So the residual stream starts as the embedding alone, the loss at ln(vocabulary). With branches that start at
        full size, attention had not learned to copy after 11 M tokens (see LOG.md). An embedding that is the head too
        starts at 0.02, as GPT-2's: at 1/√D the logits start with deviation 1, and MQAR took twice the steps.
        """
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear) and name.endswith(("mixer.out", "mixer.decoder.out", "ffn.down", "head")):
                nn.init.zeros_(module.weight)
            elif isinstance(module, nn.Linear | nn.Embedding) and "filter" not in name:  # Hyena's has its own scale
                nn.init.normal_(module.weight, std=module.weight.shape[1] ** -0.5)

    def _passes(self) -> list[tuple[Block, bool]]:
        """The blocks in the order in which they run, and whether the embedding is added before them."""
        inject = self.config.inject
        loops = range(self.config.loops)
        return [(block, inject and i == 0 and loop > 0) for loop in loops for i, block in enumerate(self.blocks)]  # type: ignore[misc]

    def vectors(self, x: Tensor, prefix: int = 0) -> Tensor:
        """`[B, T, D] -> [B, T, D]`, from the empty state; layers that encode (JRT) encode the first `prefix` tokens."""
        start = x
        for block, again in self._passes():
            x = block(x + start if again else x, prefix)
        return self.norm(x)

    def init_state(self, batch: int) -> list[State]:
        """State of every layer before the first token, for each pass over the layers."""
        return [block.init_state(batch) for block, _ in self._passes()]

    def run(self, x: Tensor, states: list[State] | None = None) -> tuple[Tensor, list[State]]:
        """`[B, T, D]`, or `[B, D]` in one step, and the states before them to outputs and the states after them."""
        passes, after, start, one = self._passes(), [], x, x.ndim == 2
        for (block, again), state in zip(passes, states or [None] * len(passes), strict=True):
            x, state = (block.step if one else block.prefill)(x + start if again else x, state)  # type: ignore[arg-type]
            after.append(state)
        return self.norm(x), after


class LanguageModel(Stack):
    """Causal language model over any stack of mixers; embedding and head have weights of their own unless tied.

    What it costs, `architecture.Architecture` says.
    """

    def __init__(self, config: ModelConfig):
        nn.Module.__init__(self)
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self._build(config)
        self.head = nn.Linear(config.width, config.vocabulary, bias=False)
        self._initialise()
        if config.tied:
            nn.init.normal_(self.embedding.weight, std=_TIED)
            self.head.weight = self.embedding.weight

    def _embed(self, ids: Tensor) -> Tensor:
        """Embeddings times √D: of unit size, and yet learned as fast as weights of size 1/√D."""
        return self.embedding(ids) * self.config.width**0.5

    def hidden(self, ids: Tensor, prefix: int = 0) -> Tensor:
        """`[B, T] -> [B, T, D]`: what the head reads."""
        return self.vectors(self._embed(ids), prefix)

    def forward(self, ids: Tensor) -> Tensor:
        """`[B, T] -> logits [B, T, vocabulary]`."""
        return self.head(self.hidden(ids))

    def at(self, ids: Tensor, positions: Tensor, prefix: int = 0) -> Tensor:
        """`[B, T]` ids and `[B, Q]` positions to logits `[B, Q, vocabulary]`: the head runs only where it is asked."""
        return self.head(self.hidden(ids, prefix).take_along_dim(positions[..., None], 1))

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
