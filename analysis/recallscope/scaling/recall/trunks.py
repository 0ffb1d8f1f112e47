"""Training the grid of the AR-aware law: one run per size and state, with a decayed branch at every data budget."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recallscope.architectures.config import ModelConfig
from recallscope.architectures.folder import save_model
from recallscope.architectures.model import LanguageModel, cross_entropy
from recallscope.training.language.optimisation import muon_and_adamw, resume, save_checkpoint, update

CHECKPOINT_EVERY = 100  # steps


@dataclass(frozen=True)
class Recipe:
    """How every cell of a grid is trained.

    Attributes
    ----------
    batch, context : int
        Windows per step, and tokens per window.
    learning_rate : float
        Constant after a linear warm-up over `warmup` steps; a branch takes it linearly to zero over the last `decay` of
        its budget (a fraction). So one run serves all budgets, each as if planned alone (Hägele et al. 2024, arXiv
        2405.18392).
    weight_decay : float
        On the matrices of the blocks.
    """

    batch: int = 2
    context: int = 512
    learning_rate: float = 8e-3
    warmup: int = 50
    decay: float = 0.2
    weight_decay: float = 0.1

    def steps(self, tokens: int) -> int:
        """Optimiser steps in a budget of tokens."""
        return tokens // (self.batch * self.context)

    def branch(self, tokens: int) -> int:
        """Step at which the branch of a budget leaves the run."""
        return self.steps(tokens) - round(self.decay * self.steps(tokens))


def shape(width: int, heads: int, context: int = 512, layers: int = 2, vocabulary: int = 4096) -> ModelConfig:
    """DeltaNet of a width and a number of heads: a matrix state of D² / H a layer, at equal parameters.

    Queries, keys and values have D channels each, whatever the heads; nothing decays, so the state holds what was
    written until other writes replace it. The feed-forward width makes up for the write strengths that heads add, so
    that parameters are within 0.1 % of those with one head; embedding and head are tied.
    """
    mixer = {
        "mixer": "delta_net", "heads": heads, "key_width": width // heads, "value_width": width // heads,
        "chunk": max(64 // heads, 16),
    }  # fmt: skip
    ffn = 8 * width // 3 // 8 * 8 - round((heads - 1) / 3)
    return ModelConfig(vocabulary, width, (mixer,) * layers, ffn, context, tied=True)


def train_to(
    config: ModelConfig,
    recipe: Recipe,
    tokens: np.ndarray,
    budget: int,
    folder: str | Path,
    seed: int = 0,
    log: Callable[[dict[str, Any]], None] | None = None,
) -> Path:
    """Take a run on to a budget, and return the folder of the branch's model, `<folder>/<budget>`.

    `tokens` is the 1-D training text; windows come in an order drawn from the seed, each at most once, so that the data
    of a budget are a fair sample of the text and hold those of every smaller budget. Budgets must rise from call to
    call. The folder keeps `trunk.pt` (weights, optimisers, step; replaced by rename every 100 steps and where a branch
    leaves): a run that was killed goes on from there and ends in the same bits. A finished branch is not trained again.

    Raises `ValueError` for a folder of another configuration, a run that is past the budget's branch, and a text that
    is too short.
    """
    folder = Path(folder)
    done = folder / str(budget)
    if (done / "config.json").exists():  # written last
        return done
    windows = (len(tokens) - 1) // recipe.context
    if recipe.steps(budget) < 1 or recipe.steps(budget) * recipe.batch > windows:
        raise ValueError(f"budget: {recipe.batch * recipe.context} to {windows * recipe.context} tokens, got {budget}")
    folder.mkdir(parents=True, exist_ok=True)
    identity = json.dumps({"model": asdict(config), "recipe": asdict(recipe), "tokens": len(tokens), "seed": seed})
    torch.manual_seed(seed)
    model = LanguageModel(config)
    optimizers = muon_and_adamw(model, recipe.learning_rate, recipe.weight_decay)
    first, leave = resume(folder / "trunk.pt", identity, model, optimizers), recipe.branch(budget)
    if first > leave:
        raise ValueError(f"budget: the run in {folder} is past the branch of {budget} tokens; take a larger budget")
    order = np.random.default_rng(seed).permutation(windows)
    for step in range(first, recipe.steps(budget)):
        if step == leave or (step < leave and step % CHECKPOINT_EVERY == 0):
            save_checkpoint(folder / "trunk.pt", identity, step, model, optimizers)
        loss = _step(model, optimizers, _batch(tokens, order, recipe, step), _rate(recipe, step, budget))
        if log:
            log({"step": step, "loss": loss})
    save_model(model, done, torch.float32)
    return done


def _rate(recipe: Recipe, step: int, budget: int) -> float:
    """Learning rate of a step of the branch of a budget."""
    left, decaying = recipe.steps(budget) - step, recipe.steps(budget) - recipe.branch(budget)
    return recipe.learning_rate * min((step + 1) / recipe.warmup, left / max(decaying, 1), 1.0)


def _step(model: LanguageModel, optimizers: list[torch.optim.Optimizer], ids: Tensor, rate: float) -> float:
    loss = cross_entropy(model, ids[:, :-1], ids[:, 1:])
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    update(optimizers, rate)
    return loss.item()


def _batch(tokens: np.ndarray, order: np.ndarray, recipe: Recipe, step: int) -> Tensor:
    """`[batch, context + 1]` ids."""
    chosen, width = order[step * recipe.batch : (step + 1) * recipe.batch], recipe.context
    return torch.from_numpy(np.stack([tokens[w * width : (w + 1) * width + 1] for w in chosen]).astype(np.int64))
