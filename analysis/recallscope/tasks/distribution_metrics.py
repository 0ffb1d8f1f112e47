"""How near predicted distributions are to the true ones: legal arg-max, total variation, divergence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from recallscope.tasks.task import check


class Estimate(NamedTuple):
    """A mean over slots and its standard error over examples (nan for a single example)."""

    value: float
    error: float


@dataclass(frozen=True)
class DistributionScores:
    """Means over all evaluated slots of all examples.

    Attributes
    ----------
    accuracy : Estimate
        Share of slots whose likeliest id is possible under the reference.
    total_variation : Estimate
        Half the L1 distance to the reference.
    kl : Estimate
        Divergence of the prediction from the reference, KL(reference ‖ predicted), in nats.
    slots : int
        How many slots were evaluated.
    """

    accuracy: Estimate
    total_variation: Estimate
    kl: Estimate
    slots: int


def score_distributions(
    predicted: Tensor, reference: Tensor, first: int | None = None, floor: float = 1e-7
) -> DistributionScores:
    """Compare predicted distributions with the reference in the slots that have one (where `reference` is not zero).

    The measures of Akyürek et al. 2024 (arXiv 2401.12973), as the authors' code computes them: every slot of every
    example weighs the same, the arg-max is over the whole vocabulary, and the first of equally likely ids counts.

    Parameters
    ----------
    predicted, reference : Tensor
        `[examples, Q, vocabulary]` probabilities. Predicted rows may sum to less than 1.
    first : int, optional
        Only the first so many slots of each example.
    floor : float
        Added to both probabilities in the logarithm of `kl` (1e-7 as in the authors' code). 0 gives the exact
        divergence, infinite where a possible id has probability 0.
    """
    check(predicted.ndim == 3, "predicted", "[examples, Q, vocabulary]", tuple(predicted.shape))
    check(reference.shape == predicted.shape, "reference", f"shape {tuple(predicted.shape)}", tuple(reference.shape))
    low, high = float(predicted.min()), float(predicted.max())
    check(-1e-6 <= low and high <= 1 + 1e-3, "predicted", "probabilities of 0 to 1", f"{low:.4g} to {high:.4g}")
    check(first is None or first >= 1, "first", "at least 1 or None", first)
    check(floor >= 0, "floor", "at least 0", floor)
    evaluated = reference[:, :first].sum(2) > 0
    slots = int(evaluated.sum())
    check(slots > 0, "reference", "a distribution in at least one slot", "zeros")
    p, r = predicted[:, :first][evaluated], reference[:, :first][evaluated]
    example = evaluated.nonzero()[:, 0]
    return DistributionScores(
        accuracy=_mean(legal(p, r), example, len(predicted)),
        total_variation=_mean(total_variation(p, r), example, len(predicted)),
        kl=_mean(kl_divergence(p, r, floor), example, len(predicted)),
        slots=slots,
    )


def legal(predicted: Tensor, reference: Tensor) -> Tensor:
    """`[...]`: 1 where the likeliest id has a probability above 0 under the reference, else 0; float64."""
    return (reference.gather(-1, predicted.argmax(-1, keepdim=True))[..., 0] > 0).double()


def total_variation(predicted: Tensor, reference: Tensor) -> Tensor:
    """`[...]`: half the L1 distance over the last axis, float64."""
    return (predicted - reference).abs().sum(-1, dtype=torch.float64) / 2


def kl_divergence(predicted: Tensor, reference: Tensor, floor: float = 0.0) -> Tensor:
    """`[...]`: sum of r (ln(r + floor) - ln(p + floor)) over the last axis, float64, nats."""
    possible = reference > 0
    p, r = predicted[possible].double(), reference[possible].double()
    parts = torch.zeros_like(reference, dtype=torch.float64)
    parts[possible] = r * ((r + floor).log() - (p + floor).log())
    return parts.sum(-1)


def _mean(values: Tensor, example: Tensor, examples: int) -> Estimate:
    """Mean over slots; its error is that of a ratio of the examples' sums to their numbers of slots."""
    sums, counts = (torch.bincount(example, weights, examples) for weights in (values, torch.ones_like(values)))
    value = values.mean()
    if examples == 1:
        return Estimate(float(value), float("nan"))
    spread = (sums - value * counts).square().sum() * examples / (examples - 1)
    return Estimate(float(value), float(spread.sqrt() / len(values)))
