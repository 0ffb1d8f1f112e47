"""Mixers and experts against the layers of the transformers library, with our weights in theirs.

In float32, because their norms, softmax and recurrences are computed in it whatever the weights are.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
import torch
from recallscope.architectures.feed_forward import MixtureOfExperts
from recallscope.architectures.mixers import MIXERS
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.masking_utils import create_causal_mask, create_sliding_window_causal_mask

WIDTH, TIME, BASE, EPS = 32, 70, 500.0, 1e-5
GROUPED = {"heads": 4, "kv_heads": 2, "key_width": 12, "rope_base": BASE}
THEIR_SHAPE = {"hidden_size": WIDTH, "num_attention_heads": 4, "rms_norm_eps": EPS, "attn_implementation": "eager"}
THEIR_GROUPED = THEIR_SHAPE | {"num_key_value_heads": 2, "head_dim": 12, "attention_bias": False}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def noisy(layer: nn.Module) -> Any:
    """Noise on all weights: zeros and ones would hide what is forgotten."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return layer.eval()


def mixer(name: str, **options: Any) -> Any:
    return noisy(MIXERS[name](WIDTH, **options))


def configured(family: str, prefix: str, **options: Any) -> Any:
    return getattr(import_module(f"transformers.models.{family}"), f"{prefix}Config")(**options)


def layer(family: str, name: str, config: Any, weights: dict[str, Tensor], *index: int) -> Any:
    """Their layer with exactly these parameters."""
    built = getattr(import_module(f"transformers.models.{family}.modeling_{family}"), name)(config, *index).eval()
    wanted = {key: tuple(parameter.shape) for key, parameter in built.named_parameters()}
    assert {key: tuple(weight.shape) for key, weight in weights.items()} == wanted
    with torch.no_grad():
        for key, parameter in built.named_parameters():
            parameter.copy_(weights[key])
    return built


def inputs() -> Tensor:
    return torch.randn(2, TIME, WIDTH)


def compare(got: Tensor, want: Tensor) -> None:
    assert want.std() > 0.1
    torch.testing.assert_close(got, want, rtol=0, atol=1e-5)


def rope(**more: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": "default", "rope_theta": BASE, **more}}


@torch.no_grad()
def compare_attention(ours: Any, family: str, prefix: str, config: Any, weights: dict[str, Tensor]) -> None:
    """With their own rotation tables and masks."""
    x = inputs()
    theirs = layer(family, f"{prefix}Attention", config, weights, 0)
    for norm in theirs.modules():  # DeepSeek's latent norms do not take theirs from the configuration
        if hasattr(norm, "variance_epsilon"):
            norm.variance_epsilon = EPS
    module = import_module(f"transformers.models.{family}.modeling_{family}")
    positions = torch.arange(TIME)[None]
    turn = getattr(module, f"{prefix}RotaryEmbedding")(config)(x, positions)
    masked = create_sliding_window_causal_mask if hasattr(ours, "window") else create_causal_mask
    mask = masked(config=config, inputs_embeds=x, attention_mask=None, past_key_values=None, position_ids=positions)
    compare(ours.prefill(x)[0], theirs(x, position_embeddings=turn, attention_mask=mask)[0])


def projections(ours: Any) -> dict[str, Tensor]:
    heads = torch.tensor([ours.heads, ours.kv_heads, ours.kv_heads]) * ours.key_width
    q, k, v = ours.qkv.weight.split(heads.tolist())
    return {"q_proj.weight": q, "k_proj.weight": k, "v_proj.weight": v, "o_proj.weight": ours.out.weight}


def test_llama():
    ours = mixer("attention", **GROUPED, qk_norm=False)
    config = configured("llama", "Llama", **THEIR_GROUPED, **rope())
    compare_attention(ours, "llama", "Llama", config, projections(ours))


def test_qwen3_with_normed_queries_and_keys():
    ours = mixer("attention", **GROUPED)
    gains = {"q_norm.weight": ours.q_norm.weight, "k_norm.weight": ours.k_norm.weight}
    config = configured("qwen3", "Qwen3", **THEIR_GROUPED, **rope())
    compare_attention(ours, "qwen3", "Qwen3", config, projections(ours) | gains)


def test_qwen3_next_with_output_gate():
    """Their gains are 1 + w, and each head's gate follows its query."""
    ours = mixer("attention", **GROUPED, gate=True)
    weights = projections(ours)
    heads = [u.unflatten(0, (ours.heads, -1)) for u in (weights["q_proj.weight"], ours.gate_projection.weight)]
    weights["q_proj.weight"] = torch.cat(heads, 1).flatten(0, 1)
    gains = {"q_norm.weight": ours.q_norm.weight - 1, "k_norm.weight": ours.k_norm.weight - 1}
    config = configured("qwen3_next", "Qwen3Next", **THEIR_GROUPED, **rope(partial_rotary_factor=1.0))
    compare_attention(ours, "qwen3_next", "Qwen3Next", config, weights | gains)


def test_gpt_oss_with_sinks():
    ours = mixer("attention", **GROUPED, qk_norm=False, sinks=True)
    full = {"num_hidden_layers": 1, "layer_types": ["full_attention"]}
    config = configured("gpt_oss", "GptOss", **THEIR_GROUPED, **rope(), **full)
    compare_attention(ours, "gpt_oss", "GptOss", config, projections(ours) | {"sinks": ours.sink})


@pytest.mark.parametrize("window", [1, 16, 200])
def test_mistral_with_sliding_window(window):
    ours = mixer("sliding_window", **GROUPED, qk_norm=False, window=window)
    config = configured("mistral", "Mistral", **THEIR_GROUPED, **rope(), sliding_window=window)
    compare_attention(ours, "mistral", "Mistral", config, projections(ours))


def interleaved(rows: Tensor) -> Tensor:
    """`[..., K_R, D]`: pairs (j, j + K_R/2) to pairs (2j, 2j + 1)."""
    return rows.unflatten(-2, (2, -1)).transpose(-2, -3).flatten(-3, -2)


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("query_latent", [None, 20])
def test_deepseek_latent_attention(query_latent, pairs):
    ours = mixer("mla", key_width=12, latent=24, rope_width=8, query_latent=query_latent, rope_base=BASE)
    plain, turned = ours.query.weight.unflatten(0, (ours.heads, -1)).split([12, 8], 1)
    latent, shared = ours.down.weight.split([24, 8])
    if pairs:
        turned, shared = interleaved(turned), interleaved(shared)
    query = torch.cat([plain, turned], 1).flatten(0, 1)
    weights = {
        "kv_a_proj_with_mqa.weight": torch.cat([latent, shared]),
        "kv_a_layernorm.weight": ours.norm.weight,
        "kv_b_proj.weight": ours.up.weight.unflatten(0, (2, ours.heads, -1)).transpose(0, 1).flatten(0, 2),
        "o_proj.weight": ours.out.weight,
    }
    if query_latent is None:
        weights["q_proj.weight"] = query
    else:
        weights |= {"q_a_proj.weight": ours.query_down.weight, "q_a_layernorm.weight": ours.query_norm.weight}
        weights["q_b_proj.weight"] = query
    widths = {"qk_nope_head_dim": 12, "v_head_dim": 12, "kv_lora_rank": 24, "qk_rope_head_dim": 8}
    shape = THEIR_SHAPE | widths | {"q_lora_rank": query_latent, "num_key_value_heads": 4, "rope_interleave": pairs}
    config = configured("deepseek_v3", "DeepseekV3", **shape, **rope())
    compare_attention(ours, "deepseek_v3", "DeepseekV3", config, weights)


@torch.no_grad()
def test_qwen3_next_gated_delta_net():
    """Their projections go by key head: its query, its key, then values and gates of its value heads."""
    ours = mixer("gated_delta_net", heads=2, value_heads=4, key_width=8, value_width=12)
    q, k, v = ours.qkv.weight.split([16, 16, 48])
    by_head = [u.unflatten(0, (2, -1)) for u in (q, k, v, ours.gate.weight)]
    scalars = [u.unflatten(0, (2, -1)) for u in (ours.beta.weight, ours.decay.weight)]
    weights = {
        "in_proj_qkvz.weight": torch.cat(by_head, 1).flatten(0, 1),
        "in_proj_ba.weight": torch.cat(scalars, 1).flatten(0, 1),
        "conv1d.weight": ours.conv.weight.T[:, None],
        "dt_bias": ours.decay_bias,
        "A_log": ours.log_rate,
        "norm.weight": ours.norm.weight,
        "out_proj.weight": ours.out.weight,
    }
    heads = {"linear_num_key_heads": 2, "linear_num_value_heads": 4}
    widths = {"linear_key_head_dim": 8, "linear_value_head_dim": 12}
    config = configured("qwen3_next", "Qwen3Next", **THEIR_SHAPE, **heads, **widths)
    x = inputs()
    compare(ours.prefill(x)[0], layer("qwen3_next", "Qwen3NextGatedDeltaNet", config, weights, 0)(x))


@torch.no_grad()
def test_kimi_delta_attention():
    """They scale queries by K^-½, which the norm undoes but for its ε."""
    ours = mixer("kda", key_width=12, value_width=12)
    q, k, v = ours.qkv.weight.chunk(3)
    weights = {
        "q_proj.weight": q,
        "k_proj.weight": k,
        "v_proj.weight": v,
        "conv1d.weight": ours.conv.weight.T[:, None],
        "b_proj.weight": ours.beta.weight,
        "forget_gate.f_a_proj.weight": ours.decay_in.weight,
        "forget_gate.f_b_proj.weight": ours.decay_out.weight,
        "forget_gate.dt_bias": ours.decay_bias,
        "forget_gate.A_log": ours.log_rate.view(1, 1, -1, 1),
        "g_a_proj.weight": ours.gate_in.weight,
        "g_b_proj.weight": ours.gate_out.weight,
        "o_norm.weight": ours.norm.weight,
        "o_proj.weight": ours.out.weight,
    }
    shape = THEIR_SHAPE | {"linear_num_heads": 4, "linear_head_dim": 12, "rms_norm_eps": EPS / 12}
    config = configured("kimi_linear", "KimiLinear", **shape)
    x = inputs()
    compare(ours.prefill(x)[0], layer("kimi_linear", "KimiLinearDeltaAttention", config, weights, 0)(x))


class QueriesAndKeys(nn.Module):
    """SiLU on queries and keys alone of each head's `[q, k, v]`."""

    def forward(self, u: Tensor) -> Tensor:
        heads = u.unflatten(-1, (4, 3, -1))
        return torch.cat([F.silu(heads[..., :2, :]), heads[..., 2:, :]], -2).flatten(-3)


@pytest.mark.parametrize("index", [0, 2])
@torch.no_grad()
def test_minimax_lightning_attention(index):
    """Theirs activates the values too and has a gain in the norm; neither is in TransNormerLLM, so both are undone."""
    ours = mixer("lightning", layer=index, layers=5, sigmoid_gate=True)
    (q, k), (v, gate) = ours.qk.weight.chunk(2), ours.value_gate.weight.chunk(2)
    weights = {
        "qkv_proj.weight": torch.cat([u.unflatten(0, (4, -1)) for u in (q, k, v)], 1).flatten(0, 1),
        "output_gate.weight": gate,
        "norm.weight": torch.ones(WIDTH),
        "out_proj.weight": ours.out.weight,
    }
    config = configured("minimax", "MiniMax", **THEIR_SHAPE, num_hidden_layers=5, block_size=16)
    theirs = layer("minimax", "MiniMaxLightningAttention", config, weights, index)
    theirs.act_fn = QueriesAndKeys()
    x = inputs()
    compare(ours.prefill(x)[0], theirs(x, position_embeddings=None, attention_mask=None)[0])


def experts(ours: Any) -> dict[str, Tensor]:
    up, down = (torch.stack([getattr(e, name).weight for e in ours.experts]) for name in ("up", "down"))
    return {"gate.weight": ours.router.weight, "experts.gate_up_proj": up, "experts.down_proj": down}


@pytest.mark.parametrize("active", [1, 2, 6])
@torch.no_grad()
def test_mixtral_experts(active):
    ours = noisy(MixtureOfExperts(WIDTH, 24, 6, active))
    shape = {"intermediate_size": 24, "num_local_experts": 6, "num_experts_per_tok": active}
    config = configured("mixtral", "Mixtral", hidden_size=WIDTH, **shape)
    x = inputs()
    compare(ours(x), layer("mixtral", "MixtralSparseMoeBlock", config, experts(ours))(x))


@torch.no_grad()
def test_qwen3_next_experts_with_a_gated_shared_one():
    ours = noisy(MixtureOfExperts(WIDTH, 24, 6, 2, shared=20, shared_gate=True))
    gate, up = ours.shared.up.weight.chunk(2)
    shared = {"gate_proj": gate, "up_proj": up, "down_proj": ours.shared.down.weight}
    weights = experts(ours) | {f"shared_expert.{key}.weight": weight for key, weight in shared.items()}
    weights["shared_expert_gate.weight"] = ours.shared_gate.weight
    shape = {"moe_intermediate_size": 24, "shared_expert_intermediate_size": 20}
    config = configured("qwen3_next", "Qwen3Next", **THEIR_SHAPE, **shape, num_experts=6, num_experts_per_tok=2)
    x = inputs()
    compare(ours(x), layer("qwen3_next", "Qwen3NextSparseMoeBlock", config, weights)(x))
