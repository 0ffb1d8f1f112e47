"""`recallscope train lm`: tokens, training, and the model's card."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from recallscope.architectures.model import LanguageModel, ModelConfig
from recallscope.bundled import TRAINING_PACKAGES, bundled_tokenizer, documents
from recallscope.text import Tokenizer, load_tokenizer, read_documents
from recallscope.training.copying import copy_losses
from recallscope.training.language_model import TrainingConfig, losses, train
from recallscope.training.shapes import SHAPES
from recallscope.training.token_cache import cached_tokens

COPY_LENGTHS = (32, 128, 480)  # the longest fits two copies into a context of 1,024


def train_language_model(
    model: str,
    out: str | Path,
    *,
    text: str | None = None,
    tokenizer: str | Path | None = None,
    tokens: int = 20_070_400,
    batch: int = 2,
    learning_rate: float = 2e-3,
    seed: int = 0,
    device: str = "cpu",
    compile: bool = True,
    echo: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train a model of a named shape (or a `config.json`) and write folder, tokenizer and card; returns the card.

    The text is the installation's own training packages by default, the tokenizer the bundled one. Each token is used
    once, unless the text is shorter than `tokens`. Called again after an interruption, it goes on.
    """
    out = Path(out)
    chosen = load_tokenizer(tokenizer) if tokenizer else bundled_tokenizer()
    shape = replace(_shape(model), vocabulary=chosen.vocabulary)
    source = documents(TRAINING_PACKAGES) if text is None else read_documents(text)
    array = cached_tokens(source, chosen, tokens, out)
    config = TrainingConfig(
        steps=max(tokens // (batch * shape.context), 1),
        batch=batch,
        learning_rate=learning_rate,
        seed=seed,
        compile=compile,
    )
    started = time.perf_counter()
    trained = train(shape, config, array, out, device, log=_printer(config.steps, echo))
    seconds = time.perf_counter() - started
    chosen.backend.save(str(out / "tokenizer.json"))
    card = model_card(trained, config, out, array, text, seconds, chosen)
    (out / "card.json.tmp").write_text(json.dumps(card, indent=2) + "\n")
    os.replace(out / "card.json.tmp", out / "card.json")
    return card


def _shape(model: str) -> ModelConfig:
    if model in SHAPES:
        return SHAPES[model]
    if not Path(model).is_file():
        raise ValueError(f"model: one of {', '.join(SHAPES)} or the path of a config.json, got {model!r}")
    try:
        return ModelConfig.from_json(Path(model).read_text())
    except (json.JSONDecodeError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"model: {model} is not a model shape ({error})") from None


def _printer(steps: int, echo: Callable[[str], None]) -> Callable[[dict], None]:
    def log(row: dict) -> None:
        step = row["step"] + 1
        if step % 20 == 0 or step == steps:
            echo(f"step {step}/{steps}  loss {row['loss']:.3f}  {row['tokens_per_second']:,.0f} tok/s")

    return log


def model_card(
    model: LanguageModel,
    config: TrainingConfig,
    folder: Path,
    tokens: np.ndarray,
    text: str | None,
    seconds: float | None,
    tokenizer: Tokenizer,
) -> dict[str, Any]:
    """What a user must know of a trained model: data, tokens, settings, losses, whether it copies, how it was made.

    `seconds` is the time of the last (perhaps resumed) run. Losses are means over tenths of training, nats per token;
    `late_slope` is the change of the loss over the last two tenths: how far from flat the curve still is.
    """
    curve = np.array([row["loss"] for row in losses(folder)])
    tenths = [float(part.mean()) for part in np.array_split(curve, min(10, len(curve)))]
    return {
        "parameters": model.parameters_count(),
        "model": asdict(model.config),
        "training": asdict(config),
        "tokens_trained": config.steps * config.batch * model.config.context,
        "text": text or f"installed packages: {', '.join(TRAINING_PACKAGES)}",
        "tokens_sha256": hashlib.sha256(np.ascontiguousarray(tokens).tobytes()).hexdigest(),
        "tokenizer_sha256": tokenizer.hash,
        "loss_by_tenth": tenths,
        "late_slope": tenths[-1] - tenths[-2] if len(tenths) > 1 else None,
        "copy_loss": {str(n): copy_losses(model, n) for n in COPY_LENGTHS if 2 * n < model.config.context},
        "state_elements_1024": model.state_elements(1024),
        "seconds": seconds,
        "machine": {"python": platform.python_version(), "torch": _torch_version(), "cores": os.cpu_count()},
    }


def _torch_version() -> str:
    import torch

    return torch.__version__
