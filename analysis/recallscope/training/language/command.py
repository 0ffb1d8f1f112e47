"""`recallscope train lm`: tokens, training, and the model's card."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.model import LanguageModel
from recallscope.bundled import TRAINING_PACKAGES, bundled_tokenizer, documents
from recallscope.checks import check_device, check_folder, parsed
from recallscope.disk import locked, replaced, write_text
from recallscope.text import Tokenizer, load_tokenizer, read_documents
from recallscope.training.language.copying import copy_losses
from recallscope.training.language.loop import TrainingConfig, losses, train
from recallscope.training.language.shapes import SHAPES
from recallscope.training.language.token_cache import cached_tokens

CARD, NOTE = "card.json", "training.json"
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
    once, unless the text is shorter than `tokens`. Called again after an interruption, it goes on; called again when it
    was over, it returns the card. A folder with another training is refused.
    """
    out = Path(out)
    check_folder("out", out)
    check_device(device)
    chosen = load_tokenizer(tokenizer) if tokenizer else bundled_tokenizer()
    shape = replace(_shape(model), vocabulary=chosen.vocabulary)
    config = TrainingConfig(
        steps=max(tokens // (batch * shape.context), 1),
        batch=batch,
        learning_rate=learning_rate,
        seed=seed,
        compile=compile,
    )
    command = _command(model, text, tokenizer, config, tokens)
    with locked(out):
        if finished := _claim(out, command):
            return finished
        source = documents(TRAINING_PACKAGES) if text is None else read_documents(text)
        array = cached_tokens(source, chosen, tokens, out)
        trained = train(shape, config, array, out, device, log=_printer(config, shape.context, echo), keep=True)
        with replaced(out / "tokenizer.json") as temporary:
            chosen.backend.save(str(temporary))
        card = model_card(trained, config, out, array, text, chosen) | {"command": command}
        write_text(out / CARD, json.dumps(card, indent=2) + "\n")
        for name in ("checkpoint.pt", NOTE):
            (out / name).unlink(missing_ok=True)
    return card


def _claim(out: Path, command: str) -> dict[str, Any] | None:
    """Note in the folder what is trained there, or refuse one with another training; the card of a finished one.

    Without the note, tokens that an interrupted call had cut out of another text would be taken.
    """
    for name in (CARD, NOTE):
        if (out / name).exists():
            held = parsed((out / name).read_bytes(), f"out: {out / name}")
            there = held.get("command") if isinstance(held, dict) else None
            if there != command:
                raise ValueError(f"out: {out} holds another training ({there}); choose another folder")
            if name == CARD:
                for leftover in ("checkpoint.pt", NOTE):
                    (out / leftover).unlink(missing_ok=True)  # killed while it tidied up
                return held
    write_text(out / NOTE, json.dumps({"command": command}) + "\n")
    return None


def _shape(model: str) -> ModelConfig:
    if model in SHAPES:
        return SHAPES[model]
    if not Path(model).is_file():
        raise ValueError(f"model: one of {', '.join(SHAPES)} or the path of a config.json, got {model!r}")
    try:
        return ModelConfig.from_json(Path(model).read_text())
    except (json.JSONDecodeError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"model: {model} is not a model shape ({error})") from None


def _printer(config: TrainingConfig, context: int, echo: Callable[[str], None]) -> Callable[[dict], None]:
    recent: deque[float] = deque(maxlen=20)

    def log(row: dict) -> None:
        step = row["step"] + 1
        recent.append(row["seconds"])
        if step % 20 == 0 or step == config.steps:
            speed = config.batch * context * len(recent) / sum(recent)
            echo(f"step {step}/{config.steps}  loss {row['loss']:.3f}  {speed:,.0f} tok/s")

    return log


def _command(model: str, text: str | None, tokenizer: str | Path | None, config: TrainingConfig, tokens: int) -> str:
    """The command line that trains the same model again."""
    given = {"text": text, "tokenizer": tokenizer}
    words = [f"--{name} {value}" for name, value in given.items() if value is not None]
    numbers = f"--tokens {tokens} --batch {config.batch} --learning-rate {config.learning_rate:g} --seed {config.seed}"
    return " ".join(["recallscope train lm", model, *words, numbers, "--out DIR"])


def model_card(
    model: LanguageModel,
    config: TrainingConfig,
    folder: Path,
    tokens: np.ndarray,
    text: str | None,
    tokenizer: Tokenizer,
) -> dict[str, Any]:
    """What a user must know of a trained model: data, tokens, settings, losses, whether it copies, how it was made.

    `seconds` is the time of all steps, over all runs if there were interruptions. Losses are means over tenths of
    training, nats per token; `late_slope` is the change of the loss over the last two tenths: how far from flat the
    curve still is.
    """
    rows = losses(folder)
    curve = np.array([row["loss"] for row in rows])
    step_tokens, shape = config.batch * model.config.context, Architecture("", model.config)
    tenths = [float(part.mean()) for part in np.array_split(curve, min(10, len(curve)))]
    return {
        "parameters": shape.parameters(),
        "model": asdict(model.config),
        "training": asdict(config),
        "tokens_trained": config.steps * step_tokens,
        "text": text or f"installed packages: {', '.join(TRAINING_PACKAGES)}",
        "tokens_sha256": hashlib.sha256(np.ascontiguousarray(tokens).tobytes()).hexdigest(),
        "tokenizer_sha256": tokenizer.hash,
        "loss_by_tenth": tenths,
        "late_slope": tenths[-1] - tenths[-2] if len(tenths) > 1 else None,
        "copy_loss": {str(n): copy_losses(model, n) for n in COPY_LENGTHS if 2 * n < model.config.context},
        "state_elements_1024": shape.state_elements(1024),
        "seconds": sum(row.get("seconds", 0.0) for row in rows),
        "machine": {"python": platform.python_version(), "torch": _torch_version(), "cores": os.cpu_count()},
    }


def _torch_version() -> str:
    import torch

    return torch.__version__
