"""Mixes of tasks: what is trained on and tested on, and the batches that each seed sees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from recallscope.tasks.task import Examples, Task

_BLOCK = 32  # steps whose new examples are drawn together
_VALIDATION, _TEST = 1, 2  # streams of random numbers beside those for training
_ORDERS = 3


@dataclass(frozen=True)
class Mix:
    """Tasks to train on, with weights, and tasks to test on.

    Attributes
    ----------
    train : tuple of (Task, float)
        Each batch is of one task, drawn by these weights (numbers of examples, say): lengths in a batch agree.
    test : tuple of Task
        Accuracy is reported for each.
    """

    train: tuple[tuple[Task, float], ...]
    test: tuple[Task, ...]

    def __post_init__(self) -> None:
        if not self.train or not self.test:
            raise ValueError("train, test: at least one task each")
        if any(weight <= 0 for _, weight in self.train):
            raise ValueError(f"train: weights above 0, got {[weight for _, weight in self.train]}")

    @property
    def vocabulary(self) -> int:
        return max(task.vocabulary for task in (*(task for task, _ in self.train), *self.test))

    @property
    def trained_on_all(self) -> bool:
        """Whether training predicts every next token, and not only the answers."""
        return self.train[0][0].trained_on_all

    def held_out(self, examples: int, final: bool, device: str) -> Iterator[Examples]:
        """Examples of each test task, to validate or for the report: for all seeds the same, apart from training."""
        stream = _TEST if final else _VALIDATION
        return (task.sample(examples, _seed(0, stream, i), device) for i, task in enumerate(self.test))


def single(task: Task) -> Mix:
    """One task, trained and tested on."""
    return Mix(((task, 1.0),), (task,))


def named(mix: Mix) -> list[Any]:
    """A mix as data: names and settings of its tasks."""
    trained = [[type(task).__name__, asdict(task), weight] for task, weight in mix.train]
    return [trained, [[type(task).__name__, asdict(task)] for task in mix.test]]


class Batches:
    """The training batches of one seed, by step: the same whatever came before, so that training can resume."""

    def __init__(self, mix: Mix, seed: int, batch: int, examples: int | None, device: str):
        self.mix, self.seed, self.batch, self.device = mix, seed, batch, device
        self._block: tuple[int, list[Examples]] = (-1, [])
        weights = np.array([weight for _, weight in mix.train])
        self._weights = weights / weights.sum()
        self._sets: list[Examples] | None = None
        self._epoch: tuple[int, list[torch.Tensor], np.ndarray] = (-1, [], np.empty(0))
        if examples is not None:
            sizes = np.maximum(self._weights * examples // batch, 1).astype(int) * batch
            self._sets = [
                task.sample(int(size), _seed(seed, 0, i), device)
                for i, ((task, _), size) in enumerate(zip(mix.train, sizes, strict=True))
            ]

    def __call__(self, step: int) -> Examples:
        return self._fresh(step) if self._sets is None else self._again(step)

    def kinds(self, block: int) -> list[int]:
        """Index of the task of each step of a block when examples are new in every step: the same for all seeds."""
        return np.random.default_rng([_ORDERS, block]).choice(len(self._weights), _BLOCK, p=self._weights).tolist()

    def _fresh(self, step: int) -> Examples:
        block, place = divmod(step, _BLOCK)
        if self._block[0] != block:
            kinds = self.kinds(block)
            drawn = {
                kind: self.mix.train[kind][0].sample(
                    kinds.count(kind) * self.batch, _seed(self.seed, _ORDERS + 1 + block, kind), self.device
                )
                for kind in set(kinds)
            }
            seen = [kinds[:i].count(kind) * self.batch for i, kind in enumerate(kinds)]
            pieces = zip(kinds, seen, strict=True)
            self._block = block, [drawn[kind].rows(slice(at, at + self.batch)) for kind, at in pieces]
        return self._block[1][place]

    def _again(self, step: int) -> Examples:
        assert self._sets is not None
        counts = [len(one) // self.batch for one in self._sets]
        epoch, place = divmod(step, sum(counts))
        if self._epoch[0] != epoch:
            rng = np.random.default_rng([_ORDERS, epoch])  # the order of tasks is that of all seeds
            order = rng.permutation(np.repeat(np.arange(len(counts)), counts))
            own = np.random.default_rng([_ORDERS, epoch, self.seed])
            rows = [torch.from_numpy(own.permutation(len(one))).to(self.device) for one in self._sets]
            seen = [int((order[:i] == kind).sum()) * self.batch for i, kind in enumerate(order)]
            self._epoch = epoch, [rows[k][s : s + self.batch] for k, s in zip(order, seen, strict=True)], order
        return self._sets[self._epoch[2][place]].rows(self._epoch[1][place])


def _seed(seed: int, stream: int, task: int) -> int:
    """One integer for seed, stream and task; the tasks' own `sample` spreads it."""
    return int(np.random.SeedSequence([seed, stream, task]).generate_state(1, np.uint64)[0])
