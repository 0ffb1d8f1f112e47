"""Losses of every family of causal models in transformers, against a cross-entropy of their own logits in float64."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from recallscope.slicing.scoring import heads
from recallscope.slicing.scoring.transformers_models import score_of, splits
from transformers import AutoConfig, AutoModelForCausalLM

V, D, T = 61, 32, 40
SIZES = {
    "vocab_size": V, "hidden_size": D, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
MAMBA2 = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_n_groups": 1, "mamba_d_state": 8, "mamba_chunk_size": 8}
GDN = {f"linear_num_{kind}_heads": 2 for kind in ("key", "value")}
GDN |= {f"linear_{kind}_head_dim": 8 for kind in ("key", "value")}

# Whether the head is all that stands between the hidden states and the logits, and what the config adds to SIZES.
FAMILIES: dict[str, tuple[bool, dict[str, Any]]] = {
    "llama": (True, {}),
    "mistral": (True, {"sliding_window": 8}),
    "gpt_neox": (True, {}),
    "opt": (True, {"ffn_dim": 48, "word_embed_proj_dim": D}),
    "bloom": (True, {"n_head": 4, "n_layer": 2}),
    "phi": (True, {}),  # its head has a bias
    "qwen2_moe": (True, EXPERTS | {"shared_expert_intermediate_size": 16}),
    "gemma2": (False, {"head_dim": 8, "sliding_window": 8}),  # soft cap of 30
    "granite": (False, {"logits_scaling": 8.0, "embedding_multiplier": 3.0}),
    "cohere": (False, {"logit_scale": 0.0625}),
    "mamba": (True, {"state_size": 4}),
    "mamba2": (True, {"state_size": 8, "num_heads": 8, "head_dim": 8, "n_groups": 2, "chunk_size": 8}),
    "rwkv": (True, {"attention_hidden_size": D, "context_length": 128}),
    "recurrent_gemma": (False, {"lru_width": D, "num_hidden_layers": 3, "attention_window_size": 8, "head_dim": 8}),
    "bamba": (True, MAMBA2 | {"attn_layer_indices": [1]}),
    "falcon_h1": (False, MAMBA2 | {"mamba_d_ssm": 64, "head_dim": 8, "lm_head_multiplier": 0.3}),
    "qwen3_next": (True, EXPERTS | GDN | {
        "layer_types": ["linear_attention", "full_attention"], "head_dim": 8, "shared_expert_intermediate_size": 16,
    }),
}  # fmt: skip


@cache
def made(family: str, std: float = 0.5) -> Any:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **SIZES | FAMILIES[family][1])).float().eval()
    drawn = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                parameter.copy_(std * torch.randn(parameter.shape, generator=drawn))
    return model


def ids_of(rows: int, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(3, V, (rows, T + 1))


def wanted(model: Any, row: np.ndarray) -> np.ndarray:
    """Losses of one row by itself, without padding, in float64 from the model's own float32 logits."""
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(row[None, :-1])).logits[0].double().numpy()
    shifted = logits - logits.max(1, keepdims=True)
    return np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(row) - 1), row[1:]]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.filterwarnings("ignore")  # of transformers: fast paths that are not there, deprecated configs
def test_losses_are_those_of_the_models_own_logits(family):
    model, ids = made(family), ids_of(3)
    score = score_of(model, family)
    found = score(ids)
    alone = np.stack([wanted(model, row) for row in ids])
    assert splits(model) == FAMILIES[family][0]
    near = 2e-6 * alone.max()
    if family == "mamba":  # its scan is less exact: rows in a batch may differ by what float32 costs one row by itself
        exact = np.stack([wanted(made(family).double(), row) for row in ids])
        near = max(near, np.abs(alone - exact).max())
        assert near < 1e-5 * alone.max()
    assert found.dtype == np.float32 and np.abs(found - alone).max() < near
    ids[1:, 23:] = 0  # a short window is padded on the right, and must not notice
    assert np.abs(score(ids)[:, :22] - alone[:, :22]).max() < near
    assert alone.std() > 0.1  # tokens differ, so that a shift by one would show


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", ["gemma2", "recurrent_gemma", "granite"])
def test_a_cap_is_noticed_however_small_the_logits_of_the_probe(family):
    model = made(family, 1e-3)  # logits so small that a soft cap of 30 leaves them as they are
    assert not splits(model)


@pytest.mark.filterwarnings("ignore")
def test_whole_logits_a_few_rows_at_a_time(monkeypatch):
    model, ids, rows = made("gemma2"), ids_of(5), []
    wanted_ = score_of(model, "gemma2")(ids)
    monkeypatch.setattr(heads, "LOGITS", 2 * T * V + 1)
    hook = model.register_forward_hook(lambda module, given, out: rows.append(out.logits.shape[0]))
    found = heads.full_logits(model, "cpu", V)(ids)
    hook.remove()
    assert rows == [2, 2, 1] and np.abs(found - wanted_).max() < 2e-6 * wanted_.max()
