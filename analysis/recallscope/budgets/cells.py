"""Evidence as a grid for each method: perplexity against the cost of pre-training and the specialisation set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recallscope.budgets.budgets import METHODS
from recallscope.budgets.printed import FULL_TOKENS, printed_costs, printed_rows

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """One point of a method's evidence; perplexities as natural logarithms.

    `spent` is the cost of pre-training, `tuning` what the specialisation set takes on top, for one domain. Without a
    `value` only `high` is known: the perplexity is below it.
    """

    spent: float
    tokens: int
    tuning: float
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Grid:
    """What is known of a method.

    Attributes
    ----------
    method : str
        Its name in `METHODS`.
    pays : str
        The budget that pre-training is paid from: `generic_training`, `specialisation_training`, or `` (there is none).
    parameters : float
        Of the final model.
    inference : float
        Cost of one token.
    cells : tuple of Cell
        Rows with 0 tokens are the model before fine-tuning.
    flag : str
        What is assumed.
    """

    method: str
    pays: str
    parameters: float
    inference: float
    cells: tuple[Cell, ...]
    flag: str = ""

    def column(self, tokens: int) -> list[Cell]:
        """The cells of one specialisation set, by what was spent before."""
        return sorted((cell for cell in self.cells if cell.tokens == tokens), key=lambda cell: cell.spent)

    def sizes(self) -> list[int]:
        """The specialisation sets that there are, ascending, without 0."""
        return sorted({cell.tokens for cell in self.cells} - {0})


def pays(method: str) -> str:
    """The budget that a method's pre-training is paid from."""
    return {"SLM-nopt": "", "SLM-is": "specialisation_training"}.get(method, "generic_training")


def printed_grids() -> dict[str, Grid]:
    """The paper's numbers, in A100 hours; for SLM-is, of which none is in print, what the text says of it.

    Sampling by importance is said to give the best small model in every case: its perplexity is below the lowest that
    Table 8 has for a small model. What training without pre-training costs is not printed: taken as fine-tuning.
    """
    costs, rows = printed_costs(), [row for row in printed_rows() if row.get("data") == "specialised"]
    rows = [row for row in rows if row.get("pretraining_gpu_hours") is not None]
    found = {}
    for method in dict.fromkeys(row["subject"] for row in rows):
        like = costs[method if method in costs else "SLM"]
        flag = "" if method in costs else "its training cost is taken as the fine-tuning of SLM: not printed"
        cells = tuple(
            Cell(row["pretraining_gpu_hours"], row["specialisation_tokens"], _printed_tuning(like, row),
                 *(math.log(row[name]) for name in ("value", "low", "high")))
            for row in rows if row["subject"] == method
        )  # fmt: skip
        found[method] = _printed_grid(method, like, cells, flag)
    small = [grid for grid in found.values() if grid.method != "LLM"]
    cells = []
    for tokens, name in FULL_TOKENS.items():
        lowest = min(cell.low for grid in small for cell in grid.column(tokens) if cell.low is not None)
        spent = costs["SLM-is"][f"budget specialisation {name}"] - costs["SLM"][f"budget specialisation {name}"]
        cells.append(Cell(spent, tokens, costs["SLM"][f"budget specialisation {name}"], None, None, lowest))
    flag = "no number in print: the text calls it the best small model in every case"
    return found | {"SLM-is": _printed_grid("SLM-is", costs["SLM-is"], tuple(cells), flag)}


def _printed_tuning(like: Mapping[str, float], row: Row) -> float:
    name = FULL_TOKENS.get(row["specialisation_tokens"])
    return like[f"budget specialisation {name}"] if name else 0.0


def _printed_grid(method: str, like: Mapping[str, float], cells: tuple[Cell, ...], flag: str) -> Grid:
    inference = like["cost inference"] / 1e9
    return Grid(method, pays(method), like["parameters inference"] * 1e6, inference, cells, flag)


def measured_grids(rows: Iterable[Row]) -> dict[str, Grid]:
    """Own rows (`run_budgets`), in FLOPs: means over domains, and intervals of 95 % over seeds."""
    found: dict[str, Grid] = {}
    own = [row for row in rows if row["metric"] == "perplexity" and row.get("data") == "specialised"]
    for method in METHODS:
        every = [row for row in own if row["subject"] == method]
        if every:
            flops = every[0]["inference_flops"]
            found[method] = Grid(method, pays(method), every[0]["inference_parameters"], flops, _cells(every))
    if not found:
        raise ValueError(
            "rows: perplexities of specialised models, as `recallscope train budgets` writes them, got none"
        )
    return found


def _cells(rows: list[Row]) -> tuple[Cell, ...]:
    places = dict.fromkeys((row["generic_tokens"], row["specialisation_tokens"]) for row in rows)
    cells = []
    for generic, tokens in places:
        same = [row for row in rows if (row["generic_tokens"], row["specialisation_tokens"]) == (generic, tokens)]
        spent, tuning = _costs(same, [row for row in rows if row["generic_tokens"] == generic])
        cells.append(Cell(spent, tokens, tuning, *over_seeds(same)))
    return tuple(cells)


def _costs(same: list[Row], column: list[Row]) -> tuple[float, float]:
    """Pre-training and fine-tuning; the two are told apart by the rows before fine-tuning."""
    whole = float(np.mean([row["specialise_flops"] for row in same]))
    if pays(same[0]["subject"]) != "specialisation_training":
        return float(np.mean([row["generic_flops"] for row in same])), whole
    before = float(np.mean([row["specialise_flops"] for row in column if not row["specialisation_tokens"]]))
    return before, whole - before


def over_seeds(rows: Iterable[Row]) -> tuple[float, float | None, float | None]:
    """ln of the perplexity: the mean over domains for each seed, then over seeds with Student's interval of 95 %.

    Without ends for a single seed. Raises `ValueError` if a domain lacks a seed that another has.
    """
    from scipy.stats import t

    seeds: dict[int, dict[str, float]] = {}
    for row in rows:
        seeds.setdefault(row["seed"], {})[row["domain"]] = math.log(row["value"])
    if len({frozenset(own) for own in seeds.values()}) != 1:
        raise ValueError("rows: every domain with every seed, got some without")
    means = [float(np.mean(list(own.values()))) for own in seeds.values()]
    mean = float(np.mean(means))
    if len(means) == 1:
        return mean, None, None
    half = float(t.ppf(0.975, len(means) - 1) * np.std(means, ddof=1) / math.sqrt(len(means)))
    return mean, mean - half, mean + half
