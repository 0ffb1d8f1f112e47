"""Right or wrong at every question of a task, and means over questions with intervals over examples."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from torch import Tensor

from recallscope.prompting.models import Asked
from recallscope.prompting.prompts import Mapping, Prompts
from recallscope.tasks.task import NO_ANSWER, Examples, Task

ACCURACIES = (
    "accuracy",
    "accuracy among possible answers",
    "accuracy among answers in context",
    "accuracy among answers of the example",
)
_QUESTIONS = 128  # questions whose logits exist at one time
_Z = 1.959963984540054  # 97.5 % point of the normal distribution
_SAMPLE = 2**33  # added to the seed: a stream apart from that of the examples


@dataclass(frozen=True)
class Answers:
    """One row per question.

    Attributes
    ----------
    example : ndarray
        `[N]` which example asks.
    credit, chance : ndarray
        `[N, 4]` in the order of `ACCURACIES`: right (1), wrong (0), or tied with n - 1 others for the largest logit
        (1/n); and what a guess would get. NaN where the question does not count.
    nats : ndarray
        `[N]` loss of the right answer over the whole vocabulary.
    distance : ndarray
        `[N]` tokens of the example from the last occurrence of the right answer to the question; -1: it does not occur.
    vocabulary : int
        Number of logits.
    """

    example: np.ndarray
    credit: np.ndarray
    chance: np.ndarray
    nats: np.ndarray
    distance: np.ndarray
    vocabulary: int

    def where(self, chosen: np.ndarray) -> Answers:
        """Some of the questions."""
        columns = (self.example, self.credit, self.chance, self.nats, self.distance)
        return Answers(*(column[chosen] for column in columns), vocabulary=self.vocabulary)


@dataclass(frozen=True)
class Mean:
    """A mean over questions, its 95 % interval over examples, and the number of both."""

    value: float | None
    low: float | None
    high: float | None
    examples: int
    questions: int


def possible_answers(task: Task, examples: Examples) -> Tensor:
    """Ids that the task asks for, ascending: all answers of `examples` and of a large sample of others.

    Large: at least 8,192 questions, and so many that the second half of them brought no new id.
    """
    seen, questions, newest = torch.zeros(task.vocabulary, dtype=torch.bool), 0, 0
    size = min(max(2**20 // task.length, 1), 4096)
    while questions < max(2 * newest, 8192):
        drawn = task.sample(size, _SAMPLE + questions)
        ids = drawn.answers[drawn.answers != NO_ANSWER].long()
        questions += max(len(ids), 1)
        newest = newest if bool(seen[ids].all()) else questions
        seen[ids] = True
    seen[examples.answers[examples.answers != NO_ANSWER].long()] = True
    return seen.nonzero()[:, 0]


@torch.inference_mode()
def ask(
    model: Asked, prompts: Prompts, examples: Examples, mapping: Mapping, possible: Tensor, batch_tokens: int
) -> Answers:
    """What the model says at every question, in batches of at most `batch_tokens` tokens (one example at least)."""
    size, parts = max(batch_tokens // prompts.ids.shape[1], 1), []
    vocabulary = 0
    for start in range(0, len(examples), size):
        batch = slice(start, start + size)
        states = model.states(prompts.ids[batch].to(model.device), prompts.positions[batch].to(model.device))
        for at in (examples.answers[batch] != NO_ANSWER).nonzero().split(_QUESTIONS):
            row, column = at.unbind(1)
            logits = model.head(states[row.to(model.device), column.to(model.device)]).float()
            vocabulary = logits.shape[1]
            if vocabulary <= int(mapping.tokens.max()):
                most = int(mapping.tokens.max())
                raise ValueError(f"model: returns {vocabulary} logits, but ids up to {most} are asked for")
            parts.append(_scored(logits, examples, start + row, column, mapping.tokens, possible))
    example, credit, chance, nats, distance = (torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True))
    if not np.isfinite(nats).all():
        raise ValueError(f"model: loss {nats[~np.isfinite(nats)][0]} of an answer; its weights or its dtype are broken")
    return Answers(example, credit, chance, nats, distance, vocabulary)


def _scored(
    logits: Tensor, examples: Examples, row: Tensor, column: Tensor, tokens: Tensor, possible: Tensor
) -> tuple[Tensor, ...]:
    """The columns of `Answers` for some questions, from their logits `[N, V]`."""
    answer, position = examples.answers[row, column].long(), examples.positions[row, column].long()
    inputs, answers = examples.inputs[row].long(), examples.answers[row].long()
    time = torch.arange(inputs.shape[1])
    visible = time <= position[:, None]
    last = (visible & (inputs == answer[:, None])).mul(time + 1).amax(1)  # from 1; 0: nowhere
    distance = torch.where(last > 0, position + 1 - last, -1)
    stated = _members(inputs, visible, len(tokens))[:, possible]
    own = _members(answers, answers != NO_ANSWER, len(tokens))[:, possible]

    right = logits.gather(1, tokens[answer, None].to(logits.device))
    restricted = logits[:, tokens[possible].to(logits.device)]
    credits = [_credit(logits, right), _credit(restricted, right)]
    credits += [_credit(restricted.masked_fill(~own_.to(logits.device), -torch.inf), right) for own_ in (stated, own)]
    counts = [
        torch.full_like(answer, logits.shape[1]),
        torch.full_like(answer, len(possible)),
        stated.sum(1),
        own.sum(1),
    ]
    counted = torch.ones(len(row), len(ACCURACIES), dtype=torch.bool)
    counted[:, 2], counted[:, 3] = last > 0, own.sum(1) > 1
    credit = torch.stack(credits, 1).masked_fill(~counted, torch.nan)
    chance = torch.stack(counts, 1).double().reciprocal().masked_fill(~counted, torch.nan)
    nats = logits.logsumexp(1) - right[:, 0]
    return row, credit, chance, nats.cpu().double(), distance


def _members(ids: Tensor, counted: Tensor, vocabulary: int) -> Tensor:
    """`[N, vocabulary]`: which ids occur among the counted ones of each row."""
    found = torch.zeros(len(ids), vocabulary + 1, dtype=torch.bool)
    return found.scatter_(1, torch.where(counted, ids, vocabulary), True)[:, :-1]


def _credit(scores: Tensor, right: Tensor) -> Tensor:
    """1 where the right one is the largest, 1/n where n tie with it, else 0."""
    best = scores.amax(1, keepdim=True)
    return (right == best)[:, 0].cpu().double() / (scores == best).sum(1).cpu()


def accuracy(credit: np.ndarray, example: np.ndarray) -> Mean:
    """Mean credit, with Wilson's interval for as many independent questions as have the variance found over examples.

    That number is at most the number of questions, and the number of examples where all questions agree.
    """
    value, deviation, examples, questions = _mean(credit, example)
    if value is None:
        return Mean(None, None, None, 0, 0)
    spread = value * (1 - value)
    n = min(spread / deviation**2, questions) if deviation > 0 and spread > 0 else examples
    centre = (value + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * sqrt(max(spread, 0) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    return Mean(value, min(max(centre - half, 0.0), value), max(min(centre + half, 1.0), value), examples, questions)


def mean(numbers: np.ndarray, example: np.ndarray) -> Mean:
    """Mean with a normal interval over examples; none for a single example."""
    value, deviation, examples, questions = _mean(numbers, example)
    if value is None or examples == 1:
        return Mean(value, None, None, examples, questions)
    return Mean(value, value - _Z * deviation, value + _Z * deviation, examples, questions)


def _mean(numbers: np.ndarray, example: np.ndarray) -> tuple[float | None, float, int, int]:
    """Mean over questions (NaN: not counted), its deviation over examples as a ratio of two sums, and both numbers."""
    counted = ~np.isnan(numbers)
    if not counted.any():
        return None, 0.0, 0, 0
    numbers, (_, at) = numbers[counted], np.unique(example[counted], return_inverse=True)
    value, questions = float(numbers.mean()), np.bincount(at)
    residuals = np.bincount(at, numbers) - value * questions
    deviation = float(np.sqrt((residuals**2).sum()) / len(numbers))
    # Credits that are all alike leave a residue of rounding.
    return value, deviation if deviation > 1e-12 * abs(value) else 0.0, len(questions), len(numbers)
