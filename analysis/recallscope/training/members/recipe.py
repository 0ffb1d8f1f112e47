"""How members of a sweep are trained on a task: steps, schedule, evaluation."""

from __future__ import annotations

import math
from dataclasses import dataclass

SCHEDULES = ("cosine", "cosine by epoch", "constant")


@dataclass(frozen=True)
class Recipe:
    """Settings that all members of a sweep share; the rate and the seed are each member's own.

    AdamW with its usual moments (0.9, 0.999), the same weight decay on every parameter, no clipping: the recipe of
    Zoology and Based. Their dropout of 0.1 on embeddings is left out.

    Attributes
    ----------
    steps, batch : int
        Optimiser steps, and examples in each.
    examples : int or None
        Size of the training set of each seed, seen again in every epoch in a new order; None: new examples in every
        step.
    schedule : str
        `cosine`: half a cosine to zero over all steps, after a linear warm-up; `cosine by epoch`: as Zoology, constant
        within an epoch of the training set; `constant`.
    warmup : int
        Steps of linear warm-up.
    last_rate : float
        Where the cosine ends.
    weight_decay : float
        AdamW's.
    evaluate_every : int
        Steps between two evaluations on the validation examples.
    validation, test : int
        Examples of each task that are drawn to stop and to choose rates, and to report.
    stop_at : float or None
        A member stops when its validation accuracy, averaged over tasks, is above this (Zoology: 0.99).
    bfloat16 : bool
        Matrix products in bfloat16; weights, sums and losses stay in float32.
    compile : bool
        Compile forward and backward (with CUDA graphs on a GPU); changes speed only.
    """

    steps: int = 1000
    batch: int = 64
    examples: int | None = None
    schedule: str = "cosine"
    warmup: int = 0
    last_rate: float = 0.0
    weight_decay: float = 0.1
    evaluate_every: int = 100
    validation: int = 256
    test: int = 1024
    stop_at: float | None = 0.99
    bfloat16: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "evaluate_every", "validation", "test"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: at least 1, got {getattr(self, name)}")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule: one of {', '.join(SCHEDULES)}, got {self.schedule!r}")
        if self.examples is not None and self.examples < self.batch:
            raise ValueError(f"examples: at least one batch of {self.batch}, got {self.examples}")
        if self.schedule == "cosine by epoch" and self.examples is None:
            raise ValueError("schedule: 'cosine by epoch' needs a training set of a size; set examples")
        if self.last_rate < 0:
            raise ValueError(f"last_rate: at least 0, got {self.last_rate}")
        if self.warmup < 0 or self.warmup >= self.steps:
            raise ValueError(f"warmup: from 0 to below the {self.steps} steps, got {self.warmup}")

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the training set; all steps, if examples are new in every step."""
        return self.steps if self.examples is None else self.examples // self.batch

    def rate(self, peak: float, step: int) -> float:
        """The learning rate of a step whose schedule has this peak; steps count from 0."""
        return self.last_rate + (peak - self.last_rate) * self.factor(step)

    def factor(self, step: int) -> float:
        """How far up from `last_rate` to its peak the rate of a step is."""
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        if self.schedule == "constant":
            return 1.0
        done, all_steps = step - self.warmup, self.steps - self.warmup
        if self.schedule == "cosine by epoch":
            epoch = self.steps_per_epoch
            done, all_steps = done // epoch, -(-all_steps // epoch)
        return 0.5 * (1 + math.cos(math.pi * done / all_steps))
