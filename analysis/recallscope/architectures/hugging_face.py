"""Shapes from the `config.json` of Hugging Face models, for the families whose layers exist here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recallscope.architectures.config import ModelConfig, check_layers

Found = dict[str, Any]


def from_hugging_face(config: Found) -> ModelConfig:
    """The shape that a Hugging Face `config.json` describes.

    Raises `ValueError` for families that are not known, and where a key is missing that the family needs.
    """
    family = config.get("model_type")
    if not isinstance(family, str) or family not in FAMILIES:
        raise ValueError(f"model_type: one of {', '.join(FAMILIES)}, got {family!r}")
    check_layers("config: num_hidden_layers", config.get("num_hidden_layers", 1))
    try:
        return FAMILIES[family](config)
    except KeyError as error:
        raise ValueError(f"config: {family} needs {error.args[0]!r}, which is missing") from None
    except (TypeError, AttributeError, ZeroDivisionError, OverflowError) as error:  # arithmetic on odd values
        raise ValueError(f"config: {family} cannot have these values ({error})") from None


def _model(config: Found, layers: list[Found], ffn_width: int) -> ModelConfig:
    tied = config.get("tie_word_embeddings", False)
    context = config.get("max_position_embeddings", 1024)
    return ModelConfig(config["vocab_size"], config["hidden_size"], tuple(layers), ffn_width, context, tied)


def _attention(config: Found, **options: Any) -> Found:
    rope = config.get("rope_parameters") or {}
    return {
        "mixer": "attention",
        "heads": config["num_attention_heads"],
        "kv_heads": config.get("num_key_value_heads") or config["num_attention_heads"],
        "key_width": config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"],
        "rope_base": float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0),
        "qk_norm": False,
    } | options


def _first(config: Found, *names: str) -> Any:
    """The value under the first name that is there: libraries and releases call the same thing differently."""
    return config[next((name for name in names if name in config), names[0])]


def _experts(config: Found, width: str, shared: int = 0) -> Found:
    return {
        "ffn_width": config[width],
        "experts": _first(config, "num_experts", "num_local_experts", "n_routed_experts"),
        "active_experts": _first(config, "num_experts_per_tok", "num_experts_per_token"),
        "shared_width": shared,
    }


def _llama(config: Found) -> ModelConfig:
    return _model(config, [_attention(config)] * config["num_hidden_layers"], config["intermediate_size"])


def _mistral(config: Found) -> ModelConfig:
    layer = _attention(config)
    if config.get("sliding_window"):
        layer |= {"mixer": "sliding_window", "window": config["sliding_window"]}
    return _model(config, [layer] * config["num_hidden_layers"], config["intermediate_size"])


def _mixtral(config: Found) -> ModelConfig:
    layer = _attention(config) | _experts(config, "intermediate_size")
    return _model(config, [layer] * config["num_hidden_layers"], config["intermediate_size"])


def _qwen3(config: Found) -> ModelConfig:
    return _model(config, [_attention(config, qk_norm=True)] * config["num_hidden_layers"], config["intermediate_size"])


def _qwen3_moe(config: Found) -> ModelConfig:
    dense = set(config.get("mlp_only_layers") or [])
    sparse = config.get("decoder_sparse_step", 1)
    routed = _experts(config, "moe_intermediate_size")
    layers = [
        _attention(config, qk_norm=True) | ({} if i in dense or (i + 1) % sparse else routed)
        for i in range(config["num_hidden_layers"])
    ]
    return _model(config, layers, config["intermediate_size"])


def _layer_types(config: Found, kinds: dict[str, Found]) -> list[Found]:
    """One layer for each entry of `layer_types`."""
    unknown = set(config["layer_types"]) - set(kinds)
    if unknown:
        raise ValueError(f"layer_types: {', '.join(kinds)}, got {', '.join(sorted(unknown))}")
    return [dict(kinds[kind]) for kind in config["layer_types"]]


def _qwen3_next(config: Found) -> ModelConfig:
    delta = {
        "mixer": "gated_delta_net",
        "heads": config["linear_num_key_heads"],
        "value_heads": config["linear_num_value_heads"],
        "key_width": config["linear_key_head_dim"],
        "value_width": config["linear_value_head_dim"],
        "conv_width": config["linear_conv_kernel_dim"],
    }
    full = _attention(config, qk_norm=True, gate=True)
    layers = _layer_types(config, {"linear_attention": delta, "full_attention": full})
    routed = _experts(config, "moe_intermediate_size", config["shared_expert_intermediate_size"])
    dense, sparse = set(config.get("mlp_only_layers") or []), config.get("decoder_sparse_step", 1)
    for i, layer in enumerate(layers):
        if i not in dense and not (i + 1) % sparse:
            layer |= routed | {"shared_gate": True}
    return _model(config, layers, config["intermediate_size"])


def _latent(config: Found) -> Found:
    if config["v_head_dim"] != config["qk_nope_head_dim"]:
        raise ValueError(
            f"v_head_dim: equal to qk_nope_head_dim {config['qk_nope_head_dim']}, got {config['v_head_dim']}"
        )
    return {
        "mixer": "mla",
        "heads": config["num_attention_heads"],
        "key_width": config["qk_nope_head_dim"],
        "latent": config["kv_lora_rank"],
        "rope_width": config["qk_rope_head_dim"],
        "query_latent": config.get("q_lora_rank"),
    }


def _shared_experts(config: Found) -> Found:
    """DeepSeek's: several shared experts are one of their summed width; the first layers are dense."""
    width = config["moe_intermediate_size"]
    return _experts(config, "moe_intermediate_size", _first(config, "n_shared_experts", "num_shared_experts") * width)


def _deepseek_v3(config: Found) -> ModelConfig:
    layers = [_latent(config) for _ in range(config["num_hidden_layers"])]
    for layer in layers[config["first_k_dense_replace"] :]:
        layer |= _shared_experts(config)
    return _model(config, layers, config["intermediate_size"])


def _kimi_linear(config: Found) -> ModelConfig:
    delta = {
        "mixer": "kda",
        "heads": config["linear_num_heads"],
        "key_width": config["linear_head_dim"],
        "value_width": config["linear_head_dim"],
        "conv_width": config["linear_conv_kernel_dim"],
    }
    layers = _layer_types(config, {"linear_attention": delta, "full_attention": _latent(config)})
    for layer in layers[1:]:
        layer |= _shared_experts(config)
    untied = config | {"tie_word_embeddings": False}  # the model has a head of its own, whatever its configuration says
    return _model(untied, layers, config["intermediate_size"])


def _mamba2(config: Found) -> ModelConfig:
    layer = {
        "mixer": "mamba2",
        "expand": config["expand"],
        "head_width": config["head_dim"],
        "state_size": config["state_size"],
        "groups": config["n_groups"],
        "conv_width": config["conv_kernel"],
    }
    return _model(config, [layer] * config["num_hidden_layers"], 0)


FAMILIES: dict[str, Callable[[Found], ModelConfig]] = {
    "deepseek_v3": _deepseek_v3,
    "kimi_linear": _kimi_linear,
    "llama": _llama,
    "mamba2": _mamba2,
    "mistral": _mistral,
    "mixtral": _mixtral,
    "qwen3": _qwen3,
    "qwen3_moe": _qwen3_moe,
    "qwen3_next": _qwen3_next,
}
