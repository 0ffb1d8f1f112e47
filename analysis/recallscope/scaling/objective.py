"""The published objective for many candidates at once: Huber losses of log residuals, with the exact gradient.

Unknowns of a candidate are θ = (e, a_1 … a_K, α_1 … α_K) with E = exp e and A_k = exp a_k, so that
ln L = LSE(e, a_1 - α_1 ln x_1, …, a_K - α_K ln x_K) (Hoffmann et al. 2022, Appendix D.2). Sizes are centred and scaled
first, with (a_k - α_k m_k) and (α_k s_k) in place of a_k and α_k: the same function, far rounder for a descent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recallscope.scaling.descent import Indices, Objective
from recallscope.scaling.law import Floats

CHUNK = 4096
"""Log losses predicted together (candidates times runs): intermediates then stay in the cache of one core."""


@dataclass(frozen=True)
class Problem:
    """What is fitted: standardised log sizes `u` `[K, n]`, log losses `y` `[n]`, `delta`; `mean` and `spread` `[K]`."""

    u: Floats
    y: Floats
    mean: Floats
    spread: Floats
    delta: float


def problem(sizes: Floats, losses: Floats, delta: float) -> Problem:
    """The standardised problem of sizes `[K, n]` and losses `[n]`."""
    logs = np.log(sizes)
    mean, spread = logs.mean(1), logs.std(1)
    return Problem((logs - mean[:, None]) / spread[:, None], np.log(losses), mean, spread, delta)


def inner(task: Problem, theta: Floats) -> Floats:
    """The unknowns `[..., 1 + 2K]` of the centred and scaled sizes."""
    count = len(task.u)
    e, a, alpha = theta[..., :1], theta[..., 1 : 1 + count], theta[..., 1 + count :]
    return np.concatenate([e, a - alpha * task.mean, alpha * task.spread], -1)


def row_of(task: Problem, phi: Floats) -> Floats:
    """Constants `[..., 1 + 2K]` as rows, E, A, alpha, B, beta, ..., of unknowns of the centred and scaled sizes."""
    count = len(task.u)
    alpha = phi[..., 1 + count :] / task.spread
    a = phi[..., 1 : 1 + count] + alpha * task.mean
    pairs = np.stack([np.exp(np.minimum(a, 700.0)), alpha], -1)
    return np.concatenate([np.exp(phi[..., :1]), pairs.reshape(*phi.shape[:-1], 2 * count)], -1)


def unknowns_of(task: Problem, row: Floats) -> Floats:
    """The inverse of `row_of`; constants of 0 count as 1e-300."""
    logs = np.log(np.maximum(row[..., :1], 1e-300)), np.log(np.maximum(row[..., 1::2], 1e-300))
    return inner(task, np.concatenate([*logs, row[..., 2::2]], -1))


def objective_of(task: Problem, weights: Floats | None = None, y: Floats | None = None) -> Objective:
    """Σ_i w_i Huber_δ(predicted - measured log loss) and its gradient, for `descend`.

    Each descent may have its own `weights` `[S, n]` (how often each run counts) and its own log losses `y` `[S, n]`;
    without them every run counts once with the log loss of the problem. A sum, as published, not a mean.
    """

    def objective(phi: Floats, which: Indices) -> tuple[Floats, Floats]:
        values, slopes = np.empty(len(phi)), np.empty(phi.shape)
        size = max(1, CHUNK // len(task.y))
        for start in range(0, len(phi), size):
            part = slice(start, start + size)
            own = None if weights is None else weights[which[part]]
            target = task.y if y is None else y[which[part]]
            values[part], slopes[part] = _evaluate(task, phi[part], own, target)
        return values, slopes

    return objective


def _evaluate(task: Problem, phi: Floats, weights: Floats | None, y: Floats) -> tuple[Floats, Floats]:
    parts, total, top = _terms(task, phi)
    r = top + np.log(total) - y
    clipped = np.clip(r, -task.delta, task.delta)
    huber = clipped * (r - 0.5 * clipped)  # r²/2 within δ, δ(|r| - δ/2) beyond
    if weights is not None:
        huber, clipped = huber * weights, clipped * weights
    pull = clipped / total
    count = len(task.u)
    slopes = np.empty(phi.shape)
    slopes[:, 0] = np.einsum("sn,sn->s", parts[0], pull)
    for k in range(count):
        share = parts[k + 1] * pull
        slopes[:, 1 + k] = share.sum(1)
        slopes[:, 1 + count + k] = -(share @ task.u[k])
    return huber.sum(1), slopes


def _terms(task: Problem, phi: Floats) -> tuple[list[Floats], Floats, Floats]:
    """Each term over the largest one, their sum, and the log of the largest one, all `[S, n]`."""
    count = len(task.u)
    logs = [phi[:, 1 + k, None] - phi[:, 1 + count + k, None] * task.u[k] for k in range(count)]
    top = np.broadcast_to(phi[:, :1], logs[0].shape)
    for one in logs:
        top = np.maximum(top, one)
    parts = [np.exp(phi[:, :1] - top), *(np.exp(one - top) for one in logs)]
    return parts, sum(parts[1:], parts[0]), top


def fitted(task: Problem, phi: Floats) -> Floats:
    """Predicted log losses `[n]` at one candidate."""
    _, total, top = _terms(task, phi[None])
    return (top + np.log(total))[0]
