"""The language model: recurrent = parallel, counts, folders, and what bad folders get."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.folder import load_model, save_model
from recallscope.architectures.model import LanguageModel, cross_entropy
from recallscope.training.language.shapes import SHAPES
from tolerances import TOLERANCES

LAYERS = (
    {"mixer": "rwkv7", "heads": 2, "ffn": "rwkv4"},
    {"mixer": "attention", "heads": 2},
    {"mixer": "sliding_window", "heads": 2, "window": 3},
    {"mixer": "hyena", "length": 16},
    {"mixer": "based", "heads": 2, "key_width": 4, "chunk": 4},
)
CONFIG = ModelConfig(vocabulary=50, width=16, layers=LAYERS, ffn_width=24, context=16)


def make(seed: int = 0) -> LanguageModel:
    torch.manual_seed(seed)
    model = LanguageModel(CONFIG).eval()
    for parameter in model.parameters():  # zeros at the start would hide the branches
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def ids(length: int, batch: int = 2) -> torch.Tensor:
    return torch.randint(0, 50, (batch, length), generator=torch.Generator().manual_seed(length))


@pytest.mark.parametrize("length", [1, 5, 16])
def test_step_by_step_equals_all_at_once(length):
    model, tokens = make(), ids(length)
    with torch.no_grad():
        states, logits = model.init_state(2), []
        for t in range(length):
            one, states = model.step(tokens[:, t], states)
            logits.append(one)
        error = (torch.stack(logits, 1) - model(tokens)).abs().max().item()
    assert error < TOLERANCES["parallel against step", "float32"]


@pytest.mark.parametrize("inject", [False, True])
def test_looped_layers_equal_a_deeper_model_with_equal_layers(inject):
    torch.manual_seed(0)
    looped = LanguageModel(replace(CONFIG, loops=3, inject=inject)).eval()
    for parameter in looped.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    tokens = ids(11)
    with torch.no_grad():
        x = start = looped.embedding(tokens) * 16**0.5
        for loop in range(3):
            x = x + start if inject and loop else x
            for block in looped.blocks:
                x = block(x)
        wanted = looped.head(looped.norm(x))
        torch.testing.assert_close(looped(tokens), wanted, rtol=0, atol=0)
        states, logits = looped.init_state(2), []
        for t in range(11):
            one, states = looped.step(tokens[:, t], states)
            logits.append(one)
        assert len(states) == 3 * len(LAYERS)
        bound = TOLERANCES["parallel against step", "float32"] * wanted.abs().max().item()
        assert (torch.stack(logits, 1) - wanted).abs().max().item() < bound
    with pytest.raises(ValueError, match="loops: an integer from 1 to 10000, got 0"):
        replace(CONFIG, loops=0)


def test_loss_starts_at_ln_vocabulary_and_gradients_flow():
    torch.manual_seed(0)
    model, tokens = LanguageModel(CONFIG), ids(9)
    loss = cross_entropy(model, tokens[:, :-1], tokens[:, 1:])
    assert loss.item() == pytest.approx(math.log(50), abs=1e-6)
    loss.backward()
    assert model.head.weight.grad is not None and model.head.weight.grad.abs().max() > 0


def test_loss_starts_near_ln_vocabulary_when_the_embedding_is_the_head():
    """Logits of a vector of length √D and rows of deviation 0.02 have a variance of D (0.02)² = 0.03, not of 1."""
    torch.manual_seed(0)
    config = replace(CONFIG, vocabulary=500, width=64, tied=True)
    model = LanguageModel(config)
    x = torch.randint(0, 500, (4, 200))
    assert cross_entropy(model, x, x.flip(1)).item() == pytest.approx(math.log(500), abs=0.05)
    assert model.head.weight is model.embedding.weight


def test_loss_against_log_softmax_in_float64():
    model, tokens = make(), ids(9)
    with torch.no_grad():
        found = cross_entropy(model, tokens[:, :-1], tokens[:, 1:]).item()
        logits = model(tokens[:, :-1]).double()
    probability = torch.exp(logits) / torch.exp(logits).sum(-1, keepdim=True)
    wanted = -probability.gather(-1, tokens[:, 1:, None]).log().mean().item()
    assert found == pytest.approx(wanted, rel=1e-6)


def test_reference_shapes_have_the_same_size():
    counts = {name: Architecture(name, shape).parameters() for name, shape in SHAPES.items()}
    assert all(4_000_000 <= count <= 8_000_000 for count in counts.values())
    assert max(counts.values()) / min(counts.values()) < 1.001, counts


def test_folder_round_trip(tmp_path):
    model = make()
    save_model(model, tmp_path, torch.float32)
    again = load_model(tmp_path)
    assert again.config == model.config
    with torch.no_grad():
        torch.testing.assert_close(again(ids(7)), model(ids(7)), rtol=0, atol=0)
    assert not list(tmp_path.glob("*.tmp"))


def test_bad_folders(tmp_path):
    with pytest.raises(ValueError, match=r"config\.json is missing"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text(CONFIG.to_json())
    with pytest.raises(ValueError, match=r"model\.safetensors is missing"):
        load_model(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"model\.safetensors is broken"):
        load_model(tmp_path)
    save_model(make(), tmp_path)
    other = json.loads(CONFIG.to_json()) | {"width": 32}
    (tmp_path / "config.json").write_text(json.dumps(other))
    with pytest.raises(ValueError, match=r"do not fit its config\.json"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text('{"width": 3}')
    with pytest.raises(ValueError, match="not a recallscope model shape"):
        load_model(tmp_path)


def test_unknown_mixer():
    with pytest.raises(ValueError, match=r"mixer must be one of attention, .*based.*, got 'none'"):
        ModelConfig(50, 16, ({"mixer": "none"},), 24)
