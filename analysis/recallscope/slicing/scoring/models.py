"""Models that can score: bundled ones, recallscope and Hugging Face folders, hub names, callables."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recallscope.allocator import keep_freed_memory
from recallscope.bundled import bundled_folder, bundled_names
from recallscope.checks import check_device
from recallscope.slicing.scoring.score import Score, Scorer

if TYPE_CHECKING:
    from torch import Tensor

HEAD_ROWS = 128  # positions whose logits exist at one time; 128 x 50,257 float32 are 26 MB


def resolve_model(model: str | Path | Callable, device: str = "cpu", dtype: str | None = None) -> Scorer:
    """A scorer for a bundled name, a folder, a hub name, or a callable `ids [B, T + 1] -> nll [B, T]`.

    A callable's name is its `__name__`. Nothing is loaded before the first batch.
    """
    check_device(device)
    if callable(model) and not isinstance(model, (str, Path)):
        name = getattr(model, "__name__", type(model).__name__)
        return Scorer(_column_name(name), _checked_callable(model), identity=f"callable:{name}")
    if str(model) in bundled_names():
        return _folder_scorer(str(model), bundled_folder(str(model)), device)
    path = Path(model)
    if path.is_dir() and is_recallscope_folder(path):
        return _folder_scorer(path.name, path, device)
    if path.is_dir():
        _check_folder(path)
        return _lazy(_column_name(path.resolve().name), _folder_identity(path), _transformers_vocabulary(path),
                     lambda: transformers_score(str(path), device, dtype))  # fmt: skip
    if path.exists() or str(model).startswith((".", "/")) or str(model).count("/") > 1:
        raise ValueError(f"model: {model} is not a folder with config.json; accepted: {_accepted()}")
    if "/" not in str(model):
        raise ValueError(f"model: {model!r} is not known; accepted: {_accepted()}")
    return _lazy(_column_name(str(model)), f"hub:{model}", None, lambda: transformers_score(str(model), device, dtype))


def _accepted() -> str:
    names = ", ".join(bundled_names())
    bundled = f"a bundled name ({names}), " if names else ""
    return f"{bundled}a model folder, owner/name on the Hugging Face hub, a callable, NAME=losses.parquet"


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


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise ValueError(f"model: {folder} holds no config.json; accepted: {_accepted()}")
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")):
        raise ValueError(f"model: {folder} holds no weights (*.safetensors)")


def _folder_identity(folder: Path) -> str:
    """Hash over the config and the size and time of each weight file (the weights themselves may be tens of GB)."""
    found = hashlib.sha256((folder / "config.json").read_bytes())
    for file in sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")]):
        status = file.stat()
        found.update(f"{file.name}:{status.st_size}:{status.st_mtime_ns}".encode())
    return found.hexdigest()


def _transformers_vocabulary(folder: Path) -> int | None:
    config = json.loads((folder / "config.json").read_text())
    return config.get("vocab_size") or config.get("text_config", {}).get("vocab_size")


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
        return np.asarray(model(ids), dtype=np.float32)

    return score


def _folder_scorer(name: str, folder: Path, device: str) -> Scorer:
    if not (folder / "model.safetensors").is_file():
        raise ValueError(f"model: {folder} holds no weights (model.safetensors)")
    vocabulary = json.loads((folder / "config.json").read_text())["vocabulary"]
    identity = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    return _lazy(_column_name(name), identity, vocabulary, lambda: _recallscope_score(folder, device))


def _recallscope_score(folder: Path, device: str) -> Score:
    from recallscope.architectures.folder import load_model

    model = load_model(folder).to(device)
    return head_in_chunks(model.hidden, model.head.weight, None, device)


def load_transformers(name: str, device: str, dtype: str | None) -> Any:
    """An `AutoModelForCausalLM` in evaluation mode; local folders never ask the network, remote code never runs."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # the run has a bar of its own, and none in a pipe
    local = os.path.isdir(name)
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(name, dtype=dtype or "auto", local_files_only=local)
    except (OSError, ValueError) as error:
        raise ValueError(f"model: {name} cannot be loaded ({str(error).splitlines()[0]})") from None
    return model.to(device).eval()


def transformers_score(name: str, device: str, dtype: str | None) -> Score:
    """The contract over any `AutoModelForCausalLM`: the hidden states once, the head in chunks of positions.

    The chunked head is used only where it reproduces the model's own logits on a probe batch to 1e-4; otherwise (soft
    caps, logit scales) the model's own full logits are used.
    """
    model = load_transformers(name, device, dtype)
    body, head = model.base_model, model.get_output_embeddings()
    if head is None or not head_reproduces(model, body, head, device):
        return _full_logits(model, device)

    def hidden(ids: Tensor) -> Tensor:
        return body(input_ids=ids, use_cache=False).last_hidden_state

    return head_in_chunks(hidden, head.weight, getattr(head, "bias", None), device)


def head_reproduces(model: Any, body: Any, head: Any, device: str) -> bool:
    """Whether `head(body(ids))` are the model's logits, on a probe batch."""
    import torch

    probe = torch.arange(16, device=device)[None] % model.config.get_text_config().vocab_size
    with torch.inference_mode():
        full = model(input_ids=probe, use_cache=False).logits.float()
        ours = head(body(input_ids=probe, use_cache=False).last_hidden_state).float()
    return bool(torch.allclose(full, ours, rtol=1e-4, atol=1e-4))


def head_in_chunks(hidden: Callable[[Tensor], Tensor], weight: Tensor, bias: Tensor | None, device: str) -> Score:
    """`nll = logsumexp(h Wᵀ + b) - (h Wᵀ + b)[target]`, at most 128 positions' logits in memory at a time."""
    import torch
    from torch.nn import functional as F

    keep_freed_memory()

    def score(ids: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            batch = torch.from_numpy(ids).to(device)
            states, targets = hidden(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten()
            nll = torch.empty(len(targets), dtype=torch.float32, device=device)
            for at in range(0, len(targets), HEAD_ROWS):
                rows = slice(at, at + HEAD_ROWS)
                logits = F.linear(states[rows], weight, bias).float()
                nll[rows] = logits.logsumexp(-1) - logits.gather(1, targets[rows, None])[:, 0]
            return nll.view(ids.shape[0], -1).cpu().numpy()

    return score


def _full_logits(model: Any, device: str) -> Score:
    import torch

    def score(ids: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            batch = torch.from_numpy(ids).to(device)
            logits = model(input_ids=batch[:, :-1], use_cache=False).logits.float()
            nll = logits.logsumexp(-1) - logits.gather(2, batch[:, 1:, None])[..., 0]
            return nll.cpu().numpy()

    return score
