"""Projected networks: one network that contains a small model for every cluster (arXiv 2402.01093, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.config import ModelConfig
from recallscope.architectures.feed_forward import FeedForward
from recallscope.architectures.model import Block, LanguageModel


class Projection(nn.Module):
    """SwiGLU matrices of one layer for any expert: `W[a, b] = Σ_q Σ_r E[q] M[q, r] T[a, b, r]`.

    T holds most parameters: `up` `[2 F D, h]` and `down` `[D F, h]`, a row for each element [a, b]; M, `mix`, is
    `[m, h]`. The vector E of an expert is shared by all layers and comes from `ProjectedModel`.
    """

    def __init__(self, width: int, hidden: int, h: int, m: int):
        super().__init__()
        self.width, self.hidden = width, hidden
        self.mix = nn.Parameter(torch.randn(m, h) * h**-0.5)
        self.up = nn.Parameter(torch.randn(2 * hidden * width, h) * width**-0.5)
        self.down = nn.Parameter(torch.zeros(width * hidden, h))  # zero, as everywhere at the end of a branch

    def matrices(self, expert: Tensor) -> tuple[Tensor, Tensor]:
        """`[m]` to the matrices `[2 F, D]` and `[D, F]`; two products, which cost the same for any number of tokens."""
        column = (expert[None] @ self.mix).T
        return (self.up @ column).view(-1, self.width), (self.down @ column).view(self.width, -1)

    def forward(self, x: Tensor, expert: Tensor) -> Tensor:
        up, down = self.matrices(expert)
        gate, value = F.linear(x, up).chunk(2, -1)
        return F.linear(F.silu(gate) * value, down)


class ProjectedModel(nn.Module):
    """A language model whose feed-forward layers are made for one of k clusters; everything else is shared.

    Parameters
    ----------
    config : ModelConfig
        The small model that an expert is; SwiGLU in every layer.
    clusters : int
        Number of experts k.
    h : int
        Capacity: matrices that each layer can mix. With h = m = k, E and M the identity, it is the hard mixture
        whose experts share all but their feed-forward layers.
    m : int
        Parameters of an expert alone.
    """

    def __init__(self, config: ModelConfig, clusters: int, h: int, m: int):
        super().__init__()
        if min(clusters, h, m) < 1:
            raise ValueError(f"clusters, h, m: at least 1, got {clusters}, {h} and {m}")
        self.config = config
        self.shared = LanguageModel(config)
        self.experts = nn.Parameter(torch.randn(clusters, m) * m**-0.5)
        self.projections = nn.ModuleList()
        for block in self._blocks():
            if not isinstance(block.ffn, FeedForward):
                raise ValueError("config: SwiGLU feed-forward layers in every block")
            self.projections.append(Projection(config.width, block.ffn.hidden, h, m))
            block.ffn = None

    def _blocks(self) -> list[Block]:
        return list(self.shared.blocks)  # type: ignore[arg-type]

    def forward(self, ids: Tensor, cluster: int) -> Tensor:
        """`[B, T]` of one cluster to logits `[B, T, vocabulary]`."""
        x = self.shared._embed(ids)
        for block, projection in zip(self._blocks(), self.projections, strict=True):
            x = x + block.mixer(block.mixer_norm(x))
            assert block.ffn_norm is not None
            x = x + projection(block.ffn_norm(x), self.experts[cluster])
        return self.shared.head(self.shared.norm(x))

    @torch.no_grad()
    def instantiate(self, cluster: int) -> LanguageModel:
        """The small model of one cluster, with weights of its own."""
        model = LanguageModel(self.config)
        model.load_state_dict(self.shared.state_dict(), strict=False)  # all but the feed-forward layers
        for block, projection in zip(model.blocks, self.projections, strict=True):
            up, down = projection.matrices(self.experts[cluster])  # type: ignore[operator]
            block.ffn.up.weight.copy_(up)  # type: ignore[union-attr, operator]
            block.ffn.down.weight.copy_(down)  # type: ignore[union-attr, operator]
        return model
