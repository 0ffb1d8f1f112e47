"""A method's perplexity under given budgets: interpolated between its cells, never beyond them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from recallscope.budgets.budgets import Budgets, Cost
from recallscope.budgets.cells import Cell, Grid

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Prediction:
    """What a method reaches.

    Attributes
    ----------
    method : str
        Its name.
    perplexity, low, high : float or None
        The interpolated value and its interval; without a value it is below `high`.
    cost : Cost
        What it spends, of what the budgets allow.
    parameters : float
        Of the final model.
    tokens : float
        Of the specialisation set that are used.
    notes : tuple of str
        What differs from the budgets, and what is assumed.
    """

    method: str
    perplexity: float | None
    low: float | None
    high: float | None
    cost: Cost
    parameters: float
    tokens: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refusal:
    """Why a method is out: the budgets that are too small for it, with what each would have to be at least."""

    method: str
    binding: tuple[tuple[str, float], ...]


def predict(grid: Grid, budgets: Budgets, domains: int) -> Prediction | Refusal:
    """The best that the evidence has for a method within the budgets.

    Logarithms of perplexity and cost are interpolated linearly in the logarithms of pre-training and of the set's
    tokens. Budgets beyond the evidence are not used up; below it the method is refused. A share that is too small for
    fine-tuning on the whole set buys a smaller one, or the model before fine-tuning. The interval carries that of the
    cells, and off them the largest error of the same interpolation for cells that are left out (of two cells, the
    distance to the farther one).
    """
    share = budgets.specialisation_training / domains
    binding = [] if grid.parameters <= budgets.inference else [("inference", grid.parameters)]
    tokens, notes, wanted = _tokens(grid, budgets.specialisation_tokens, share, domains)
    binding += wanted
    if tokens is None:
        return Refusal(grid.method, tuple(binding))
    columns = _columns(grid, tokens)
    tuning = _between(columns, tokens, lambda column: column[0].tuning)
    available = {"generic_training": budgets.generic_training, "specialisation_training": share - tuning}
    least, most = max(c[0].spent for c in columns), min(c[-1].spent for c in columns)
    spent = min(available.get(grid.pays, 0.0), most)
    if spent < least:
        needed = least if grid.pays == "generic_training" else domains * (least + tuning)
        return Refusal(grid.method, (*binding, (grid.pays, needed)))
    if binding:
        return Refusal(grid.method, tuple(binding))
    if available.get(grid.pays, 0.0) > most * (1 + 1e-9):
        notes.append(f"pre-training as far as the evidence goes: {most:.4g}")
    ends = [_at(columns, spent, tokens, name) for name in ("value", "low", "high")]
    error = _left_out(grid, columns, spent, tokens)
    value, low, high = ends[0], _moved(ends[1], -error), _moved(ends[2], error)
    if value is not None and (low is None or high is None):
        notes.append("one seed: the interval is that of the interpolation alone" if error else "one seed: no interval")
        low, high = (value - error, value + error) if error else (None, None)
    cost = Cost(spent, tuning) if grid.pays == "generic_training" else Cost(0.0, tuning + spent)
    cost = Cost(cost.generic, cost.specialise, grid.inference)
    notes += [grid.flag] if grid.flag else []
    shown = _plain(value), _plain(low), _plain(high)
    return Prediction(grid.method, shown[0], shown[1], shown[2], cost, grid.parameters, tokens, tuple(notes))


def _tokens(
    grid: Grid, known: int, share: float, domains: int
) -> tuple[float | None, list[str], list[tuple[str, float]]]:
    """Tokens that are used, notes, and what is refused."""
    sizes, before = grid.sizes(), bool(grid.column(0))
    if known < sizes[0]:
        if known == 0 and before:
            return 0, [], []
        return None, [], [("specialisation_tokens", float(sizes[0]))]
    tokens, notes = float(min(known, sizes[-1])), []
    if known > sizes[-1]:
        notes.append(f"tokens as far as the evidence goes: {sizes[-1]:,}")
    tuning = [(float(size), grid.column(size)[0].tuning) for size in sizes]
    if grid.pays == "specialisation_training" or _line(tuning, tokens) <= share:
        return tokens, notes, []
    if share < tuning[0][1]:
        if before:
            return 0, ["no fine-tuning: the share of a domain is too small"], []
        return None, [], [("specialisation_training", domains * tuning[0][1])]
    cheaper = _inverse(tuning, share)
    return cheaper, [f"fine-tuning on {cheaper:,.0f} tokens: the share of a domain allows no more"], []


def _columns(grid: Grid, tokens: float) -> list[list[Cell]]:
    """The column of these tokens, or those on both sides."""
    if grid.column(int(tokens)) and int(tokens) == tokens:
        return [grid.column(int(tokens))]
    sizes = grid.sizes()
    above = next(i for i, size in enumerate(sizes) if size > tokens)
    return [grid.column(sizes[above - 1]), grid.column(sizes[above])]


def _between(columns: list[list[Cell]], tokens: float, of: Callable[[list[Cell]], float]) -> float:
    """A quantity of columns at tokens between them, in logarithms of both."""
    if len(columns) == 1:
        return of(columns[0])
    return _line([(float(column[0].tokens), of(column)) for column in columns], tokens)


def _at(columns: list[list[Cell]], spent: float, tokens: float, name: str) -> float | None:
    """`value`, `low` or `high` at a point; logarithms of perplexity are not taken again."""
    found = []
    for column in columns:
        points = [(cell.spent, getattr(cell, name)) for cell in column]
        if any(y is None for _, y in points):
            return None
        found.append((float(column[0].tokens), _linear(points, spent)))
    return found[0][1] if len(found) == 1 else _linear(found, tokens)


def _linear(points: Sequence[tuple[float, float]], x: float) -> float:
    """Piecewise linear in ln x; the ends are never left, rounding apart."""
    points = sorted(points)
    if len(points) == 1 or x <= points[0][0]:
        return points[0][1]
    for (x0, y0), (x1, y1) in pairwise(points):
        if x <= x1:
            return y0 + (y1 - y0) * math.log(x / x0) / math.log(x1 / x0)
    return points[-1][1]


def _line(points: Points, x: float) -> float:
    """`_linear` of positive values in their logarithms."""
    return math.exp(_linear([(a, math.log(b)) for a, b in points], x))


def _inverse(points: Points, y: float) -> float:
    """The x at which an increasing `_line` is y."""
    return _line([(b, a) for a, b in points], y)


def _left_out(grid: Grid, columns: list[list[Cell]], spent: float, tokens: float) -> float:
    """Error of interpolation in ln perplexity, along pre-training and along tokens, where a point is between cells."""
    error = 0.0
    if all(abs(cell.spent / spent - 1) > 1e-9 for cell in columns[0] if spent):
        lines = [[(cell.spent, cell.value) for cell in column if cell.value is not None] for column in columns]
        error += max(_line_error(line, spent) for line in lines) if all(lines) else 0.0
    if len(columns) == 2:
        sides = [cell for column in columns for cell in column]
        lines = [
            [(float(size), cell.value) for size in grid.sizes() for cell in grid.column(size)
             if cell.spent == spend and cell.value is not None]
            for spend in {cell.spent for cell in sides}
        ]  # fmt: skip
        error += max((_line_error(line, tokens) for line in lines if len(line) > 1), default=0.0)
    return error


def _line_error(points: Points, x: float) -> float:
    points = sorted(points)
    if len(points) < 2:
        return 0.0
    if len(points) == 2:
        value = _linear(points, x)
        return max(abs(value - y) for _, y in points)
    inner = range(1, len(points) - 1)
    return max(abs(_linear(points[:i] + points[i + 1 :], points[i][0]) - points[i][1]) for i in inner)


def _plain(x: float | None) -> float | None:
    return None if x is None else math.exp(x)


def _moved(x: float | None, by: float) -> float | None:
    return None if x is None else x + by
