"""A language model as a folder: `config.json` and `model.safetensors`."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from recallscope.architectures.config import ModelConfig
from recallscope.architectures.model import LanguageModel
from recallscope.disk import replaced, write_text


def save_model(model: LanguageModel, folder: str | Path, dtype: torch.dtype = torch.bfloat16) -> None:
    """Write the model's shape and weights, cast to `dtype`; each file under a temporary name, then renamed."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().to(dtype).contiguous() for name, value in _stored(model).items()}
    with replaced(folder / "model.safetensors") as temporary:
        save_file(weights, temporary, metadata={"format": "pt"})
    write_text(folder / "config.json", model.config.to_json())


def _stored(model: LanguageModel) -> dict[str, torch.Tensor]:
    """The weights, a tied head left out: it is the embedding."""
    weights = model.state_dict()
    if model.config.tied:
        del weights["head.weight"]
    return weights


def _check_shapes(folder: Path, config: ModelConfig, weights: dict[str, torch.Tensor]) -> None:
    """A shape that does not fit the weights is refused before memory is taken for it."""
    with torch.device("meta"):
        wanted = {name: tuple(value.shape) for name, value in LanguageModel(config).state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name) and not (config.tied and name == "head.weight"):
            raise ValueError(
                f"model: the weights of {folder} do not fit its config.json "
                f"({name}: {found.get(name, 'missing')}, {wanted.get(name, 'not of this shape')} by the config)"
            )


def load_model(folder: str | Path) -> LanguageModel:
    """The model of a folder, float32, in evaluation mode.

    Raises `ValueError` when a file is missing or unreadable, or the weights do not fit the shape.
    """
    folder = Path(folder)
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise ValueError(f"model: {folder} must hold config.json and model.safetensors; {name} is missing")
    try:
        config = ModelConfig.from_json((folder / "config.json").read_bytes())
        if not config.vocabulary:
            raise ValueError("vocabulary: at least 1 for a language model, got 0")
    except ValueError as error:
        raise ValueError(f"model: {folder}/config.json is not a recallscope model shape ({error})") from None
    try:
        weights = load_file(folder / "model.safetensors")
    except Exception as error:  # safetensors raises its own exception class for a broken file
        if type(error).__name__ != "SafetensorError":
            raise
        raise ValueError(f"model: {folder}/model.safetensors is broken ({error})") from None
    _check_shapes(folder, config, weights)
    model = LanguageModel(config)
    try:
        if model.config.tied and "embedding.weight" in weights:
            weights["head.weight"] = weights["embedding.weight"]
        model.load_state_dict({name: value.float() for name, value in weights.items()})
    except RuntimeError as error:
        raise ValueError(f"model: the weights of {folder} do not fit its config.json ({error})") from None
    return model.eval()
