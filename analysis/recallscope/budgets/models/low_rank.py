"""Low-rank changes of a trained model (LoRA, Hu et al. 2021, arXiv 2106.09685): `y = W x + B A x`, W frozen."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from recallscope.architectures.model import LanguageModel


class LowRank(nn.Module):
    """A frozen linear layer and the product `B A` that is trained beside it.

    A is `[rank, inputs]`, normal with deviation 1/√inputs; B is `[outputs, rank]`, zero, so that training starts at
    the frozen layer.
    """

    def __init__(self, frozen: nn.Linear, rank: int):
        super().__init__()
        self.frozen = frozen
        self.down = nn.Parameter(torch.randn(rank, frozen.in_features) * frozen.in_features**-0.5)
        self.up = nn.Parameter(torch.zeros(frozen.out_features, rank))

    @property
    def weight(self) -> Tensor:
        """The frozen weight: mixers make their empty states with its type and device."""
        return self.frozen.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.frozen(x) + x @ self.down.T @ self.up.T


def with_low_rank(model: LanguageModel, rank: int) -> LanguageModel:
    """A copy with low-rank changes beside every matrix of its blocks; only these are to be trained.

    Embedding, norms and head stay frozen. Raises `ValueError` for a negative rank; 0 is the model itself.
    """
    if rank < 0:
        raise ValueError(f"rank: at least 0, got {rank}")
    changed = copy.deepcopy(model)
    changed.requires_grad_(False)
    for module in list(changed.blocks.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                setattr(module, name, LowRank(child, rank))
    return changed


@torch.no_grad()
def merged(changed: LanguageModel) -> LanguageModel:
    """The model of `with_low_rank` with `W + B A` in place of both: it costs no more than before."""
    model = copy.deepcopy(changed)
    for module in list(model.blocks.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, LowRank):
                child.frozen.weight += child.up @ child.down
                setattr(module, name, child.frozen)
    return model.requires_grad_(True)
