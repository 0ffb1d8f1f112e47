"""What is trained when: the noise of the copying tasks doubles with success; text has a schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from recallscope.tasks.copying import Copying, SelectiveCopying, curriculum
from recallscope.tasks.task import Task, check
from recallscope.training.recurrent.loop import Interval, Point

_FALLS = 2  # of the rate at full noise, where a plan has a finish


@dataclass(frozen=True)
class CopyPlan:
    """Kausik's curriculum on (selective) copying, as `tasks.copying.curriculum` has it.

    It ends when the validation at full noise has come to `until`, or after `steps`.

    Attributes
    ----------
    selective : bool
        Whether the payload is scattered among the noise.
    noise, start : int
        Tokens of noise at the end and at first.
    reading : "code" or "note"
        Whose factors on the rate.
    rate : float
        What they multiply.
    threshold : float
        Loss below which the noise doubles.
    until : float
        Accuracy at full noise.
    steps : int
        Most steps.
    mixed : bool
        Whether each step has noise of its own, one of the multiples of `start` up to that of the stage. Not the note's.
    warmup : int
        Intervals in which the rate rises in equal steps, before it is what the curriculum says. Not the note's.
    finish : int
        Steps at full noise, in which the rate falls by half a cosine to zero, whatever the loss; then once more from
        the top (warm restarts: Loshchilov and Hutter 2017), and the run ends. 0: the curriculum's factors. Not the
        note's.
    """

    selective: bool
    noise: int = 512
    start: int = 32
    reading: Literal["code", "note"] = "code"
    rate: float = 5e-4
    threshold: float = 0.3
    until: float = 1.0
    steps: int = 400_000
    mixed: bool = False
    warmup: int = 0
    finish: int = 0

    def task(self, noise: int) -> Task:
        return SelectiveCopying(noise=noise) if self.selective else Copying(noise=noise)

    def __call__(self, curve: Sequence[Point]) -> Interval | None:
        if curve and (curve[-1].step >= self.steps or self.reached(curve[-1])):
            return None
        losses = [point.loss for point in curve]
        own: dict[str, Any] = {"noise": self.noise, "start": self.start, "threshold": self.threshold}
        stages = curriculum(losses, reading=self.reading, **own)
        stage, at_full = stages[-1], [stage.factor for stage in stages if stage.noise == self.noise]
        if self.finish and at_full:
            every = curve[-1].step // len(curve) if curve else 0
            done = every * (len(at_full) - 1)
            if done >= _FALLS * self.finish:
                return None
            stage = stage._replace(
                factor=at_full[0] * 0.5 * (1 + math.cos(math.pi * (done % self.finish) / self.finish))
            )
        noises = range(self.start, stage.noise + 1, self.start) if self.mixed else (stage.noise,)
        rate = self.rate * stage.factor * min(1.0, (len(curve) + 1) / (self.warmup + 1))
        return Interval(tuple(map(self.task, noises)), rate, self.task(stage.noise))

    def reached(self, point: Point) -> bool:
        """Whether a validation is at full noise, and good enough."""
        return point.length == self.task(self.noise).length and point.accuracy >= self.until


@dataclass(frozen=True)
class TextPlan:
    """A fixed number of steps on one task; the rate falls by half a cosine to a tenth, validation by validation."""

    task: Task
    validation: Task
    rate: float
    steps: int

    def __post_init__(self) -> None:
        check(self.steps >= 1, "steps", "at least 1", self.steps)

    def __call__(self, curve: Sequence[Point]) -> Interval | None:
        done = curve[-1].step if curve else 0
        if done >= self.steps:
            return None
        factor = 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done / self.steps))
        return Interval((self.task,), self.rate * factor, self.validation)
