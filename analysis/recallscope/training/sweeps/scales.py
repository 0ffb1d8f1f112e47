"""Sizes of tasks and recipes: a check in half a minute, a result by lunch, a paper's figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from recallscope.training.members.recipe import Recipe

SCALES = ("smoke", "small", "paper")


@dataclass(frozen=True)
class Scale:
    """Width of the models, learning rates, seeds and recipe; settings of the task come from `SETTINGS`."""

    width: int
    rates: tuple[float, ...]
    seeds: tuple[int, ...]
    recipe: Recipe


RECIPES = {
    "smoke": Scale(32, (1e-2, 3.16e-2), (0,), Recipe(steps=400, batch=16, evaluate_every=50, test=512)),
    "small": Scale(64, (1e-3, 3.16e-3, 1e-2, 3.16e-2), (0, 1, 2), Recipe(steps=2000, batch=64, evaluate_every=200)),
    "paper": Scale(
        128,
        (1e-4, 5e-4, 1e-3, 3.16e-3, 1e-2),
        (0, 1, 2),
        Recipe(steps=20_000, batch=256, examples=100_000, schedule="cosine by epoch", evaluate_every=390, test=3000),
    ),
}
"""Of every task. `paper` stands for the published recipes in kind (a fixed set, many epochs), not for one of them:
those are plans (`recallscope sweep`)."""

_MAD = {"vocabulary": 8, "length": 32}
SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "mqar": {"smoke": {"vocabulary": 64, "length": 32}, "small": {"vocabulary": 512, "pairs": 8}},
    "multi_token": {
        "smoke": {"vocabulary": 64, "length": 48, "pairs": 3, "value_tokens": 2},
        "small": {"vocabulary": 512, "length": 128, "pairs": 8},
    },
    "overwritten": {"smoke": {"vocabulary": 64, "length": 48, "pairs": 3}, "small": {"vocabulary": 512}},
    "stream": {"smoke": {"vocabulary": 64, "length": 34, "pairs": 3}, "small": {"vocabulary": 512}},
    "general": {"smoke": {"vocabulary": 64, "length": 24}, "small": {"vocabulary": 512}},
    "bytes": {"smoke": {"length": 96, "pairs": 3}, "small": {"length": 128, "pairs": 4}},
    "set_disjointness": {
        "smoke": {"vocabulary": 64, "first": 4, "second": 8},
        "small": {"vocabulary": 256, "first": 4, "second": 32},
    },
    "copying": {"smoke": {"payload": 4, "noise": 16}, "small": {"noise": 128}},
    "selective_copying": {"smoke": {"payload": 4, "noise": 16}, "small": {"noise": 128}},
    "in_context_language": {
        "smoke": {"strings": (3, 5), "string_length": (1, 9), "length": 60},
        "small": {"strings": (5, 9), "string_length": (1, 24), "length": 240},
    },
    "in_context_regression": {"smoke": {"dimensions": 3, "points": 8}, "small": {"dimensions": 5, "points": 16}},
    "mad_recall": {"smoke": _MAD, "small": {"length": 64}},
    "mad_fuzzy_recall": {"smoke": _MAD | {"length": 64}, "small": {"length": 64}},
    "mad_noisy_recall": {"smoke": {"length": 32}, "small": {"length": 64}},
    "mad_selective_copying": {"smoke": {"length": 32, "tokens": 4}, "small": {"length": 64, "tokens": 8}},
    "mad_compression": {"smoke": {"length": 8}, "small": {"length": 16}},
    "mad_memorization": {"smoke": {"vocabulary": 64}, "small": {}},
}
"""Settings of each task that differ from its defaults, which are the papers'."""
