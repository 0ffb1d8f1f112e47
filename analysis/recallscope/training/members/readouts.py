"""The model that a task needs around the mixers: ids to ids, or vectors to numbers."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from recallscope.architectures.config import ModelConfig
from recallscope.architectures.model import LanguageModel, Stack
from recallscope.tasks.mad.compression import MadCompression
from recallscope.tasks.regression import InContextRegression
from recallscope.training.members.decompression import Decompression
from recallscope.training.members.mix import Mix


class VectorModel(nn.Module):
    """Vectors `[B, T, d]` to one number per asked position: a linear map in, the stack of layers, a linear map out."""

    def __init__(self, config: ModelConfig, dimensions: int):
        super().__init__()
        self.stack = Stack(config)
        self.up = nn.Linear(dimensions, config.width)
        self.out = nn.Linear(config.width, 1)

    def at(self, inputs: Tensor, positions: Tensor) -> Tensor:
        """`[B, T, d]` and `[B, Q]` positions to `[B, Q, 1]`."""
        return self.out(self.stack.vectors(self.up(inputs)).take_along_dim(positions[..., None], 1))


class Encoding(nn.Module):
    """A model whose layers that encode (JRT) read the whole input without a causal mask."""

    def __init__(self, model: LanguageModel):
        super().__init__()
        self.model = model

    def at(self, inputs: Tensor, positions: Tensor) -> Tensor:
        """`[B, T]` ids and `[B, Q]` positions to logits `[B, Q, vocabulary]`."""
        return self.model.at(inputs, positions, prefix=inputs.shape[1])


def build_model(config: ModelConfig, mix: Mix) -> nn.Module:
    """The model of a shape for a mix of tasks, with its vocabulary; `at(inputs, positions)` gives its outputs."""
    task = mix.train[0][0]
    if isinstance(task, InContextRegression):
        return VectorModel(config, task.dimensions + 1)
    model = LanguageModel(replace(config, vocabulary=mix.vocabulary))
    if isinstance(task, MadCompression):
        return Decompression(model)
    if task.prefix and any(block.mixer.encodes for block in model.blocks):  # type: ignore[union-attr]
        return Encoding(model)
    return model


def parameters_count(config: ModelConfig, mix: Mix) -> int:
    """Parameters of `build_model`, without memory for them; fails on a shape that cannot be built."""
    with torch.device("meta"):
        return sum(weight.numel() for weight in build_model(config, mix).parameters())
