"""Quasi-Newton descents from many starts at once, each with its own matrix and its own step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recallscope.scaling.law import Floats

Indices = NDArray[np.intp]
Objective = Callable[[Floats, Indices], tuple[Floats, Floats]]
"""Values `[S]` and gradients `[S, P]` at points `[S, P]` of the descents with these indices `[S]`."""

SUFFICIENT = 1e-4
LONGEST = 4.0
"""Longest step in any unknown: a descent from afar must not leave for where everything overflows."""
SHORTEST = 1e-9


@dataclass
class _State:
    """All descents: points, values, gradients, inverse Hessians; step lengths; which matrices are still the first."""

    x: Floats
    value: Floats
    slope: Floats
    matrix: Floats
    step: Floats
    fresh: NDArray[np.bool_]


def descend(
    objective: Objective, starts: Floats, *, rounds: int = 400, tolerance: float = 1e-9, floor: float = 0.0
) -> tuple[Floats, Floats]:
    """Ends `[S, P]` and values `[S]` of BFGS descents from `starts` `[S, P]`, backtracking along each direction.

    One round evaluates one trial step of each descent that still runs. A descent ends when its matrix promises less
    than `tolerance` of its value twice in a row, when its value is below `floor`, or when no step along the steepest
    direction lowers it: every rule is relative, so that the scale of the objective changes nothing. The full inverse
    Hessian stands in place of the limited memory of L-BFGS: with five or seven unknowns it is the smaller of the two.
    """
    every = np.arange(len(starts))
    now = _State(starts.copy(), *objective(starts, every), *_first(starts))
    _restart(now, every, 1.0)
    running, calm = every, np.zeros(len(starts), int)
    for _ in range(rounds):
        direction = -np.einsum("spq,sq->sp", now.matrix[running], now.slope[running])
        promise = -np.einsum("sp,sp->s", direction, now.slope[running])
        small = (promise <= tolerance * now.value[running]) & ~now.fresh[running]
        calm[running] = np.where(small, calm[running] + 1, 0)
        stuck = (now.step[running] < SHORTEST) | (promise <= 0)
        keep = (calm[running] < 2) & (now.value[running] > floor) & ~(stuck & now.fresh[running])
        _restart(now, running[stuck & keep], 1e-2)
        _advance(objective, now, running[keep & ~stuck], direction[keep & ~stuck], promise[keep & ~stuck])
        running = running[keep]
        if not len(running):
            break
    return now.x, now.value


def _first(starts: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    count, size = starts.shape
    return np.empty((count, size, size)), np.ones(count), np.ones(count, bool)


def _restart(now: _State, which: Indices, length: float) -> None:
    """A multiple of the identity whose first step has this length."""
    norm = np.linalg.norm(now.slope[which], axis=1).clip(1e-300)
    now.matrix[which] = np.eye(now.x.shape[1]) * (length / norm)[:, None, None]
    now.step[which], now.fresh[which] = 1.0, True


def _advance(objective: Objective, now: _State, which: Indices, direction: Floats, promise: Floats) -> None:
    """One trial step of each descent: taken where the value falls enough (Armijo), else shortened."""
    if not len(which):
        return
    reach = np.abs(direction).max(1) * now.step[which]
    length = now.step[which] * np.minimum(1.0, LONGEST / reach.clip(1e-300))
    move = length[:, None] * direction
    value, slope = objective(now.x[which] + move, which)
    good = value <= now.value[which] - SUFFICIENT * length * promise
    taken = which[good]
    _update(now, taken, move[good], slope[good] - now.slope[taken])
    now.x[taken] += move[good]
    now.value[taken], now.slope[taken] = value[good], slope[good]
    now.step[taken], now.fresh[taken] = 1.0, False
    now.step[which[~good]] = 0.3 * length[~good]


def _update(now: _State, which: Indices, move: Floats, bend: Floats) -> None:
    """BFGS update where the curvature along the step is positive (Nocedal and Wright, second edition, Eq. 6.17)."""
    curved = np.einsum("sp,sp->s", move, bend)
    good = curved > 1e-12 * np.linalg.norm(move, axis=1) * np.linalg.norm(bend, axis=1)
    which, move, bend, curved = which[good], move[good], bend[good], curved[good]
    one = np.eye(now.x.shape[1])
    scale = (curved / np.einsum("sp,sp->s", bend, bend))[:, None, None]
    old = np.where(now.fresh[which][:, None, None], one * scale, now.matrix[which])
    left = one - np.einsum("sp,sq->spq", move, bend) / curved[:, None, None]
    outward = np.einsum("sp,sq->spq", move, move) / curved[:, None, None]
    now.matrix[which] = left @ old @ left.transpose(0, 2, 1) + outward
