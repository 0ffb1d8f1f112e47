"""Copying and selective copying with noise in between, and the curriculum that makes them learnable."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import exp, log2
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from recallscope.tasks._source import Source, narrow
from recallscope.tasks.task import Examples, Task, check


@dataclass(frozen=True)
class Copying(Task):
    """M tokens, noise, M markers: which token was the j-th? (Arjovsky et al. 2016; Kausik, arXiv 2402.14746.)

    As Kausik's code draws it. The payload is M ids, uniform and independent, of 1 .. A - 2; noise is the id 0, and the
    marker is the id A - 1. `payload, noise × n, marker × M`, and at the j-th marker the model is asked for the j-th
    token of the payload. The answers are not in the input: all markers are alike.

    Attributes
    ----------
    vocabulary : int
        A, the alphabet.
    length : int
        T = 2 M + n.
    payload : int
        M, at least 1.
    noise : int
        n, at least 0; up to 4,096 in the paper.
    alphabet : int
        A, at least 3: two ids are reserved, for noise and marker.
    """

    vocabulary: int = field(init=False)
    length: int = field(init=False)
    payload: int = 16
    noise: int = 4096
    alphabet: int = 16

    def __post_init__(self) -> None:
        check(self.payload >= 1, "payload", "at least 1", self.payload)
        check(self.noise >= 0, "noise", "at least 0", self.noise)
        check(self.alphabet >= 3, "alphabet", "at least 3 (two ids are reserved)", self.alphabet)
        object.__setattr__(self, "vocabulary", self.alphabet)
        object.__setattr__(self, "length", 2 * self.payload + self.noise)

    def draw(self, source: Source, examples: int) -> Examples:
        dtype = narrow(max(self.vocabulary, self.length))
        payload = source.tokens(examples, self.payload, self.alphabet - 2).to(dtype) + 1
        inputs = torch.zeros(examples, self.length, dtype=dtype, device=source.device)
        inputs[:, -self.payload :] = self.alphabet - 1
        self._place(inputs, payload, source)
        positions = torch.arange(self.length - self.payload, self.length, dtype=dtype, device=source.device)
        return Examples(inputs, positions.repeat(examples, 1), payload)

    def _place(self, inputs: Tensor, payload: Tensor, source: Source) -> None:
        inputs[:, : self.payload] = payload

    def chance(self) -> float:
        """1 / (A - 2): any id of the payload is as likely as another, at every marker."""
        return 1 / (self.alphabet - 2)

    def demand_bits(self) -> float:
        """M log2(A - 2): the entropy of the payload. Where it stood among the noise is not asked."""
        return self.payload * log2(self.alphabet - 2)


@dataclass(frozen=True)
class SelectiveCopying(Copying):
    """As `Copying`, with the payload scattered among the noise, in order (Gu and Dao 2023; Kausik, arXiv 2402.14746).

    The M places are a uniform choice of M of the first M + n positions; the payload stands in them from left to right.
    """

    def _place(self, inputs: Tensor, payload: Tensor, source: Source) -> None:
        places = source.distinct(len(inputs), self.payload, self.payload + self.noise)
        inputs.scatter_(1, places.sort(dim=1).values.long(), payload)


class Stage(NamedTuple):
    """What to train with next: tokens of noise, and the factor on the learning rate."""

    noise: int
    factor: float


def curriculum(
    losses: Iterable[float],
    *,
    reading: Literal["code", "note"] = "code",
    noise: int = 4096,
    payload: int = 16,
    start: int | None = None,
    threshold: float = 0.3,
) -> list[Stage]:
    """Kausik's curriculum for `Copying` and `SelectiveCopying`: the stages that these validation losses lead through.

    The first stage is that before any validation, the (i + 1)-th follows from the first i losses, and the last says how
    to go on: call it again with each new loss. A loss below the threshold doubles the noise, up to `noise`.

    The author's note (June 2025) and his later code differ in where it starts and in the factor on the learning rate.

    - `"code"`: starts with 128 at factor f = 1. Each doubling, to n, multiplies f by 1 - n / (2 `noise`). At full
      noise, from the next validation on, f (1 - exp(-loss)), where it is below the factor before: it never rises.
    - `"note"`: starts with 32. The factor is 1 - N / (2 N_full) for sequences of N = n + 2 `payload` tokens, whatever
      came before; at full length that, 1/2, times 1 - exp(-loss), which may rise with the loss.

    Parameters
    ----------
    losses : iterable of float
        Validation losses so far, nats per answer, each measured at the noise of its stage.
    reading : "code" or "note"
        Which of the two.
    noise, payload : int
        Noise of the last stage; tokens to copy (only the note's factor depends on it).
    start : int or None
        Noise of the first stage; None: that of the reading, at most `noise`.
    threshold : float
        Loss below which the noise doubles.
    """
    check(reading in ("code", "note"), "reading", '"code" or "note"', reading)
    check(noise >= 1, "noise", "at least 1", noise)
    check(payload >= 1, "payload", "at least 1", payload)
    check(threshold > 0, "threshold", "above 0", threshold)
    first = min(128 if reading == "code" else 32, noise) if start is None else start
    check(1 <= first <= noise, "start", f"1 to {noise} (noise)", first)

    def by_length(current: int) -> float:
        return 1 - 0.5 * (current + 2 * payload) / (noise + 2 * payload)

    base = 1.0 if reading == "code" else by_length(first)
    stages = [Stage(first, base)]
    for loss in losses:
        current, factor = stages[-1]
        if current < noise:
            if loss < threshold:
                current = min(2 * current, noise)
                base = base * (1 - 0.5 * current / noise) if reading == "code" else by_length(current)
            stages.append(Stage(current, base))
        else:
            decayed = base * (1 - exp(-loss))
            stages.append(Stage(current, min(factor, decayed) if reading == "code" else decayed))
    return stages
