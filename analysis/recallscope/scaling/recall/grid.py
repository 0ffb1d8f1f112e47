"""The grid of the AR-aware law: sizes × data budgets × states, trained and measured in one resumable call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa

from recallscope.allocator import keep_freed_memory
from recallscope.architectures.architecture import Architecture
from recallscope.bundled import TRAINING_PACKAGES, bundled_tokenizer, documents, held_out_documents
from recallscope.scaling.recall.sums import cut, loss_sums
from recallscope.scaling.recall.trunks import Recipe, shape, train_to
from recallscope.training.language.token_cache import cached_tokens

Row = dict[str, Any]


@dataclass(frozen=True)
class Design:
    """What is trained and on what it is measured.

    Attributes
    ----------
    widths, heads, budgets, seeds : tuple of int
        Every combination is a cell: width D sets the size, D² / heads the state of a layer, a budget is training
        tokens.
    text : int
        Tokens of training text; at least the largest budget. Rarity is counted in all of them.
    documents, characters : int
        Held-out documents, and how much of the beginning of each.
    """

    widths: tuple[int, ...] = (48, 80, 128)
    heads: tuple[int, ...] = (1, 4, 16)
    budgets: tuple[int, ...] = (500_000, 1_000_000, 1_600_000)
    seeds: tuple[int, ...] = (0,)
    text: int = 4_200_000
    documents: int = 110
    characters: int = 6000
    recipe: Recipe = field(default_factory=Recipe)


AGAIN = Design(widths=(128,), heads=(1, 16), budgets=(1_000_000, 1_600_000), seeds=(1,))
"""Cells that are trained with a second seed: what of a difference is chance."""


def cells(design: Design) -> list[Row]:
    """One row per cell, in the order of training: all cells of a budget before the next, so that a stop leaves a grid.

    `cell` and `run` name it; `state_elements` are those of the matrices, which is what differs between heads;
    `convolution_elements` come on top, the last three inputs of the short convolutions, which reach no further back.
    `parameters` are all of them, `body_parameters` those without the embedding that is also the head.
    """
    rows = []
    for seed, budget, width, heads in product(design.seeds, sorted(design.budgets), design.widths, design.heads):
        config = shape(width, heads, design.recipe.context)
        found, run = Architecture("", config), f"{width}-{heads}-{seed}"
        matrices = len(config.layers) * width * width // heads
        rows.append({
            "cell": f"{run}-{budget}", "run": run, "width": width, "heads": heads, "training_tokens": budget,
            "seed": seed, "parameters": found.parameters(),
            "body_parameters": found.parameters() - config.vocabulary * width,
            "state_elements": matrices, "convolution_elements": found.state_elements(design.recipe.context) - matrices,
        })  # fmt: skip
    return rows


def run_grid(designs: Sequence[Design], folder: str | Path, log: Callable[[str], None] = lambda line: None) -> pa.Table:
    """Train every cell and sum its losses on held-out text (`loss_sums`); called again, it goes on where it was.

    The designs have their text in common, that of the first.
    """
    folder, first = Path(folder), designs[0]
    keep_freed_memory()
    tokenizer = bundled_tokenizer()
    tokens = cached_tokens(documents(TRAINING_PACKAGES), tokenizer, first.text, folder / "tokens")
    models = {}
    for design in designs:
        for row in cells(design):
            config = shape(row["width"], row["heads"], design.recipe.context)
            where, budget = folder / row["run"], row["training_tokens"]
            models[row["cell"]] = train_to(config, design.recipe, tokens, budget, where, row["seed"])
            log(f"trained {row['cell']}")
    text = cut(held_out_documents(), first.documents, first.characters)
    array = folder / "tokens" / "tokens.bin"
    return loss_sums(models, text, tokenizer, array, folder / "held-out", first.recipe.context)
