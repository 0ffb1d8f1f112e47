"""Models that can be asked: what each of them says at given positions, without logits where nobody asks."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from recallscope.architectures.folder import load_model
from recallscope.architectures.model import LanguageModel
from recallscope.bundled import bundled_folder, bundled_names
from recallscope.slicing.model_tokenizers import tokenizer_of
from recallscope.slicing.scoring.heads import no_cache
from recallscope.slicing.scoring.models import is_recallscope_folder, own_device, resolve_model
from recallscope.slicing.scoring.transformers_models import (
    check_causal,
    context_of,
    input_device,
    load_transformers,
    on_its_device,
    splits,
)
from recallscope.text import Tokenizer, load_tokenizer

AskedModel = str | Path | Callable


@dataclass(frozen=True)
class Asked:
    """A model in two steps, so that the head runs on scored positions only.

    Attributes
    ----------
    states : callable
        `ids [B, T], positions [B, Q] -> [B, Q, D]`: what the head reads there.
    head : callable
        `[N, D] -> logits [N, V]`; the identity for models that give logits only.
    device : torch.device
        Where the ids must be.
    context : int or None
        Tokens that the model can take; None: as many as memory holds, or unknown.
    """

    states: Callable[[Tensor, Tensor], Tensor]
    head: Callable[[Tensor], Tensor]
    device: torch.device
    context: int | None = None


@dataclass(frozen=True)
class Found:
    """A model that is named and checked but not loaded: its name, its tokenizer, the number of ids it knows."""

    name: str
    tokenizer: Tokenizer | None
    vocabulary: int | None
    load: Callable[[], Asked]


def find_model(
    model: AskedModel, tokenizer: str | Path | Tokenizer | None = None, device: str = "cpu", dtype: str | None = None
) -> Found:
    """What `slice_text` accepts: a bundled name, a folder, a hub name; or a callable `ids [B, T] -> logits [B, T, V]`.

    Callables get an int64 tensor on `device` and may return an array or an object with `logits`. Modules of torch must
    be in evaluation mode and are asked on the device on which they are.
    """
    scorer = resolve_model(model, device, dtype)
    found = (
        tokenizer
        if isinstance(tokenizer, Tokenizer)
        else load_tokenizer(tokenizer)
        if tokenizer
        else tokenizer_of(model)
    )
    if not isinstance(model, (str, Path)):
        return Found(scorer.name, found, _known_ids(model), lambda: _of_object(model, device))
    bundled = str(model) in bundled_names()
    if bundled or (Path(model).is_dir() and is_recallscope_folder(Path(model))):
        folder = bundled_folder(str(model)) if bundled else Path(model)
        return Found(scorer.name, found, scorer.vocabulary, lambda: _of_ours(load_model(folder).to(own_device(device))))
    return Found(
        scorer.name, found, scorer.vocabulary, lambda: _of_transformers(load_transformers(str(model), device, dtype))
    )


def _known_ids(model: Any) -> int | None:
    if isinstance(model, LanguageModel):
        return model.config.vocabulary
    return model.config.get_text_config().vocab_size if _is_transformers(model) else None


def _is_transformers(model: Any) -> bool:
    return isinstance(model, nn.Module) and hasattr(model, "get_output_embeddings")


def _of_object(model: Any, device: str) -> Asked:
    if isinstance(model, nn.Module):
        if model.training:
            raise ValueError("model: is in training mode; call model.eval() first")
        if isinstance(model, LanguageModel):
            return _of_ours(model)
        if _is_transformers(model):
            return _of_transformers(model)
        device = str(next((parameter.device for parameter in model.parameters()), device))

    def states(ids: Tensor, positions: Tensor) -> Tensor:
        found = model(ids)
        logits = torch.as_tensor(getattr(found, "logits", found)).to(device)
        if logits.ndim != 3 or logits.shape[:2] != ids.shape:
            shapes = f"ids {tuple(ids.shape)}, got {tuple(logits.shape)}"
            raise ValueError(f"model: must return logits [B, T, V] for {shapes}")
        return _at(logits, positions)

    return Asked(states, _identity, torch.device(device))


def _of_ours(model: LanguageModel) -> Asked:
    def states(ids: Tensor, positions: Tensor) -> Tensor:
        return _at(model.hidden(ids), positions)

    return Asked(states, model.head, model.head.weight.device)


def _of_transformers(model: Any) -> Asked:
    """Hidden states and head where these give the model's own logits; else (soft caps, scales) its own logits.

    Those are asked for at the positions of any row of the batch only, where the model takes `logits_to_keep`.
    """
    check_causal(model, type(model).__name__)
    body, head, device = model.base_model, model.get_output_embeddings(), input_device(model)
    keeps = "logits_to_keep" in inspect.signature(model.forward).parameters

    def hidden(ids: Tensor, positions: Tensor) -> Tensor:
        return _at(body(input_ids=ids, **no_cache(body)).last_hidden_state, positions)

    def logits(ids: Tensor, positions: Tensor) -> Tensor:
        if not keeps:
            return _at(model(input_ids=ids, **no_cache(model)).logits, positions)
        kept, place = positions.unique(return_inverse=True)
        return _at(model(input_ids=ids, **no_cache(model), logits_to_keep=kept).logits, place)

    if splits(model):
        return Asked(hidden, on_its_device(head), device, context_of(model))
    return Asked(logits, _identity, device, context_of(model))


def _at(states: Tensor, positions: Tensor) -> Tensor:
    positions = positions.to(states.device)
    return states.gather(1, positions[..., None].expand(-1, -1, states.shape[2]))


def _identity(logits: Tensor) -> Tensor:
    return logits
