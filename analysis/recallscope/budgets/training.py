"""One loop for all methods: batches in, steps of AdamW, and the FLOPs that torch counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.counting import count_flops

Loss = Callable[[Tensor, Tensor], Tensor]
"""`[B, T]` inputs and targets to the mean loss of a batch, nats per token."""
WARMUP = 20
DISTILLED = 0.5
"""Weight of the teacher's distribution in the loss of a student."""


class Trainer:
    """AdamW on the parameters that require a gradient, norm of the gradient at most 1, and the FLOPs so far.

    `flops` are measured: those of one step by torch's counter (products only; `count_flops`) for each time a step of
    that shape was made. Constant rate after `WARMUP` steps; `decay_over` lets it fall to zero over so many steps.
    """

    def __init__(self, model: nn.Module, rate: float, decay_over: int | None = None):
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=rate, betas=(0.9, 0.95), weight_decay=0.0)
        self.rate, self.decay_over = rate, decay_over
        self.steps, self.flops, self._of_shape = 0, 0, {}

    def step(self, ids: np.ndarray, loss: Loss, shape: object = None) -> None:
        """One step on windows `[B, T + 1]`; `shape` tells apart steps of the same size that cost differently."""
        batch = torch.from_numpy(ids.astype(np.int64))
        key = (batch.shape, shape)
        if key not in self._of_shape:
            with count_flops() as counted:
                self._forward_backward(batch, loss)
            self._of_shape[key] = counted.flops
        else:
            self._forward_backward(batch, loss)
        self.flops += self._of_shape[key]
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        left = 1.0 if self.decay_over is None else 1 - self.steps / self.decay_over
        warm = (self.steps + 1) / min(WARMUP, self.decay_over or WARMUP)
        self.optimizer.param_groups[0]["lr"] = self.rate * min(warm, left, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.steps += 1

    @staticmethod
    def _forward_backward(batch: Tensor, loss: Loss) -> None:
        loss(batch[:, :-1], batch[:, 1:]).backward()


def next_token(model: Callable[[Tensor], Tensor]) -> Loss:
    """Cross-entropy of a model's logits."""
    return lambda ids, targets: F.cross_entropy(model(ids).flatten(0, 1), targets.flatten())


def distilled(student: Callable[[Tensor], Tensor], teacher: Callable[[Tensor], Tensor]) -> Loss:
    """Cross-entropy with the text and with the teacher's distribution, mixed by `DISTILLED` (Hinton et al. 2015)."""

    def loss(ids: Tensor, targets: Tensor) -> Tensor:
        logits = student(ids).flatten(0, 1)
        with torch.no_grad():
            soft = F.softmax(teacher(ids).flatten(0, 1), -1)
        hard = F.cross_entropy(logits, targets.flatten())
        return (1 - DISTILLED) * hard + DISTILLED * F.cross_entropy(logits, soft)

    return loss


def passes(ids: np.ndarray, batch: int, times: int, seed: int) -> Iterator[np.ndarray]:
    """Batches of so many passes over the windows, each in an order of its own; an incomplete batch is left out."""
    rng = np.random.default_rng([seed, 2])
    for _ in range(times):
        order = rng.permutation(len(ids))
        for first in range(0, len(ids) - batch + 1, batch):
            yield ids[order[first : first + batch]]


def drawn(
    ids: np.ndarray, batch: int, steps: int, seed: int, weights: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """Batches of windows: in random order and each once, or, with weights, drawn in proportion to them."""
    rng = np.random.default_rng([seed, 3])
    if weights is None:
        if steps * batch > len(ids):
            raise ValueError(f"steps: at most {len(ids) // batch} batches of {batch} windows, got {steps}")
        chosen = rng.permutation(len(ids))[: steps * batch]
    else:
        chosen = rng.choice(len(ids), steps * batch, p=weights / weights.sum())
    yield from (ids[own] for own in chosen.reshape(steps, batch))


@torch.no_grad()
def losses(model: Callable[[Tensor], Tensor], ids: np.ndarray, batch: int = 16) -> np.ndarray:
    """Loss of each window `[n, T + 1]`, in nats, summed over its tokens in float64."""
    found = []
    for part in _parts(ids, batch):
        logits = model(part[:, :-1]).flatten(0, 1).float()
        nll = F.cross_entropy(logits, part[:, 1:].flatten(), reduction="none")
        found.append(nll.view(len(part), -1).double().sum(1).numpy())
    return np.concatenate(found)


def _parts(ids: np.ndarray, batch: int) -> Iterable[Tensor]:
    return torch.from_numpy(ids.astype(np.int64)).split(batch)
