"""The one loop that trains language models: next-token prediction on windows of a token array, resumable."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recallscope.allocator import keep_freed_memory
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.folder import save_model
from recallscope.architectures.model import LanguageModel, cross_entropy
from recallscope.disk import write_text
from recallscope.training.language.optimisation import muon_and_adamw, resume, save_checkpoint, update


@dataclass(frozen=True)
class TrainingConfig:
    """How a language model is trained.

    Attributes
    ----------
    steps, batch : int
        Optimiser steps, and windows of `context` tokens per step: `steps · batch · context` tokens in all.
    learning_rate : float
        Peak; linear warm-up over `warmup` steps, then linear to zero.
    weight_decay : float
        On the matrices of the blocks.
    seed : int
        Of the weights and of the order of the windows.
    compile : bool
        Compile the model (a C++ compiler is needed on CPU); changes speed only.
    """

    steps: int
    batch: int = 2
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    warmup: int = 200
    seed: int = 0
    compile: bool = True

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1:
            raise ValueError(f"steps, batch: at least 1, got {self.steps} and {self.batch}")


def train(
    model_config: ModelConfig,
    config: TrainingConfig,
    tokens: np.ndarray,
    folder: str | Path,
    device: str = "cpu",
    log: Callable[[dict], None] | None = None,
    checkpoint_every: int = 100,
    keep: bool = False,
) -> LanguageModel:
    """Train on `tokens` (1-D integers, documents already separated) and write the model into `folder`.

    The folder holds `checkpoint.pt` (weights, optimiser, step; replaced in one rename every `checkpoint_every` steps)
    and `losses.jsonl` while training, so a killed run goes on where it was when called again with the same
    configurations; other configurations are refused. Each window is used once per epoch, in an order drawn from the
    seed and the epoch. Matrix products run in bfloat16, weights and losses in float32. In the end the checkpoint is
    removed, unless `keep` says that the caller has to write more first.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    windows = (len(tokens) - 1) // model_config.context
    if windows < config.batch:
        need = config.batch * model_config.context + 1
        raise ValueError(f"tokens: one batch needs at least {need} tokens, got {len(tokens)}")
    keep_freed_memory()
    torch.manual_seed(config.seed)
    model = LanguageModel(model_config).to(device)
    optimizers = muon_and_adamw(model, config.learning_rate, config.weight_decay)
    identity = json.dumps({"model": asdict(model_config), "training": asdict(config), "tokens": len(tokens)})
    first = resume(folder / "checkpoint.pt", identity, model, optimizers)
    _cut_log(folder / "losses.jsonl", first)
    loss_of = torch.compile(cross_entropy) if config.compile else cross_entropy
    before = time.perf_counter()
    with open(folder / "losses.jsonl", "a") as losses:
        for step in range(first, config.steps):
            ids = _batch(tokens, model_config.context, windows, config, step).to(device)
            with torch.autocast(device, torch.bfloat16):
                loss = loss_of(model, ids[:, :-1], ids[:, 1:])
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            update(optimizers, config.learning_rate * _schedule(step, config))
            row = {"step": step, "loss": loss.item(), "gradient_norm": norm.item()}
            now = time.perf_counter()
            row["seconds"], before = now - before, now
            losses.write(json.dumps(row) + "\n")
            losses.flush()
            if log:
                log(row)
            if (step + 1) % checkpoint_every == 0 or (keep and step + 1 == config.steps):
                save_checkpoint(folder / "checkpoint.pt", identity, step + 1, model, optimizers)
    save_model(model, folder)
    if not keep:
        (folder / "checkpoint.pt").unlink(missing_ok=True)
    return model.eval()


def _schedule(step: int, config: TrainingConfig) -> float:
    """Factor on the peak learning rate: linear warm-up, linear to zero at the last step."""
    return min((step + 1) / max(config.warmup, 1), 1.0) * (1 - step / config.steps)


def _batch(tokens: np.ndarray, context: int, windows: int, config: TrainingConfig, step: int) -> Tensor:
    """`[batch, context + 1]` ids: the next windows in the epoch's own random order."""
    per_epoch = windows // config.batch
    epoch, index = divmod(step, per_epoch)
    order = np.random.default_rng([config.seed, epoch]).permutation(windows)
    chosen = order[index * config.batch : (index + 1) * config.batch]
    return torch.from_numpy(np.stack([tokens[w * context : (w + 1) * context + 1] for w in chosen]).astype(np.int64))


def _cut_log(path: Path, step: int) -> None:
    """Drop the log's lines from `step` on: they were written after the checkpoint that is resumed."""
    if path.exists():
        lines = path.read_text().splitlines(keepends=True)[:step]
        write_text(path, "".join(lines))


def losses(folder: str | Path) -> Iterator[dict]:
    """The rows of a run's `losses.jsonl`."""
    with open(Path(folder) / "losses.jsonl") as lines:
        yield from map(json.loads, lines)
