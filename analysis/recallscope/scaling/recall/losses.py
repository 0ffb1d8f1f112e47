"""The grid as arrays: sizes of its cells, and their losses on groups of slices, also over resampled documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import stats

from recallscope.scaling.law import Floats
from recallscope.scaling.recall.sums import GROUPS, SLICES

NORMAL = float(stats.norm.ppf(0.975))
SIZES = {"N": "parameters", "D": "training_tokens", "S": "state_elements"}
"""Columns of a cell that the laws take, by the name of the size."""


@dataclass(frozen=True)
class Grid:
    """Measured cells.

    `names`; `sizes` N, D and S, each `[C]`; `run` `[C]`, the training run of each cell (cells of one run share all but
    their budget, so their errors hang together); `tokens` `[K, G]` and `losses` `[C, K, G]`, sums over the tokens of K
    documents in the slices `SLICES`, in nats.
    """

    names: tuple[str, ...]
    sizes: dict[str, Floats]
    run: np.ndarray
    tokens: Floats
    losses: Floats

    def __len__(self) -> int:
        return len(self.names)


def grid_of(cells: Sequence[Mapping[str, Any]], sums: pa.Table) -> Grid:
    """The grid of cells (rows with `cell`, `run` and the columns of `SIZES`) and of the table that `loss_sums` returns.

    Raises `ValueError` for a cell without losses, and for fewer than two cells.
    """
    missing = [cell["cell"] for cell in cells if f"loss_{cell['cell']}" not in sums.column_names]
    if missing or len(cells) < 2:
        raise ValueError(f"cells: at least two, each with losses; got {len(cells)}, without losses {missing}")
    documents, code = np.unique(sums.column("document").to_pylist(), return_inverse=True)
    place = code, np.array([SLICES.index(name) for name in sums.column("slice").to_pylist()])
    blank = np.zeros((len(documents), len(SLICES)))
    tokens, losses = blank.copy(), np.repeat(blank[None], len(cells), 0)
    tokens[place] = sums.column("tokens").to_numpy()
    for k, cell in enumerate(cells):
        losses[k][place] = sums.column(f"loss_{cell['cell']}").to_numpy()
    runs = np.unique([cell["run"] for cell in cells], return_inverse=True)[1]
    sizes = {name: np.array([cell[column] for cell in cells], float) for name, column in SIZES.items()}
    return Grid(tuple(cell["cell"] for cell in cells), sizes, runs, tokens, losses)


def part_of(grid: Grid, keep: np.ndarray) -> Grid:
    """The cells where `keep` `[C]` is true."""
    where = np.flatnonzero(keep)
    sizes = {name: values[where] for name, values in grid.sizes.items()}
    runs = np.unique(grid.run[where], return_inverse=True)[1]
    return Grid(tuple(grid.names[k] for k in where), sizes, runs, grid.tokens, grid.losses[where])


def group_losses(grid: Grid, group: str, weights: Floats | None = None) -> Floats:
    """Mean loss in nats per token of each cell on a group of slices (`GROUPS`), `[C]`.

    With `weights` `[R, K]`, how often each document counts, `[R, C]`. Raises `ValueError` for an unknown group, and one
    without tokens.
    """
    if group not in GROUPS:
        raise ValueError(f"group: one of {', '.join(GROUPS)}, got {group!r}")
    chosen = [SLICES.index(name) for name in GROUPS[group]]
    tokens, losses = grid.tokens[:, chosen].sum(1), grid.losses[:, :, chosen].sum(2)
    if not tokens.sum():
        raise ValueError(f"group: {group!r} holds no tokens")
    if weights is None:
        return losses.sum(1) / tokens.sum()
    return weights @ losses.T / (weights @ tokens)[:, None]


def resampled_documents(grid: Grid, count: int, generator: np.random.Generator) -> Floats:
    """How often each document is in each of `count` resamples with replacement, `[count, K]`."""
    documents = len(grid.tokens)
    return generator.multinomial(documents, np.full(documents, 1 / documents), count).astype(float)


def resampled_errors(
    residuals: Floats, run: np.ndarray, count: int, lost: int, generator: np.random.Generator
) -> Floats:
    """Centred residuals `[C]` of whole runs, drawn with replacement, `[count, C]`.

    A run takes the residuals of another at the same places (its budgets, in order), so that what a run's cells share
    stays shared. They are widened as if all of it were shared: by √(R / (R - lost)) for R runs and the `lost` constants
    that the runs had to determine, and by Student's quantile with R - lost degrees of freedom over the normal one,
    both at 95 %. Raises `ValueError` unless all runs have as many cells, and without a run to spare.
    """
    sizes = np.bincount(run)
    if len(set(sizes.tolist())) != 1:
        raise ValueError(f"run: as many cells in every run, got {sorted(set(sizes.tolist()))}")
    spare = len(sizes) - lost
    if spare < 1:
        raise ValueError(f"run: more than {lost} runs, got {len(sizes)}")
    cells = np.argsort(run, kind="stable").reshape(len(sizes), -1)  # [runs, budgets]
    widened = (residuals - residuals.mean()) * np.sqrt(len(sizes) / spare) * stats.t.ppf(0.975, spare) / NORMAL
    drawn = generator.integers(len(sizes), size=(count, len(sizes)))
    errors = np.empty((count, len(residuals)))
    errors[:, cells.ravel()] = widened[cells][drawn].reshape(count, -1)
    return errors
