"""Causal models of transformers (and of mamba-ssm): loading, where they lie, what is refused, and their losses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from recallscope.checks import check_device, parsed
from recallscope.slicing.scoring.heads import (
    full_logits,
    head_in_chunks,
    head_is_all,
    no_cache,
    probe_ids,
    sees_later_tokens,
)
from recallscope.slicing.scoring.score import Score

DEVICE_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")
_LENGTHS = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx")


def check_placement(device: str) -> None:
    """Raise a `ValueError` unless `device` is one of torch's or a way to spread a model over several."""
    if device not in DEVICE_MAPS:
        check_device(device)


def check_dtype(dtype: str | None) -> None:
    """Raise a `ValueError` unless `dtype` is None or a floating type of torch."""
    import torch

    found = getattr(torch, dtype, None) if dtype is not None else torch.float32
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(f"dtype: one of torch's, such as float32 or bfloat16, got {dtype!r}")


def check_config(folder: Path) -> dict[str, Any]:
    """The `config.json` of a folder that may hold a causal model; a `ValueError` if it cannot."""
    file = folder / "config.json"
    config = parsed(file.read_bytes(), f"model: {file}")
    if not isinstance(config, dict):
        raise ValueError(f"model: {file} must hold an object, got {config!r:.40}")
    _refuse_encoder_decoder(folder, config.get("is_encoder_decoder"), config.get("model_type"))
    return config


def load_transformers(name: str, device: str, dtype: str | None) -> Any:
    """An `AutoModelForCausalLM` in evaluation mode; local folders never ask the network, remote code never runs.

    With one of `DEVICE_MAPS` as the device the model is spread over what there is, which needs accelerate. Quantised
    weights go to their device while they load: afterwards they cannot be moved.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # the run has a bar of its own, and none in a pipe
    local = os.path.isdir(name)
    placed = _device_map(name, device, local)
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(name, dtype=dtype or "auto", local_files_only=local, **placed)
    except ImportError as error:
        raise ValueError(f"model: {name} needs a package that is not installed ({_first_line(error)})") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"model: {name} cannot be loaded ({_first_line(error)})") from None
    return (model if placed else model.to(device)).eval()


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _device_map(name: str, device: str, local: bool) -> dict[str, Any]:
    """The argument `device_map` for spread or quantised models; nothing for a model that lies on one device."""
    from transformers import AutoConfig
    from transformers.utils.import_utils import is_accelerate_available

    if local:
        _know_architecture(Path(name))
    try:
        config = AutoConfig.from_pretrained(name, local_files_only=local)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"model: {name} cannot be loaded ({_first_line(error)})") from None
    _refuse_encoder_decoder(name, getattr(config, "is_encoder_decoder", False), config.model_type)
    if getattr(config, "quantization_config", None) is None and device not in DEVICE_MAPS:
        return {}
    if not is_accelerate_available():
        what = f"device: {device}" if device in DEVICE_MAPS else f"model: {name} has quantised weights and"
        raise ValueError(f"{what} needs the package accelerate, which is not installed (pip install accelerate)")
    return {"device_map": device if device in DEVICE_MAPS else {"": device}}


def _know_architecture(folder: Path) -> None:
    """Import flash-linear-attention, which registers its models, for a `model_type` that transformers does not know."""
    from transformers import CONFIG_MAPPING

    config = check_config(folder)
    kind = config.get("model_type")
    if kind in CONFIG_MAPPING or "auto_map" in config:
        return
    try:
        import fla  # type: ignore[import-not-found]  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"model: {folder} has model_type {kind!r}, which transformers does not know, and flash-linear-attention, "
            f"whose it may be, cannot be imported ({_first_line(error)})"
        ) from None


def _refuse_encoder_decoder(name: str | Path, found: Any, kind: Any) -> None:
    if found:
        raise ValueError(f"model: {name} is an encoder-decoder ({kind}); only causal models give a loss per token")


def transformers_score(name: str, device: str, dtype: str | None) -> Score:
    """The contract over any `AutoModelForCausalLM`: the hidden states once, the head in chunks of positions.

    The chunked head is used only where it is all that stands between the hidden states and the logits (`head_is_all`);
    otherwise (soft caps, logit scales) the model's own full logits are used. A model that sees later tokens is refused.
    """
    return score_of(load_transformers(name, device, dtype), name)


def score_of(model: Any, name: str) -> Score:
    """The contract over a loaded model of transformers."""
    device, vocabulary = input_device(model), vocabulary_of(model)
    check_causal(model, name)
    if not splits(model):
        return full_logits(model, device, vocabulary)
    body, head = model.base_model, model.get_output_embeddings()
    words = no_cache(body)

    def hidden(ids: Any) -> Any:
        return body(input_ids=ids, **words).last_hidden_state

    return head_in_chunks(hidden, on_its_device(head), device)


def vocabulary_of(model: Any) -> int:
    """Number of ids that a loaded model knows."""
    return model.config.get_text_config().vocab_size


def context_of(model: Any) -> int | None:
    """Tokens that a loaded model was made for, None if its config does not say."""
    config = model.config.get_text_config()
    return next((found for name in _LENGTHS if isinstance(found := getattr(config, name, None), int)), None)


def check_causal(model: Any, name: str) -> None:
    """Raise a `ValueError` if the logits of a loaded model depend on tokens that come later."""
    if sees_later_tokens(model, _probe(model)):
        kind = model.config.model_type
        raise ValueError(f"model: {name} ({kind}) sees later tokens: only causal models give a loss per token")


def splits(model: Any) -> bool:
    """Whether a loaded model's logits are its head over its body's hidden states, see `head_is_all`."""
    body, head = model.base_model, model.get_output_embeddings()
    return head is not None and body is not model and head_is_all(model, body, head, _probe(model))


def _probe(model: Any) -> Any:
    return probe_ids(vocabulary_of(model), context_of(model), input_device(model))


def input_device(model: Any) -> Any:
    """Where the ids of a loaded model must be: with its embedding, which of a spread model only one device has."""
    return device_of(model.get_input_embeddings())


def device_of(module: Any) -> Any:
    """Where a module computes. Weights that accelerate keeps elsewhere are on "meta"; its hook knows better."""
    hook = getattr(module, "_hf_hook", None)
    placed = getattr(hook, "execution_device", None)
    return placed if placed is not None else next(module.parameters()).device


def on_its_device(head: Any) -> Any:
    """A head that takes hidden states from any device."""
    device = device_of(head)
    return lambda states: head(states.to(device))


def mamba_ssm_score(folder: str, device: str, dtype: str | None) -> Score:
    """The contract over a model that mamba-ssm saved (a `config.json` of its own, `pytorch_model.bin`)."""
    import torch

    try:
        from mamba_ssm.models.mixer_seq_simple import MambaLMHeadModel  # type: ignore[import-not-found]
    except ImportError as error:
        raise ValueError(f"model: {folder} was saved by mamba-ssm, which is not installed ({error})") from None
    found = getattr(torch, dtype) if dtype else None
    model = MambaLMHeadModel.from_pretrained(folder, device=device, dtype=found).eval()
    return head_in_chunks(model.backbone, model.lm_head, device)
