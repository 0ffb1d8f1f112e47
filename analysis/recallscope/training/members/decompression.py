"""The decoder of MAD's compression task: a whole sequence from one output of a model."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.model import LanguageModel


class Decompression(nn.Module):
    """A language model as encoder, and a small MLP that reads every slot from its last output.

    The form is that of MAD's compression task (Poli et al. 2024, arXiv 2403.17844, as the authors' code builds it).
    With x the model's output (before its head) at the last token and s_i the sinusoids of slot i, its token has the
    logits

        `head(N₃(GELU(W₂ N₂(GELU(W₁ N₁(x + s_i) + b₁)) + b₂)))`

    with RMS norms N and both matrices D × D: the decoder does not expand, and knows of the tokens what is in x. Three
    things differ from the authors' code: x is the model's normalised output, the last matrix is the model's head,
    without a bias, and weights start with deviation 1/√D instead of 0.02 (the head with zeros).

    Parameters
    ----------
    model : LanguageModel
        Trained with the decoder; its own answer to what comes next is not used.
    """

    def __init__(self, model: LanguageModel):
        super().__init__()
        self.model, width = model, model.config.width
        self.norms = nn.ModuleList(nn.RMSNorm(width, eps=1e-5) for _ in range(3))
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        for layer in self.layers:
            nn.init.normal_(layer.weight, std=width**-0.5)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def at(self, inputs: Tensor, positions: Tensor) -> Tensor:
        """`[B, T]` ids to logits `[B, Q, vocabulary]`, slot i at index i.

        Of `positions` `[B, Q]` only the number of slots counts: all are read at the last token.
        """
        x = self.model.hidden(inputs)[:, -1:]
        x = x + sinusoids(positions.shape[1], x.shape[2], x.device).to(x.dtype)
        for norm, layer in zip(self.norms, self.layers, strict=False):
            x = F.gelu(layer(norm(x)))
        return self.model.head(self.norms[-1](x))


def sinusoids(slots: int, width: int, device: torch.device | None = None) -> Tensor:
    """`[slots, width]`: sines in the first half, cosines in the second; a last 0 when the width is odd.

    The j-th of m = ⌊width / 2⌋ frequencies is 10000^(-j / (m - 1)), from 1 down to 1/10000.
    """
    half = width // 2
    steps = torch.arange(half, device=device) / max(half - 1, 1)
    angles = torch.arange(slots, device=device)[:, None] * torch.exp(-math.log(10000) * steps)
    return F.pad(torch.cat([angles.sin(), angles.cos()], 1), (0, width % 2))
