"""What every recall task is: a frozen description that draws examples, with its chance level and its demand."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import ClassVar

import torch
from torch import Tensor

from recallscope.tasks._source import Source, empty

NO_ANSWER = -100
"""In `Examples.answers`: a slot without a question (rows of unequal length)."""

_CHUNK = 4096  # examples per stream of random numbers on the CPU: the numbers depend on it, not on the threads


@dataclass(frozen=True)
class Examples:
    """A table of examples.

    Attributes
    ----------
    inputs : Tensor
        `[examples, T]` token ids, in the narrowest integer dtype (`.long()` where a model wants int64); for tasks
        on vectors `[examples, T, d]` float32.
    positions : Tensor
        `[examples, Q]` positions in `inputs` at which the model is asked; its output there is scored.
    answers : Tensor
        `[examples, Q]` right ids (`NO_ANSWER`: no question in this slot); for tasks on vectors float32.
    reference : Tensor or None
        `[examples, Q, vocabulary]` true distribution of the answer, where a task has one.
    """

    inputs: Tensor
    positions: Tensor
    answers: Tensor
    reference: Tensor | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def rows(self, index: slice | Tensor) -> Examples:
        """The examples at `index`."""
        return Examples(*(None if part is None else part[index] for part in self._parts()))  # type: ignore[arg-type]

    def to(self, device: str | torch.device) -> Examples:
        return Examples(*(None if part is None else part.to(device) for part in self._parts()))  # type: ignore[arg-type]

    def targets(self) -> Tensor:
        """`[examples, T]` int64 labels in the usual form: the answer where one is asked for, -100 elsewhere."""
        labels = torch.full(self.inputs.shape[:2], NO_ANSWER, dtype=torch.int64, device=self.inputs.device)
        asked = self.answers != NO_ANSWER
        row = torch.arange(len(self), device=labels.device)[:, None].expand_as(asked)
        labels[row[asked], self.positions[asked].long()] = self.answers[asked].long()
        return labels

    def _parts(self) -> list[Tensor | None]:
        return [getattr(self, field.name) for field in fields(self)]


@dataclass(frozen=True)
class Task:
    """A recall task. A task writes `draw`, `chance` and `demand_bits`, and checks its settings when it is made."""

    vocabulary: int
    length: int

    trained_on_all: ClassVar[bool] = False
    """Whether training predicts every next token; the answers alone are scored in any case."""

    @property
    def prefix(self) -> int:
        """Leading tokens that a model with an encoder may read without a causal mask."""
        return 0

    def draw(self, source: Source, examples: int) -> Examples:
        """So many examples from a stream of random numbers, on its device."""
        raise NotImplementedError

    def chance(self) -> float:
        """Expected accuracy without binding: of a guess that may know which answers were stated, but not to what.

        Each task says in its own words what its guess knows.
        """
        raise NotImplementedError

    def demand_bits(self) -> float:
        """Entropy of the answers given the questions, in bits: what must cross from the statements to the questions.

        A model that answers everything correctly holds at least so much in its state between the two.
        """
        raise NotImplementedError

    def sample(self, examples: int, seed: int = 0, device: str | torch.device = "cpu") -> Examples:
        """So many examples of a seed, the same on every machine of one kind (CPU or GPU), whatever its threads."""
        if examples < 1:
            raise ValueError(f"examples: at least 1, got {examples}")
        if torch.device(device).type != "cpu":
            return self.draw(Source((seed,), device), examples)
        if examples <= _CHUNK:
            return self.draw(Source((seed, 0)), examples)
        whole = [
            part if part is None else empty((examples, *part.shape[1:]), part.dtype)
            for part in self.draw(Source(0), 1)._parts()
        ]

        def fill(start: int) -> None:
            drawn = self.draw(Source((seed, start // _CHUNK)), min(_CHUNK, examples - start))
            for table, rows in zip(whole, drawn._parts(), strict=True):
                if table is not None and rows is not None:
                    table[start : start + _CHUNK] = rows

        threads = torch.get_num_threads()
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(fill, range(0, examples, _CHUNK)))
        torch.set_num_threads(threads)  # the pool's 1 would be that of threads started from now on
        return Examples(*whole)  # type: ignore[arg-type]


def check(accepted: bool, name: str, rule: str, got: object) -> None:
    """Raise a `ValueError` that names the argument, what is accepted and what came."""
    if not accepted:
        raise ValueError(f"{name}: {rule}, got {got}")
