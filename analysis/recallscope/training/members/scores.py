"""Losses and scores of answers, for many members at once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from recallscope.tasks.task import NO_ANSWER, Examples


def answer_losses(outputs: Tensor, answers: Tensor) -> Tensor:
    """`[M, B, Q, X]` outputs and `[M, B, Q]` answers to the mean loss of each member, `[M]`.

    Ids: cross-entropy in nats per answer, in float32. Numbers (`X` = 1): mean squared error.
    """
    members = len(outputs)
    if answers.is_floating_point():
        return (outputs[..., 0].float() - answers).square().reshape(members, -1).mean(1)
    labels = answers.long()
    losses = F.cross_entropy(outputs.flatten(0, 2).float(), labels.flatten(), reduction="none", ignore_index=NO_ANSWER)
    return losses.view(members, -1).sum(1) / (labels != NO_ANSWER).view(members, -1).sum(1)


def score_sums(outputs: Tensor, examples: Examples) -> dict[str, Tensor]:
    """`[M, B, Q, X]` outputs for the same examples to sums over scored answers, `[M]` each, float64.

    `count` answers, their `loss`; for ids `correct` answers (with a reference: arg-maxes that it gives a probability
    above 0) and, with a reference, `variation`: half the L1 distance of the distributions.
    """
    members = len(outputs)
    outputs = outputs.float()
    if examples.answers.is_floating_point():
        loss = (outputs[..., 0] - examples.answers).square()
        return {"count": torch.full_like(loss.flatten(1)[:, 0].double(), loss[0].numel()), "loss": _sum(loss)}
    labels = examples.answers.long()
    answered = labels != NO_ANSWER
    logs = outputs.log_softmax(-1)
    loss = -logs.gather(-1, labels.clamp(min=0).expand(members, -1, -1)[..., None])[..., 0] * answered
    best = outputs.argmax(-1)
    if examples.reference is None:
        right, scored = (best == labels) & answered, answered
    else:
        reference = examples.reference
        scored = reference.sum(-1) > 0
        right = (reference.expand(members, *reference.shape).gather(-1, best[..., None])[..., 0] > 0) & scored
    sums = {"count": _sum(scored.expand(members, *scored.shape)), "loss": _sum(loss), "correct": _sum(right)}
    if examples.reference is not None:
        variation = 0.5 * (logs.exp() - examples.reference).abs().sum(-1) * scored
        sums |= {"variation": _sum(variation), "answered": _sum(answered.expand(members, *answered.shape))}
    return sums


def _sum(x: Tensor) -> Tensor:
    return x.flatten(1).double().sum(1)
