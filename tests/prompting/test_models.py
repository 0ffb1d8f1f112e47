"""What models of every kind say at given positions, against their own full logits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.folder import save_model
from recallscope.architectures.model import LanguageModel
from recallscope.prompting.models import find_model
from tolerances import TOLERANCES
from transformers import Gemma2Config, Gemma2ForCausalLM, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

V = 48
IDS = torch.randint(0, V, (3, 20), generator=torch.Generator().manual_seed(0))
POSITIONS = torch.tensor([[0, 19], [7, 3], [12, 12]])
CLOSE = TOLERANCES["chunked head against full logits", "float32"]


def gpt2() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(vocab_size=V, n_positions=32, n_embd=16, n_layer=2, n_head=2)).eval()


def small(config, model, **options) -> torch.nn.Module:
    torch.manual_seed(0)
    sizes = {"vocab_size": V, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 64}
    return model(config(**sizes, **heads, **options)).eval()


class WithoutKeep(GPT2LMHeadModel):
    """Its logits are scaled, and it does not know which ones are wanted."""

    def forward(self, input_ids, use_cache=False):  # type: ignore[override]
        found = super().forward(input_ids=input_ids, use_cache=use_cache)
        return SimpleNamespace(logits=3 * found.logits)  # type: ignore[operator]


def without_keep() -> torch.nn.Module:
    torch.manual_seed(0)
    return WithoutKeep(GPT2Config(vocab_size=V, n_positions=32, n_embd=16, n_layer=1, n_head=2)).eval()


MODELS = {
    "gpt2": (gpt2, 32, True),
    "llama": (lambda: small(LlamaConfig, LlamaForCausalLM), 64, True),
    "soft cap": (lambda: small(Gemma2Config, Gemma2ForCausalLM, head_dim=8, final_logit_softcapping=0.1), 64, False),
    "scaled, without logits_to_keep": (without_keep, 32, False),
}


def said(asked) -> torch.Tensor:
    with torch.inference_mode():
        return asked.head(asked.states(IDS, POSITIONS))


def wanted(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        return torch.stack([model(row[None]).logits[0, at] for row, at in zip(IDS, POSITIONS, strict=True)])


@pytest.mark.parametrize("name", MODELS)
def test_transformers_in_memory_say_what_their_full_logits_say(name):
    make, context, by_head = MODELS[name]
    model = make()
    found = find_model(model)
    asked = found.load()
    assert (found.vocabulary, found.tokenizer, asked.context) == (V, None, context)
    assert (said(asked) - wanted(model)).abs().max() < CLOSE
    assert by_head == (asked.states(IDS, POSITIONS).shape[-1] == 16)


def test_logits_exist_only_where_somebody_asks():
    for name in ("llama", "soft cap"):
        model, rows = MODELS[name][0](), []
        asked = find_model(model).load()
        model.get_submodule("lm_head").register_forward_hook(
            lambda module, given, out, rows=rows: rows.append(out.numel() // V)
        )
        said(asked)
        assert rows == [6 if name == "llama" else 3 * 5]  # positions 0, 3, 7, 12, 19 of each row


def test_a_hugging_face_folder_and_its_dtype(tmp_path):
    model = MODELS["llama"][0]()
    model.save_pretrained(tmp_path / "tiny")
    found = find_model(tmp_path / "tiny", dtype="float32")
    assert (found.name, found.vocabulary, found.tokenizer) == ("tiny", V, None)
    assert (said(found.load()) - wanted(model)).abs().max() < CLOSE
    assert said(find_model(str(tmp_path / "tiny"), dtype="bfloat16").load()).dtype == torch.bfloat16


@pytest.mark.parametrize("kind", ["memory", "folder"])
def test_models_of_ours(kind, tmp_path):
    torch.manual_seed(0)
    model = LanguageModel(ModelConfig(V, 16, ({"mixer": "attention", "heads": 2}, {"mixer": "based", "heads": 2}), 24))
    torch.nn.init.normal_(model.head.weight)
    save_model(model, tmp_path / "ours", torch.float32)
    found = find_model(model.eval() if kind == "memory" else tmp_path / "ours")
    with torch.inference_mode():
        full = model(IDS)
    assert (said(found.load()) - full[torch.arange(3)[:, None], POSITIONS]).abs().max() < CLOSE * full.abs().max()
    assert (found.vocabulary, found.load().context) == (V, None)


def table(ids: torch.Tensor) -> torch.Tensor:
    return (ids.cumsum(1)[..., None] * torch.arange(1, V + 1) % 17).double()


@pytest.mark.parametrize(
    "model",
    [table, lambda ids: table(ids).numpy(), lambda ids: SimpleNamespace(logits=table(ids))],
    ids=["tensor", "array", "object"],
)
def test_callables_return_tensors_arrays_or_objects_with_logits(model):
    found = find_model(model)
    assert found.vocabulary is None
    assert torch.equal(said(found.load()).double(), table(IDS)[torch.arange(3)[:, None], POSITIONS])


def test_bundled_models_bring_their_tokenizer(bundled):
    found = find_model("attention")
    assert found.tokenizer is not None and found.tokenizer.hash == bundled.hash and found.vocabulary == 4096
    assert find_model(table, bundled).tokenizer is bundled


def test_bad_models(tmp_path):
    with pytest.raises(ValueError, match=r"^model: 'nobody' is not known; accepted: a bundled name"):
        find_model("nobody")
    for dtype in ("float31", "nn"):
        with pytest.raises(ValueError, match=rf"^dtype: one of torch's, such as float32 or bfloat16, got '{dtype}'"):
            find_model("attention", dtype=dtype)
    with pytest.raises(ValueError, match=r"^model: .* holds no config.json"):
        find_model(tmp_path)
    with pytest.raises(
        ValueError, match=r"^model: must return logits \[B, T, V\] for ids \(3, 20\), got \(3, 19, 48\)"
    ):
        said(find_model(lambda ids: np.zeros((len(ids), 19, V))).load())
    with pytest.raises(ValueError, match=r"^model: is in training mode; call model.eval\(\) first"):
        find_model(gpt2().train()).load()
