"""The one loop that trains language models: next-token prediction on windows of a token array, resumable."""

from __future__ import annotations

import json
import os
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
) -> LanguageModel:
    """Train on `tokens` (1-D integers, documents already separated) and write the model into `folder`.

    The folder holds `checkpoint.pt` (weights, optimiser, step; replaced in one rename every `checkpoint_every` steps)
    and `losses.jsonl` while training, so a killed run goes on where it was when called again with the same
    configurations; other configurations are refused. Each window is used once per epoch, in an order drawn from the
    seed and the epoch. Matrix products run in bfloat16, weights and losses in float32.
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
    optimizers = _optimizers(model, config)
    identity = json.dumps({"model": asdict(model_config), "training": asdict(config), "tokens": len(tokens)})
    first = _resume(folder / "checkpoint.pt", identity, model, optimizers)
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
            _update(optimizers, config.learning_rate * _schedule(step, config))
            row = {"step": step, "loss": loss.item(), "gradient_norm": norm.item()}
            now = time.perf_counter()
            row["seconds"], before = now - before, now
            losses.write(json.dumps(row) + "\n")
            losses.flush()
            if log:
                log(row)
            if (step + 1) % checkpoint_every == 0:
                _checkpoint(folder / "checkpoint.pt", identity, step + 1, model, optimizers)
    save_model(model, folder)
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    return model.eval()


def _schedule(step: int, config: TrainingConfig) -> float:
    """Factor on the peak learning rate: linear warm-up, linear to zero at the last step."""
    return min((step + 1) / max(config.warmup, 1), 1.0) * (1 - step / config.steps)


def _optimizers(model: LanguageModel, config: TrainingConfig) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al. 2024) for the matrices of the blocks, at AdamW's update size; AdamW for everything else.

    At 0.79 M tokens its loss was 0.74 nats below AdamW's, in a trial whose biases differed too (see LOG.md).
    """
    named = list(model.named_parameters())
    matrices = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    hidden = {name for name, _ in named if name in matrices and name.startswith("blocks.")}
    rest = [p for name, p in named if name not in hidden]
    rate = config.learning_rate
    return [
        torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.0),
        torch.optim.Muon(
            [p for name, p in named if name in hidden],
            lr=rate,
            weight_decay=config.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        ),
    ]


def _update(optimizers: list[torch.optim.Optimizer], rate: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()


def _batch(tokens: np.ndarray, context: int, windows: int, config: TrainingConfig, step: int) -> Tensor:
    """`[batch, context + 1]` ids: the next windows in the epoch's own random order."""
    per_epoch = windows // config.batch
    epoch, index = divmod(step, per_epoch)
    order = np.random.default_rng([config.seed, epoch]).permutation(windows)
    chosen = order[index * config.batch : (index + 1) * config.batch]
    return torch.from_numpy(np.stack([tokens[w * context : (w + 1) * context + 1] for w in chosen]).astype(np.int64))


def _checkpoint(
    path: Path, identity: str, step: int, model: LanguageModel, optimizers: list[torch.optim.Optimizer]
) -> None:
    states = [optimizer.state_dict() for optimizer in optimizers]
    saved = {"identity": identity, "step": step, "model": model.state_dict(), "optimizers": states}
    torch.save(saved, f"{path}.tmp")
    os.replace(f"{path}.tmp", path)


def _resume(path: Path, identity: str, model: LanguageModel, optimizers: list[torch.optim.Optimizer]) -> int:
    """Restore a checkpoint and return the step to go on with; 0 when there is none."""
    if not path.exists():
        return 0
    saved = torch.load(path, weights_only=True)
    if saved["identity"] != identity:
        raise ValueError(f"folder: {path.parent} holds a run of another configuration; choose another folder")
    model.load_state_dict(saved["model"])
    for optimizer, state in zip(optimizers, saved["optimizers"], strict=True):
        optimizer.load_state_dict(state)
    return saved["step"]


def _cut_log(path: Path, step: int) -> None:
    """Drop the log's lines from `step` on: they were written after the checkpoint that is resumed."""
    if path.exists():
        lines = path.read_text().splitlines(keepends=True)[:step]
        path.with_suffix(".tmp").write_text("".join(lines))
        os.replace(path.with_suffix(".tmp"), path)


def losses(folder: str | Path) -> Iterator[dict]:
    """The rows of a run's `losses.jsonl`."""
    with open(Path(folder) / "losses.jsonl") as lines:
        yield from map(json.loads, lines)
