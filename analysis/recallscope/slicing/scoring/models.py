"""Models that can score: bundled ones, recallscope and Hugging Face folders, hub names, callables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from recallscope.bundled import bundled_folder, bundled_names
from recallscope.slicing.scoring.heads import head_in_chunks
from recallscope.slicing.scoring.score import Score, Scorer
from recallscope.slicing.scoring.transformers_models import (
    DEVICE_MAPS,
    check_config,
    check_dtype,
    check_placement,
    mamba_ssm_score,
    transformers_score,
)


def resolve_model(model: str | Path | Callable, device: str = "cpu", dtype: str | None = None) -> Scorer:
    """A scorer for a bundled name, a folder, a hub name, or a callable `ids [B, T + 1] -> nll [B, T]`.

    A callable's name is its `__name__`. `device` is one of torch's, or one of `DEVICE_MAPS` to spread a Hugging Face
    model over all there are. Nothing is loaded before the first batch.
    """
    check_placement(device)
    check_dtype(dtype)
    if callable(model) and not isinstance(model, (str, Path)):
        name = getattr(model, "__name__", type(model).__name__)
        return Scorer(_column_name(name), _checked_callable(model), identity=f"callable:{name}")
    if str(model) in bundled_names():
        return _folder_scorer(str(model), bundled_folder(str(model)), device)
    path = Path(model)
    if path.is_dir() and is_recallscope_folder(path):
        return _folder_scorer(path.name, path, device)
    if path.is_dir():
        config = _check_folder(path)
        name, identity = _column_name(path.resolve().name), _folder_identity(path)
        if is_mamba_ssm(config):
            vocabulary = _padded(config["vocab_size"], config.get("pad_vocab_size_multiple", 8))
            return _lazy(name, identity, vocabulary, lambda: mamba_ssm_score(str(path), own_device(device), dtype))
        return _lazy(name, identity, _transformers_vocabulary(config),
                     lambda: transformers_score(str(path), device, dtype))  # fmt: skip
    if path.exists() or str(model).startswith((".", "/")) or str(model).count("/") > 1:
        raise ValueError(f"model: {model} is not a folder with config.json; accepted: {_accepted()}")
    if "/" not in str(model):
        raise ValueError(f"model: {model!r} is not known; accepted: {_accepted()}")
    return _lazy(_column_name(str(model)), f"hub:{model}", None, lambda: transformers_score(str(model), device, dtype))


def _accepted() -> str:
    names = ", ".join(bundled_names())
    bundled = f"a bundled name ({names}), " if names else ""
    return f"{bundled}a model folder, owner/name on the Hugging Face hub, a callable, NAME=losses.parquet or .kld"


def _column_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in name)


def is_recallscope_folder(folder: Path) -> bool:
    """Whether a folder's `config.json` is a shape of ours, not of Hugging Face."""
    config = folder / "config.json"
    try:
        return (
            config.is_file() and "layers" in json.loads(config.read_text()) and "model_type" not in config.read_text()
        )
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise ValueError(f"model: {config} is not JSON") from None


def is_mamba_ssm(config: dict[str, Any]) -> bool:
    """Whether a `config.json` is one that mamba-ssm writes."""
    return "model_type" not in config and {"d_model", "n_layer", "vocab_size"} <= config.keys()


def _padded(vocabulary: int, multiple: int) -> int:
    return -(-vocabulary // multiple) * multiple


def _check_folder(folder: Path) -> dict[str, Any]:
    if not (folder / "config.json").is_file():
        raise ValueError(f"model: {folder} holds no config.json; accepted: {_accepted()}")
    config = check_config(folder)
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")):
        raise ValueError(f"model: {folder} holds no weights (*.safetensors)")
    return config


def _folder_identity(folder: Path) -> str:
    """Hash over the config and the size and time of each weight file (the weights themselves may be tens of GB)."""
    found = hashlib.sha256((folder / "config.json").read_bytes())
    for file in sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")]):
        status = file.stat()
        found.update(f"{file.name}:{status.st_size}:{status.st_mtime_ns}".encode())
    return found.hexdigest()


def _transformers_vocabulary(config: dict[str, Any]) -> int | None:
    return config.get("vocab_size") or (config.get("text_config") or {}).get("vocab_size")


def _lazy(name: str, identity: str, vocabulary: int | None, load: Callable[[], Score]) -> Scorer:
    """A scorer whose model is loaded with the first batch, so that a finished run loads none."""
    loaded: list[Score] = []

    def score(ids: np.ndarray) -> np.ndarray:
        if not loaded:
            loaded.append(load())
        return loaded[0](ids)

    return Scorer(name, score, identity, vocabulary)


def _checked_callable(model: Callable[[np.ndarray], Any]) -> Score:
    def score(ids: np.ndarray) -> np.ndarray:
        found = model(ids)
        with np.errstate(over="ignore"):  # float64 beyond float32 is infinite, and refused as such
            return np.asarray(found, dtype=np.float32)

    return score


def _folder_scorer(name: str, folder: Path, device: str) -> Scorer:
    if not (folder / "model.safetensors").is_file():
        raise ValueError(f"model: {folder} holds no weights (model.safetensors)")
    vocabulary = json.loads((folder / "config.json").read_text())["vocabulary"]
    identity = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    return _lazy(_column_name(name), identity, vocabulary, lambda: _recallscope_score(folder, device))


def _recallscope_score(folder: Path, device: str) -> Score:
    from recallscope.architectures.folder import load_model

    device = own_device(device)
    model = load_model(folder).to(device)
    return head_in_chunks(model.hidden, model.head, device)


def own_device(device: str) -> str:
    """The one device for a model of ours, which are small: of several that are asked for, the first GPU if any."""
    import torch

    return device if device not in DEVICE_MAPS else "cuda" if torch.cuda.is_available() else "cpu"
