"""The language models that the note compares: one layer that recurs over blocks, and a stack of such layers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.recurrent_transformer.layer import TransformerLayer
from recallscope.architectures.recurrent_transformer.recurrence import BlockState, Recurrence


@dataclass(frozen=True)
class TransformerShape:
    """Shape of a GPT-2-like model, regular or recurrent.

    Attributes
    ----------
    vocabulary, width, heads : int
        Token ids, D, heads of the layers.
    context : int
        Positions that have an embedding: no input is longer.
    block : int or None
        Tokens w of a block of the recurrent model; None: the regular one.
    layers : int
        Layers of the regular model; the recurrent one has 1.
    variant : str
        `forget`, `accumulate` or `accumulate_outputs`: see `Recurrence`, also for `alpha` and `learned`.
    positions : bool
        Whether position embeddings are added, once, before the first layer.
    periodic : bool
        Whether these are of the place in a block, not of the place in the input. Not the note's.
    activation : str
        `gelu` or `relu`.
    classes : int or None
        Width of a head of its own; None: the head is the embedding.
    """

    vocabulary: int
    width: int
    heads: int
    context: int
    block: int | None = None
    layers: int = 1
    variant: str = "forget"
    alpha: float = 0.5
    learned: bool = False
    positions: bool = True
    periodic: bool = False
    activation: str = "gelu"
    classes: int | None = None

    def __post_init__(self) -> None:
        for name in ("vocabulary", "width", "heads", "context", "layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: at least 1, got {getattr(self, name)}")
        if self.classes is not None and self.classes < 1:
            raise ValueError(f"classes: at least 1, got {self.classes}")
        if self.block is not None and self.layers > 1:
            raise ValueError(f"layers: 1 in a recurrent model, got {self.layers}")
        if self.periodic and (self.block is None or not self.positions):
            raise ValueError("periodic: of models with positions and a block, got positions or block missing")
        if self.block is None and (self.variant != "forget" or self.learned):
            raise ValueError("variant, learned: of recurrent models alone, which have a block; got block None")

    @property
    def places(self) -> int:
        """Position embeddings: one for each place in the input, or in a block, or none."""
        return self.positions * (self.block if self.periodic and self.block else self.context)


class TransformerModel(nn.Module):
    """Embedding and positions, the layers or the recurrence, a last LayerNorm, and the head.

    Weights start as GPT-2's, with deviation 0.02. Dropout, which the note has, is left out.
    """

    def __init__(self, shape: TransformerShape):
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        if shape.positions:
            self.position = nn.Parameter(0.02 * torch.randn(shape.places, shape.width))
        layers = [
            TransformerLayer(shape.width, shape.heads, shape.activation, shape.layers) for _ in range(shape.layers)
        ]
        if shape.block is None:
            self.core: nn.Sequential | Recurrence = nn.Sequential(*layers)
        else:
            self.core = Recurrence(layers[0], shape.block, shape.variant, shape.alpha, shape.learned)
        self.norm = nn.LayerNorm(shape.width, bias=False)
        if shape.classes is not None:
            self.head = nn.Linear(shape.width, shape.classes, bias=False)
            nn.init.normal_(self.head.weight, std=0.02)

    def embed(self, ids: Tensor, start: int = 0) -> Tensor:
        """`[B, N]` ids, the first at position `start`, to `[B, N, D]`."""
        end = start + ids.shape[1]
        if not ids.shape[1] or end > self.shape.context:
            raise ValueError(f"ids: 1 to {self.shape.context} tokens (context), got {end}")
        x = self.embedding(ids)
        if self.shape.periodic:
            return x + self.position[torch.arange(start, end, device=ids.device) % self.shape.places]
        return x + self.position[start:end] if self.shape.positions else x

    def logits(self, x: Tensor) -> Tensor:
        """Outputs of the layers `[..., D]` to logits."""
        weight = self.embedding.weight if self.shape.classes is None else self.head.weight
        return F.linear(self.norm(x), weight)

    def forward(self, ids: Tensor) -> Tensor:
        """`[B, N] -> logits [B, N, vocabulary]`."""
        return self.logits(self.core(self.embed(ids)))

    def at(self, ids: Tensor, positions: Tensor, start: int = 0) -> Tensor:
        """`[B, N]` ids and `[B, Q]` positions to logits `[B, Q, vocabulary]`: the head runs only where it is asked.

        With `start`, at most the least position, a recurrence leaves out the outputs of blocks before it.
        """
        x = self.embed(ids)
        x = self.core(x, start=start) if start and isinstance(self.core, Recurrence) else self.core(x)[:, start:]
        return self.logits(x.take_along_dim(positions[..., None] - start, 1))

    def step(self, ids: Tensor, start: int, state: BlockState | None) -> tuple[Tensor | None, BlockState]:
        """One block `[B, ≤ w]` at position `start`: logits of the block before it (None at first), and the state.

        `close` gives those of the last block.
        """
        core, x, w = self._recurrence(), self.embed(ids, start), self.shape.block
        if w is not None and ids.shape[1] > w:
            raise ValueError(f"ids: at most a block of {w} tokens, got {ids.shape[1]}")
        if state is not None and state.hidden.shape[1] != w:
            raise ValueError(f"state: after whole blocks of {w} tokens, got {state.hidden.shape[1]} in the last")
        if state is None:
            return None, core.start(x)
        y, state = core.step(x, state)
        return self.logits(y), state

    def close(self, state: BlockState) -> Tensor:
        """Logits of the last block."""
        return self.logits(self._recurrence().close(state))

    def _recurrence(self) -> Recurrence:
        if not isinstance(self.core, Recurrence):
            raise ValueError("model: a recurrent one, with a block, got block None")
        return self.core
