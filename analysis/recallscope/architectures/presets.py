"""Published shapes as data, each with its source and what had to be read into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from recallscope.architectures.config import ModelConfig
from recallscope.architectures.hugging_face import from_hugging_face

GPT2_VOCABULARY = 50_257


@dataclass(frozen=True)
class Preset:
    """A published shape; `source` is paper and table, or the configuration it copies, `note` what was read into it."""

    config: ModelConfig
    source: str
    note: str = ""


def _based(
    width: int, layers: int, linear: set[int], window: set[int], first: str = "based", reach: int = 128
) -> ModelConfig:
    """Layers counted from 1: linear attention, windows of `reach` tokens, short convolutions; SwiGLU of width 2 D."""
    kinds: dict[str, dict[str, Any]] = {
        "linear": {"mixer": first, "heads": 16, "key_width": 16},
        "window": {"mixer": "sliding_window", "heads": 16, "window": reach},
        "convolution": {"mixer": "base_conv", "kernel": 3, "expansion": 4, "activation": True},
    }
    named = ["linear" if i in linear else "window" if i in window else "convolution" for i in range(1, layers + 1)]
    return ModelConfig(GPT2_VOCABULARY, width, tuple(kinds[name] for name in named), 2 * width, 2048, True)


def _repeated(layer: dict[str, Any], layers: int, width: int, ffn_width: int) -> ModelConfig:
    return ModelConfig(GPT2_VOCABULARY, width, (layer,) * layers, ffn_width, 2048, True)


def _attention_model(
    model_type: str, vocabulary: int, width: int, layers: int, heads: int, **further: Any
) -> ModelConfig:
    """A Hugging Face configuration, by its own keys."""
    common = {
        "model_type": model_type, "vocab_size": vocabulary, "hidden_size": width, "num_hidden_layers": layers,
        "num_attention_heads": heads,
    }  # fmt: skip
    return from_hugging_face(common | further)


def _jamba() -> ModelConfig:
    """Every eighth layer attention without positions, every second FFN a mixture of experts."""
    attention = {"mixer": "attention", "heads": 32, "kv_heads": 8, "rope_base": None, "qk_norm": False}
    layers = [
        dict(attention if i % 8 == 4 else {"mixer": "mamba"}) | ({"experts": 16, "active_experts": 2} if i % 2 else {})
        for i in range(32)
    ]
    return ModelConfig(65_536, 4096, tuple(layers), 14_336, 262_144)


def _sigma(layers: int, width: int, ffn_width: int, query_width: int) -> ModelConfig:
    layer = {
        "mixer": "diff_qkv", "heads": 32, "key_heads": 4, "value_heads": 16, "query_width": query_width,
    }  # fmt: skip
    return ModelConfig(0, width, (layer,) * layers, ffn_width)


_BASED_NOTE = (
    "Window 128 as in JRT's table (Based's own says 64; the released configurations see 128 tokens and the current "
    "one). A convolution keeps kernel - 1 inputs; published counts add the current one."
)
_TRANSFORMER_NOTE = "MLP width 4 is read as a gated MLP of 8/3 D, up to a multiple of 128; so the sizes come out."
_LINEAR_360M, _WINDOW_360M = {2, 7, 12, 17, 22}, {3, 8, 13, 18, 23}
_LINEAR_1B, _WINDOW_1B = _LINEAR_360M | {27, 32}, _WINDOW_360M | {28, 33}

_EXPERTS_512 = {"num_experts": 512, "num_experts_per_tok": 10, "moe_intermediate_size": 512}
_LATENT = {"kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128}

PRESETS = {
    "based-363m": Preset(
        _based(1024, 27, _LINEAR_360M, _WINDOW_360M), "Arora et al. 2024, arXiv 2407.05483, Table 16", _BASED_NOTE
    ),
    "based-1.4b": Preset(
        _based(1792, 36, _LINEAR_1B, _WINDOW_1B), "Arora et al. 2024, arXiv 2407.05483, Table 16", _BASED_NOTE
    ),
    "jrt-rnn-356m": Preset(
        _based(1024, 26, _LINEAR_360M, _WINDOW_360M, "jrt", 64),
        "Arora et al. 2024, arXiv 2407.05483, Table 15",
        "One convolution layer fewer than Based, as the table has it.",
    ),
    "jrt-rnn-1.3b": Preset(
        _based(1792, 36, _LINEAR_1B, _WINDOW_1B, "jrt", 64),
        "Arora et al. 2024, arXiv 2407.05483, Table 15",
    ),
    "mamba-358m": Preset(_repeated({"mixer": "mamba"}, 46, 1024, 0), "Arora et al. 2024, arXiv 2407.05483, Table 17"),
    "mamba-1.3b": Preset(_repeated({"mixer": "mamba"}, 46, 2048, 0), "Arora et al. 2024, arXiv 2407.05483, Table 17"),
    "transformer++-360m": Preset(
        _repeated({"mixer": "attention", "heads": 16, "qk_norm": False}, 24, 1024, 2816),
        "Arora et al. 2024, arXiv 2407.05483, Table 18",
        _TRANSFORMER_NOTE,
    ),
    "transformer++-1.3b": Preset(
        _repeated({"mixer": "attention", "heads": 24, "qk_norm": False}, 36, 1680, 4480),
        "Arora et al. 2024, arXiv 2407.05483, Table 18",
        _TRANSFORMER_NOTE,
    ),
    "yi-6b": Preset(
        _attention_model("llama", 64_000, 4096, 32, 32, num_key_value_heads=4, intermediate_size=11_008),
        "config.json of 01-ai/Yi-6B",
    ),
    "qwen3-next-80b-a3b": Preset(
        _attention_model(
            "qwen3_next",
            151_936,
            2048,
            48,
            16,
            num_key_value_heads=2,
            head_dim=256,
            intermediate_size=5632,
            layer_types=(["linear_attention"] * 3 + ["full_attention"]) * 12,
            linear_conv_kernel_dim=4,
            linear_num_key_heads=16,
            linear_num_value_heads=32,
            linear_key_head_dim=128,
            linear_value_head_dim=128,
            shared_expert_intermediate_size=512,
            **_EXPERTS_512,
        ),
        "defaults of Qwen3NextConfig, transformers 5.23.0, for Qwen/Qwen3-Next-80B-A3B-Instruct",
    ),
    "kimi-linear-48b-a3b": Preset(
        _attention_model(
            "kimi_linear",
            163_840,
            2304,
            27,
            32,
            intermediate_size=9216,
            **_LATENT,
            layer_types=["full_attention" if i and i % 4 == 0 else "linear_attention" for i in range(27)],
            linear_num_heads=32,
            linear_head_dim=128,
            linear_conv_kernel_dim=4,
            num_experts=256,
            num_experts_per_tok=8,
            moe_intermediate_size=1024,
            n_shared_experts=1,
        ),
        "defaults of KimiLinearConfig, transformers 5.23.0, for moonshotai/Kimi-Linear-48B-A3B-Instruct",
        "Six layers of full attention by these defaults; the release lists its own.",
    ),
    "deepseek-v3": Preset(
        _attention_model(
            "deepseek_v3",
            129_280,
            7168,
            61,
            128,
            intermediate_size=18_432,
            **_LATENT,
            q_lora_rank=1536,
            first_k_dense_replace=3,
            n_routed_experts=256,
            num_experts_per_tok=8,
            moe_intermediate_size=2048,
            n_shared_experts=1,
        ),
        "defaults of DeepseekV3Config, transformers 5.23.0",
        "Without the module that predicts a second token.",
    ),
    "mamba-codestral-7b": Preset(
        _attention_model(
            "mamba2", 32_768, 4096, 64, 0, expand=2, head_dim=64, state_size=128, n_groups=8, conv_kernel=4
        ),
        "defaults of Mamba2Config, transformers 5.23.0",
        "The shape of Codestral Mamba, which those defaults have.",
    ),
    "jamba-v0.1": Preset(
        _jamba(),
        "defaults of JambaConfig, transformers 5.23.0, for ai21labs/Jamba-v0.1",
        "Without the norms on Δ, B and C: 288 weights a Mamba layer.",
    ),
    "sigma-1.5b": Preset(
        _sigma(26, 2048, 6144, 3072), "Lin et al. 2025, Sigma, shapes in the text", "Without embedding and head."
    ),
    "sigma-10b": Preset(
        _sigma(32, 4096, 14_336, 6144), "Lin et al. 2025, Sigma, shapes in the text", "Without embedding and head."
    ),
}
