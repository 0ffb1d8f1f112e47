"""A world small enough for tests: synthetic text of two styles, tiny models, two domains."""

from __future__ import annotations

import numpy as np
import pytest
from recallscope.architectures.config import ModelConfig
from recallscope.budgets import experiment
from recallscope.budgets.clusters import fit_space
from recallscope.budgets.protocol import Protocol, World
from recallscope.budgets.text import Domain, Windows

VOCABULARY, CONTEXT = 64, 16


def model(width: int, layers: int, hidden: int) -> ModelConfig:
    return ModelConfig(VOCABULARY, width, ({"mixer": "attention", "heads": 2},) * layers, hidden, context=CONTEXT)


def windows(style: int, count: int, seed: int) -> Windows:
    """Random walks over the half of the tokens that a style prefers; two windows a document."""
    rng = np.random.default_rng([seed, style])
    ids = rng.integers(0, VOCABULARY // 2, (count, CONTEXT + 1)) + style * VOCABULARY // 2
    return Windows(ids.astype(np.uint16), np.arange(count) // 2)


@pytest.fixture(scope="session")
def protocol() -> Protocol:
    return Protocol(
        small=model(8, 2, 12), large=model(12, 2, 20), batch=2, generic_steps=(2, 4),
        sizes=((64, 2), (128, 1)), seeds=(0,), experts=2, resampling=3, projected=(2, 2, 3), rank=2,
        pool=120,
    )  # fmt: skip


@pytest.fixture(scope="session")
def world(protocol) -> World:
    halves = [windows(0, 70, 0), windows(1, 50, 0)]
    pool = Windows(np.concatenate([half.ids for half in halves]), np.arange(120) // 2)
    space = fit_space(pool.ids, VOCABULARY, 4)
    domains = tuple(
        Domain(name, windows(style, 32, 1 + i), windows(style, 8, 11 + i))
        for i, (name, style) in enumerate((("low", 0), ("high", 1)))
    )
    return World(pool, windows(0, 8, 21), domains, space, space.place(pool.ids))


@pytest.fixture(scope="session")
def run(tmp_path_factory, protocol, world):
    """The folder of a finished comparison."""
    folder = tmp_path_factory.mktemp("budgets") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "load_world", lambda *arguments: world)
        experiment.run_budgets(folder, protocol=protocol)
    return folder
