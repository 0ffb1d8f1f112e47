"""One model trained stage after stage, where the course of the validation decides what comes next; resumable."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from recallscope.allocator import keep_freed_memory
from recallscope.architectures.recurrent_transformer import TransformerModel, TransformerShape
from recallscope.tasks.task import Examples, Task
from recallscope.training.checkpoint import read_checkpoint, write_checkpoint

_TRAINING, _VALIDATION, _TEST = range(3)  # streams of random numbers
_EVALUATED = 64  # examples at once while evaluating


@dataclass(frozen=True)
class Interval:
    """What to do until the next validation: the tasks, the learning rate, and the task to validate on.

    Each step draws one of the tasks, all alike.
    """

    tasks: tuple[Task, ...]
    rate: float
    validation: Task


class Plan(Protocol):
    """What to train next. It has seen the curve so far; None: nothing, the run is over."""

    def __call__(self, curve: Sequence[Point]) -> Interval | None: ...


@dataclass(frozen=True)
class Point:
    """One validation: steps so far, mean training loss since the one before, loss and accuracy.

    Losses are nats per answer; `length` is that of the examples, in tokens; `seconds` are of CPU.
    """

    step: int
    trained: float
    loss: float
    accuracy: float
    rate: float
    length: int
    seconds: float


@dataclass(frozen=True)
class Settings:
    """How each step is made.

    Attributes
    ----------
    batch, every : int
        Examples in a step, new in each; steps between two validations.
    validation, test : int
        Examples drawn for them.
    seed : int
        Of weights and training examples; validation and test are the same for all seeds.
    clip : float
        Largest norm of the gradient.
    second : float
        Adam's β₂.
    """

    batch: int = 64
    every: int = 50
    validation: int = 256
    test: int = 1024
    seed: int = 0
    clip: float = 1.0
    second: float = 0.999

    def __post_init__(self) -> None:
        for name in ("batch", "every", "validation", "test"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: at least 1, got {getattr(self, name)}")


def train_by_plan(
    shape: TransformerShape,
    plan: Plan,
    settings: Settings,
    file: str | Path,
    log: Callable[[Point], None] = lambda point: None,
    device: str = "cpu",
    train: bool = True,
) -> tuple[TransformerModel, list[Point]]:
    """Train with Adam, without weight decay, until the plan ends; returns the model and its curve.

    `file` is replaced at each validation, and stays: a run that is called again with the same shape, settings and plan
    goes on there, or returns at once if it was over. Another run's file is refused. Without `train` the run is returned
    as it stands in its file.
    """
    keep_freed_memory()
    file = Path(file)
    torch.manual_seed(settings.seed)
    model = TransformerModel(shape).to(device)
    optimizer = torch.optim.Adam(model.parameters(), betas=(0.9, settings.second), fused=True)
    identity = json.dumps([asdict(shape), repr(plan), asdict(settings)])
    curve = _resume(file, identity, model, optimizer)
    while train and (interval := plan(curve)):
        started, done = time.process_time(), curve[-1].step if curve else 0
        for group in optimizer.param_groups:
            group["lr"] = interval.rate
        drawn = _batches(interval.tasks, settings, done, device)
        losses = [_step(model, optimizer, examples, settings.clip) for examples in drawn]
        trained = torch.stack(losses).mean().item()
        held_out = interval.validation.sample(settings.validation, _seed(0, _VALIDATION, 0), device)
        loss, accuracy = score(model, held_out)
        seconds = round(time.process_time() - started, 2)
        step = done + settings.every
        curve.append(Point(step, trained, loss, accuracy, interval.rate, interval.validation.length, seconds))
        _save(file, identity, curve, model, optimizer)
        log(curve[-1])
    return model, curve


def _batches(tasks: tuple[Task, ...], settings: Settings, done: int, device: str) -> list[Examples]:
    """The examples of each step of an interval that begins after `done` steps."""
    seed = _seed(settings.seed, _TRAINING, done)
    chosen = np.random.default_rng(seed).integers(len(tasks), size=settings.every)
    batches: list[Any] = [None] * settings.every
    for number, task in enumerate(tasks):
        steps = np.flatnonzero(chosen == number)
        if len(steps):
            drawn = task.sample(settings.batch * len(steps), _seed(settings.seed, _TRAINING, done + number), device)
            for at, step in enumerate(steps):
                batches[step] = drawn.rows(slice(at * settings.batch, (at + 1) * settings.batch))
    return batches


def _step(model: TransformerModel, optimizer: Any, examples: Examples, clip: float) -> Tensor:
    loss = F.cross_entropy(_logits(model, examples).flatten(0, 1), examples.answers.flatten().long())
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return loss.detach()


def test_scores(model: TransformerModel, task: Task, settings: Settings, device: str = "cpu") -> tuple[float, float]:
    """Loss and accuracy on `settings.test` examples that were seen neither in training nor in validation."""
    return score(model, task.sample(settings.test, _seed(0, _TEST, 0), device))


@torch.no_grad()
def score(model: TransformerModel, examples: Examples) -> tuple[float, float]:
    """Mean loss in nats per answer, and the share of answers that are the most likely token."""
    loss, right, count = 0.0, 0, 0
    for at in range(0, len(examples), _EVALUATED):
        part = examples.rows(slice(at, at + _EVALUATED))
        logits, answers = _logits(model, part), part.answers.long()
        loss += F.cross_entropy(logits.flatten(0, 1), answers.flatten(), reduction="sum").double().item()
        right += int((logits.argmax(-1) == answers).sum())
        count += answers.numel()
    return loss / count, right / count


def _logits(model: TransformerModel, examples: Examples) -> Tensor:
    """`[B, Q, vocabulary]` where the examples ask; a recurrence computes no outputs of blocks before."""
    return model.at(examples.inputs.long(), examples.positions.long(), int(examples.positions.min()))


def _seed(seed: int, stream: int, place: int) -> int:
    return int(np.random.SeedSequence([seed, stream, place]).generate_state(1, np.uint64)[0])


def _save(file: Path, identity: str, curve: list[Point], model: TransformerModel, optimizer: Any) -> None:
    points = [asdict(point) for point in curve]
    write_checkpoint(file, identity, curve=points, model=model.state_dict(), optimizer=optimizer.state_dict())


def _resume(file: Path, identity: str, model: TransformerModel, optimizer: Any) -> list[Point]:
    saved = read_checkpoint(file, identity, f"file: {file} holds a run with other settings; choose another")
    if saved is None:
        return []
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    return [Point(**point) for point in saved["curve"]]
