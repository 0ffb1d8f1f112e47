"""Can a model copy? The loss on the second copy of a random token sequence, against the first."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from recallscope.architectures.model import LanguageModel


def copy_losses(
    model: LanguageModel, length: int, sequences: int = 32, seed: int = 0, bos: int = 0
) -> dict[str, float]:
    """Mean loss in nats per token on both copies of random sequences `bos, x_1 ... x_length, x_1 ... x_length`.

    Tokens are drawn uniformly from the vocabulary without `bos`, so only recall lowers the loss of the second copy: a
    model without memory stays at ln(vocabulary) or above on both. The first token of the second copy is left out
    (nothing says where the copy begins).
    """
    vocabulary = model.config.vocabulary
    rng = np.random.default_rng(seed)
    once = rng.integers(1, vocabulary, (sequences, length))
    ids = torch.from_numpy(np.concatenate([np.full((sequences, 1), bos), once, once], 1))
    with torch.inference_mode():
        logits = model(ids[:, :-1]).float()
        nll = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view(sequences, -1)
    return {"first": nll[:, :length].mean().item(), "second": nll[:, length + 1 :].mean().item()}
