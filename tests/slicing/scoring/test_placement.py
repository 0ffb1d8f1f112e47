"""Where models of transformers and mamba-ssm lie, and what is refused: devices, quantised weights, other kinds."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from recallscope.prompting.models import find_model
from recallscope.slicing.scoring import resolve_model
from recallscope.slicing.scoring.transformers_models import device_of, load_transformers, on_its_device
from tolerances import TOLERANCES
from transformers import BertConfig, BertLMHeadModel, LlamaConfig, LlamaForCausalLM
from transformers.utils import import_utils

V = 40
IDS = np.random.default_rng(0).integers(0, V, (2, 12))
SIZES: dict[str, Any] = {
    "vocab_size": V,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
CLOSE = TOLERANCES["chunked head against full logits", "float32"]


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("llama")
    LlamaForCausalLM(LlamaConfig(**SIZES, initializer_range=0.5)).save_pretrained(folder)
    return folder


def changed(folder: Path, to: Path, **config: Any) -> Path:
    """A copy of a model folder with other words in its config."""
    to.mkdir()
    (to / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    (to / "config.json").write_text(json.dumps(json.loads((folder / "config.json").read_text()) | config))
    return to


def test_spread_over_devices_by_accelerate(llama):
    pytest.importorskip("accelerate")
    found = resolve_model(llama, device="auto").score(IDS)
    assert np.abs(found - resolve_model(llama).score(IDS)).max() < CLOSE * found.max()


def test_spreading_needs_accelerate(llama, monkeypatch):
    monkeypatch.setattr(import_utils, "is_accelerate_available", lambda *a: False)
    with pytest.raises(ValueError, match=r"^device: balanced needs the package accelerate, which is not installed"):
        resolve_model(llama, device="balanced").score(IDS)
    with pytest.raises(ValueError, match=r"^device: cpu, cuda, .* got 'everywhere'"):
        resolve_model(llama, device="everywhere")
    assert resolve_model("attention", device="auto").score(IDS).shape == (2, 11)  # ours are small: one device


def test_quantised_weights_go_to_their_device_while_they_load(llama, tmp_path, monkeypatch):
    folder = changed(llama, tmp_path / "q", quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})
    monkeypatch.setattr(import_utils, "is_accelerate_available", lambda *a: False)
    with pytest.raises(ValueError, match=r"^model: .*/q has quantised weights and needs the package accelerate"):
        resolve_model(folder).score(IDS)
    monkeypatch.setattr(import_utils, "is_accelerate_available", lambda *a: True)
    asked: dict[str, Any] = {}

    def from_pretrained(name: str, **options: Any) -> Any:
        asked.update(options)
        return SimpleNamespace(eval=lambda: "evaluated")  # without `to`, which quantised models refuse

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", from_pretrained)
    assert load_transformers(str(folder), "cpu", None) == "evaluated"
    assert asked == {"device_map": {"": "cpu"}, "dtype": "auto", "local_files_only": True}

    def without_its_package(name: str, **options: Any) -> Any:
        raise ImportError("Using `bitsandbytes` 4-bit quantization requires bitsandbytes: `pip install -U x`\nmore")

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", without_its_package)
    with pytest.raises(
        ValueError, match=r"^model: .*/q needs a package that is not installed \(.*pip install -U x`\)$"
    ):
        resolve_model(folder).score(IDS)


def test_the_head_gets_its_states_where_it_is():
    head = torch.nn.Linear(3, 5, device="meta")
    states = torch.zeros(2, 3)
    assert on_its_device(head)(states).device.type == "meta"
    assert device_of(head).type == "meta"
    hook: Any = SimpleNamespace(execution_device="cpu")
    head._hf_hook = hook  # accelerate brings the weights in for each call
    assert device_of(head) == "cpu"


def test_encoder_decoders_and_models_that_see_later_tokens_are_refused(llama, tmp_path):
    other = changed(llama, tmp_path / "t5", model_type="t5", is_encoder_decoder=True)
    with pytest.raises(ValueError, match=r"^model: .*/t5 is an encoder-decoder \(t5\); only causal models give a loss"):
        resolve_model(other)
    torch.manual_seed(0)
    bert = BertLMHeadModel(BertConfig(**SIZES, initializer_range=0.5)).eval()
    bert.save_pretrained(tmp_path / "bert")
    with pytest.raises(ValueError, match=r"^model: .*/bert \(bert\) sees later tokens: only causal models give a loss"):
        resolve_model(tmp_path / "bert").score(IDS)
    with pytest.raises(ValueError, match=r"^model: BertLMHeadModel \(bert\) sees later tokens"):
        find_model(bert).load()
    bert.config.is_decoder = True
    bert.save_pretrained(tmp_path / "decoder")
    assert resolve_model(tmp_path / "decoder").score(IDS).shape == (2, 11)


def test_architectures_that_transformers_does_not_know(llama, tmp_path, monkeypatch):
    folder = changed(llama, tmp_path / "gla", model_type="gated_linear_thing")
    monkeypatch.setitem(sys.modules, "fla", None)
    with pytest.raises(
        ValueError, match=r"^model: .*/gla has model_type 'gated_linear_thing', which transformers does n"
    ):
        resolve_model(folder).score(IDS)
    monkeypatch.setitem(sys.modules, "fla", ModuleType("fla"))  # imported, but it does not know it either
    with pytest.raises(ValueError, match=r"^model: .*/gla cannot be loaded \(.*gated_linear_thing"):
        resolve_model(folder).score(IDS)


@pytest.mark.parametrize("dtype", ["float31", "int8", "nn"])
def test_dtypes_are_floating_ones_of_torch(llama, dtype):
    with pytest.raises(ValueError, match=rf"^dtype: one of torch's, such as float32 or bfloat16, got '{dtype}'"):
        resolve_model(llama, dtype=dtype)


def test_a_dtype_is_that_of_the_model_and_losses_are_float32(llama):
    found, exact = resolve_model(llama, dtype="bfloat16").score(IDS), resolve_model(llama).score(IDS)
    assert found.dtype == np.float32
    assert 1e-4 < np.abs(found - exact).max() < 0.2


def test_broken_weights_show_in_the_losses_and_are_not_called_something_else(llama, tmp_path):
    model: Any = LlamaForCausalLM.from_pretrained(llama)
    with torch.no_grad():
        model.get_output_embeddings().weight[3] = torch.nan
    model.save_pretrained(tmp_path / "nan")
    assert np.isnan(resolve_model(tmp_path / "nan").score(IDS)).all()


class MambaSaved(torch.nn.Module):
    """What mamba-ssm's class gives: a backbone from ids to hidden states and a head; its vocabulary is padded to 8s."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone, self.lm_head = torch.nn.Embedding(48, 4), torch.nn.Linear(4, 48, bias=False)

    @classmethod
    def from_pretrained(cls, name: str, device: str, dtype: Any) -> MambaSaved:
        return cls().to(device, dtype)


def test_models_that_mamba_ssm_saved(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text(json.dumps({"d_model": 4, "n_layer": 1, "vocab_size": 41, "ssm_cfg": {}}))
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "mamba_ssm", None)
    with pytest.raises(ValueError, match=r"^model: .* was saved by mamba-ssm, which is not installed"):
        resolve_model(tmp_path).score(IDS)
    for name in ("mamba_ssm", "mamba_ssm.models"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    module: Any = ModuleType("mamba_ssm.models.mixer_seq_simple")
    module.MambaLMHeadModel = MambaSaved
    monkeypatch.setitem(sys.modules, "mamba_ssm.models.mixer_seq_simple", module)
    scorer, model = resolve_model(tmp_path), MambaSaved()
    logits = model.lm_head.weight.double() @ model.backbone.weight.double().T  # [V, token]
    wanted = (logits.logsumexp(0)[IDS[:, :-1]] - logits[IDS[:, 1:], IDS[:, :-1]]).detach().numpy()
    assert np.abs(scorer.score(IDS) - wanted).max() < 1e-5
    assert scorer.vocabulary == 48
