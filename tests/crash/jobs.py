"""Everything that runs long and goes on after an interruption, each so small that it takes a second or two."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from budgets.conftest import model as shape
from budgets.conftest import windows
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.folder import save_model
from recallscope.architectures.model import LanguageModel
from recallscope.architectures.recurrent_transformer import TransformerShape
from recallscope.budgets import experiment
from recallscope.budgets.clusters import fit_space
from recallscope.budgets.protocol import Protocol, World
from recallscope.budgets.text import Domain, Windows
from recallscope.bundled import bundled_tokenizer
from recallscope.evidence import evidence, write_evidence
from recallscope.slicing.run import slice_text
from recallscope.slicing.scoring import Windowing
from recallscope.slicing.settings import SliceSettings
from recallscope.tasks import MQAR
from recallscope.training.language import command
from recallscope.training.members.mix import single
from recallscope.training.members.recipe import Recipe
from recallscope.training.recurrent.loop import Settings
from recallscope.training.recurrent.plans import CopyPlan
from recallscope.training.recurrent.rows import write_rows
from recallscope.training.recurrent.runs import Run, train_runs
from recallscope.training.sweeps.run import run_sweep
from recallscope.training.sweeps.subjects import recall_subject
from recallscope.training.sweeps.sweep import Sweep
from slicing.segments.tokenizers_here import byte_level

WORDS = "alpha beta gamma delta epsilon zeta eta theta".split()
SMALL = SliceSettings(Windowing(32, 32), shard_tokens=300)


def text(documents: int = 14) -> list[str]:
    rng = np.random.default_rng(1)
    return [" ".join(rng.choice(WORDS, 40)) for _ in range(documents)]


def prepare(inputs: Path) -> None:
    """Tiny models of two tokenizers, and a file of text."""
    (inputs / "text").mkdir(parents=True)
    for number, one in enumerate(text()):
        (inputs / "text" / f"{number:02}.txt").write_text(one)
    for seed, (name, tokenizer) in enumerate({"one": bundled_tokenizer(), "two": byte_level(300)}.items()):
        torch.manual_seed(seed)
        layers = ({"mixer": "attention", "heads": 2},)
        save_model(LanguageModel(ModelConfig(tokenizer.vocabulary, 8, layers, 16, context=64)), inputs / name)
        tokenizer.backend.save(str(inputs / name / "tokenizer.json"))
    layers = [{"mixer": "attention", "heads": 2}]
    described = {"vocabulary": 4096, "width": 8, "layers": layers, "ffn_width": 16, "context": 16}
    (inputs / "shape.json").write_text(json.dumps(described))


def steady(ids: np.ndarray) -> np.ndarray:
    return (ids[:, 1:] % 97 / 10).astype(np.float32)


def sliced(inputs: Path, out: Path) -> None:
    slice_text([str(inputs / "one"), steady], text(), out, training_text=text()[:5], settings=SMALL)


def mixed(inputs: Path, out: Path) -> None:
    slice_text([str(inputs / "one"), str(inputs / "two")], inputs / "text", out, training_text=text()[:5],
               settings=SMALL)  # fmt: skip


def language_model(inputs: Path, out: Path) -> None:
    command.train_language_model(
        str(inputs / "shape.json"), out, text=str(inputs / "text"), tokens=130 * 32, compile=False
    )


def sweep(inputs: Path, out: Path) -> None:
    recipe = Recipe(steps=12, batch=4, evaluate_every=4, validation=8, test=16)
    subjects = (recall_subject("gla", 16), recall_subject("attention", 16))
    run_sweep(Sweep("crash", subjects, single(MQAR(32, 16, 2)), (1e-2,), (0, 1), recipe), out)


def budgets(inputs: Path, out: Path) -> None:
    protocol = Protocol(
        small=shape(8, 1, 12), large=shape(12, 1, 20), batch=2, generic_steps=(2,), sizes=((64, 1),), seeds=(0,),
        experts=2, resampling=3, projected=(2, 2, 3), rank=2, pool=120,
    )  # fmt: skip
    experiment.load_world = lambda *arguments: _world()
    experiment.run_budgets(out, protocol=protocol)


def _world() -> World:
    halves = [windows(0, 70, 0), windows(1, 50, 0)]
    pool = Windows(np.concatenate([half.ids for half in halves]), np.arange(120) // 2)
    space = fit_space(pool.ids, 64, 4)
    domain = Domain("low", windows(0, 32, 1), windows(0, 8, 11))
    return World(pool, windows(0, 8, 21), (domain,), space, space.place(pool.ids))


def recurrent(inputs: Path, out: Path) -> None:
    small = TransformerShape(16, 12, 2, 64, block=8, variant="accumulate", learned=True)
    runs = [
        Run("tiny", "copy", small, CopyPlan(False, 16, 16, steps=12), Settings(4, 3, 8, 8, seed)) for seed in (0, 1)
    ]
    rows = out / "rows.jsonl"
    for run in runs:
        results = train_runs([run], out / "runs")
        if not rows.exists():
            write_evidence(evidence([]), rows)
        write_rows(results, rows, out / "curves.jsonl", "made so", "cpu")


JOBS: dict[str, Callable[[Path, Path], Any]] = {
    "slice": sliced, "mixed tokenizers": mixed, "train lm": language_model, "sweep": sweep, "train budgets": budgets,
    "recurrent": recurrent,
}  # fmt: skip
TIMES = {"seconds", "time", "training time"}


def content(out: Path) -> dict[str, Any]:
    """Every file of a finished job, byte for byte; of JSON and checkpoints everything but the time that it took."""
    return {str(file.relative_to(out)): _content(file) for file in sorted(out.rglob("*")) if file.is_file()}


def _content(file: Path) -> Any:
    if file.suffix in (".json", ".jsonl"):
        lines = file.read_text().splitlines() if file.suffix == ".jsonl" or file.name.endswith("curves.json") else None
        return [_timeless(json.loads(line)) for line in lines] if lines else _timeless(json.loads(file.read_text()))
    if file.suffix == ".pt":
        return repr(_plain(torch.load(file, weights_only=True)))
    return file.read_bytes()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: _timeless(one) for name, one in value.items() if name not in TIMES}
        return kept | ({"value": None} if value.get("metric") in TIMES else {})
    if isinstance(value, list):
        curve = len(value) == 7 and all(isinstance(one, int | float) for one in value)  # its last place is seconds
        return [_timeless(one) for one in (value[:-1] if curve else value)]
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if hasattr(value, "__dataclass_fields__"):
        return _plain(asdict(value))
    return _timeless({k: _plain(v) for k, v in value.items()}) if isinstance(value, dict) else (
        [_plain(one) for one in value] if isinstance(value, list | tuple) else value
    )  # fmt: skip
