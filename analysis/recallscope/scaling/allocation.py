"""Where a budget of compute should go: the optimum of training alone, and the one that counts inference too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from recallscope.scaling.intervals import LEVEL, Interval, percentile_interval
from recallscope.scaling.law import Floats, LossLaw, law_of_row

TRAINING, INFERENCE = 6, 2
"""FLOPs per parameter and token (a multiply-add is 2): forward and backward, and forward alone."""
MOST_TOKENS = 1e30
"""Tokens of inference beyond which the sums would overflow before they meant anything."""


@dataclass(frozen=True)
class Allocation:
    """Parameters and tokens for a target, with the middle 95 % (or `level`) of what bootstrap rows give.

    `training_flops` is 6 N D, `inference_flops` 2 N times the tokens served; `loss` is in nats per token. An interval
    is None without rows. `lost` are rows that have no optimum (an exponent or a coefficient not above 0, a loss that is
    not above their entropy); with any lost, the intervals are None, for what is left would be too narrow.
    """

    parameters: float
    tokens: float
    loss: float
    training_flops: float
    inference_flops: float
    intervals: dict[str, Interval | None]
    rows: int
    lost: int

    @property
    def tokens_per_parameter(self) -> float:
        return self.tokens / self.parameters


def compute_optimal(flops: float, law: LossLaw, rows: ArrayLike | None = None, *, level: float = LEVEL) -> Allocation:
    """Parameters and tokens of the least loss for 6 N D training FLOPs (Hoffmann et al. 2022, Eq. 4).

    N = G (C/6)^a and D = (C/6)^b / G with G = (αA / (βB))^(1 / (α + β)), a = β / (α + β), b = α / (α + β). `law` has
    the terms N and D (`at_size` fixes a third); `rows` `[R, 5]` are bootstrap rows of its constants. Raises
    `ValueError` for compute that is not above 0, and a law without an optimum.
    """
    _two_terms(law)
    _above("flops", flops)
    parameters, tokens, loss = (x[0] for x in _optimum(law.row()[None], flops))
    if np.isnan(parameters):
        raise ValueError(f"law: exponents and coefficients above 0, got {law.constants()}")
    resampled = _optimum(_rows(rows), flops)
    return _allocation(parameters, tokens, loss, 0.0, resampled, level)


def size_exponent(rows: ArrayLike) -> Floats:
    """a = β / (α + β) of N_opt ∝ C^a, `[R]`, of rows of constants `[R, 5]` (Hoffmann et al. 2022, Eq. 4)."""
    alpha, beta = _rows(rows)[:, [2, 4]].T
    return beta / (alpha + beta)


def inference_aware(
    loss: float, inference_tokens: float, law: LossLaw, rows: ArrayLike | None = None, *, level: float = LEVEL
) -> Allocation:
    """The cheapest model of a loss when it then reads `inference_tokens`: least 6 N D + 2 N T at L(N, D) = loss.

    A smaller model that is trained longer. With d = B/D^β and A/N^α = loss - E - d the optimum solves
    β d (1 + T / (3 D)) = α (loss - E - d), increasing on the left and decreasing on the right; T = 0 gives the optimum
    of training alone. Attention is not counted, nor the input of a prompt apart from its output. Raises `ValueError`
    for a loss that is not above the entropy of the law, and for negative tokens.
    """
    _two_terms(law)
    if not 0 <= inference_tokens <= MOST_TOKENS:
        raise ValueError(f"inference_tokens: between 0 and {MOST_TOKENS:g}, got {inference_tokens:g}")
    if not (np.isfinite(loss) and loss > law.entropy):
        raise ValueError(f"loss: above the entropy of the law, {law.entropy:.6g} nats, got {loss:g}")
    parameters, tokens, _ = (x[0] for x in _cheapest(law.row()[None], loss, inference_tokens))
    if np.isnan(parameters):
        raise ValueError(f"law: exponents and coefficients above 0, got {law.constants()}")
    resampled = _cheapest(_rows(rows), loss, inference_tokens)
    return _allocation(parameters, tokens, loss, inference_tokens, resampled, level)


def at_size(law: LossLaw, **fixed: float) -> LossLaw:
    """The law of the remaining sizes with one or more held, whose terms join the entropy: `at_size(law, S=1e6)`."""
    unknown = [name for name in fixed if name not in law.terms]
    if unknown or len(fixed) == len(law.terms):
        raise ValueError(f"fixed: some but not all of {', '.join(law.terms)}, got {', '.join(fixed)}")
    for name, size in fixed.items():
        _above(name, size)
    entropy = law.entropy
    left = []
    for name, coefficient, exponent in zip(law.terms, law.coefficients, law.exponents, strict=True):
        if name in fixed:
            entropy += coefficient * fixed[name] ** -exponent
        else:
            left.append((name, coefficient, exponent))
    names, coefficients, exponents = zip(*left, strict=True)
    return LossLaw(entropy, coefficients, exponents, names, law.source)


def at_state(law: LossLaw, rows: ArrayLike, state: float | None) -> tuple[LossLaw, Floats]:
    """A law with its bootstrap rows at a state of so many elements, both with the term of S in their entropy."""
    drawn = np.asarray(rows, float)
    if "S" not in law.terms:
        if state is not None:
            raise ValueError(f"state: only for a law with the size S, this one has {', '.join(law.terms)}")
        return law, drawn
    if state is None:
        raise ValueError("state: elements, for a law with the size S")
    held = [at_size(law_of_row(row, law.terms), S=state).row() for row in drawn]
    return at_size(law, S=state), np.array(held, float).reshape(-1, 1 + 2 * (len(law.terms) - 1))


def _optimum(rows: Floats, flops: float) -> tuple[Floats, Floats, Floats]:
    """N, D and loss `[R]` at 6 N D = flops; not numbers where a row has no optimum."""
    e, a, alpha, b, beta = rows.T
    with np.errstate(all="ignore"):
        log_g = np.log(alpha * a / (beta * b)) / (alpha + beta)
        log_n = log_g + beta / (alpha + beta) * np.log(flops / TRAINING)
        log_d = np.log(flops / TRAINING) - log_n
        found = np.exp(log_n), np.exp(log_d), e + a * np.exp(-alpha * log_n) + b * np.exp(-beta * log_d)
    return _only(_proper(rows), found)


def _cheapest(rows: Floats, loss: float, served: float) -> tuple[Floats, Floats, Floats]:
    """N, D and loss `[R]` of the least 6 N D + 2 N T; the share of the data term is found by bisection of its log."""
    e, a, alpha, b, beta = rows.T
    room = loss - e
    with np.errstate(all="ignore"):
        high = np.log(alpha / (alpha + beta))  # where T = 0; a served token only moves the share down
        low = high - 200.0
        for _ in range(100):
            middle = (low + high) / 2
            share = np.exp(middle)
            tokens = (b / (share * room)) ** (1 / beta)
            above = beta * share * (1 + INFERENCE * served / (TRAINING * tokens)) > alpha * (1 - share)
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        share = np.exp(high)
        tokens = (b / (share * room)) ** (1 / beta)
        parameters = (a / ((1 - share) * room)) ** (1 / alpha)
    return _only(_proper(rows) & (room > 0), (parameters, tokens, np.full(len(rows), loss)))


def _proper(rows: Floats) -> np.ndarray:
    return np.all(rows[:, 1:] > 0, axis=1)


def _only(proper: np.ndarray, found: tuple[Floats, Floats, Floats]) -> tuple[Floats, Floats, Floats]:
    first, second, third = (np.where(proper, one, np.nan) for one in found)
    return first, second, third


def _allocation(
    parameters: float, tokens: float, loss: float, served: float, resampled: tuple[Floats, Floats, Floats], level: float
) -> Allocation:
    n, d, losses = resampled
    columns = {
        "parameters": n, "tokens": d, "tokens_per_parameter": d / n, "loss": losses,
        "training_flops": TRAINING * n * d, "inference_flops": INFERENCE * n * served,
    }  # fmt: skip
    intervals = {name: percentile_interval(column, level) for name, column in columns.items()}
    return Allocation(
        float(parameters), float(tokens), float(loss), float(TRAINING * parameters * tokens),
        float(INFERENCE * parameters * served), intervals, len(n), int(np.isnan(n).sum()),
    )  # fmt: skip


def _rows(rows: ArrayLike | None) -> Floats:
    found = np.empty((0, 5)) if rows is None else np.asarray(rows, float)
    if found.ndim != 2 or found.shape[1] != 5:
        raise ValueError(f"rows: of five constants E, A, alpha, B, beta, got shape {found.shape}")
    return found


def _two_terms(law: LossLaw) -> None:
    if law.terms != ("N", "D"):
        raise ValueError(f"law: of N and D, got one of {', '.join(law.terms)}; at_size fixes a further size")


def _above(name: str, value: float) -> None:
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{name}: finite and above 0, got {value:g}")
