"""The reference models: equal data and size, cards that tell the truth, attention that copies."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.folder import load_model
from recallscope.bundled import bundled_folder, bundled_names, held_out_documents
from recallscope.training.language.copying import copy_losses
from recallscope.training.language.shapes import SHAPES
from torch.nn import functional as F

NAMES = ("attention", "window", "hyena", "based")


def card(name: str) -> dict:
    return json.loads((bundled_folder(name) / "card.json").read_text())


def test_all_four_are_there_and_alike():
    assert bundled_names() == NAMES
    for key in ("tokens_sha256", "tokenizer_sha256", "text", "training", "tokens_trained"):
        assert len({json.dumps(card(name)[key]) for name in NAMES}) == 1, key
    assert card("attention")["tokens_trained"] >= 20_000_000


@pytest.mark.parametrize("name", NAMES)
def test_card_against_model(name):
    folder, told = bundled_folder(name), card(name)
    assert (folder / "model.safetensors").stat().st_size <= 16_000_000
    model = load_model(folder)
    assert model.config == SHAPES[name]
    assert told["parameters"] == sum(p.numel() for p in model.parameters())
    assert told["state_elements_1024"] == Architecture(name, model.config).state_elements(1024)
    found = copy_losses(model, 32)
    for copy in ("first", "second"):  # the card is of the float32 weights, bundled are bfloat16
        assert found[copy] == pytest.approx(told["copy_loss"]["32"][copy], abs=0.05)
    assert told["command"].startswith(f"recallscope train lm {name} ") and told["seconds"] > 0


def test_attention_copies_at_any_distance_and_the_others_as_far_as_they_reach():
    gain = {
        name: {n: losses["first"] - losses["second"] for n, losses in card(name)["copy_loss"].items()} for name in NAMES
    }
    assert gain["attention"]["32"] > 4 and gain["attention"]["128"] > 4 and gain["attention"]["480"] > 2
    assert gain["window"]["32"] > 3 and gain["window"]["128"] < 0.1  # 64 tokens reach over 32, not over 128
    assert gain["based"]["32"] > 3 and gain["hyena"]["32"] < 1


def test_attention_is_the_best_on_held_out_text(bundled):
    texts = [document.text for document in itertools.islice(held_out_documents(), 20)]
    ids = [tokens[:1025] for tokens in bundled.encode(texts) if len(tokens) >= 1025][:4]
    batch = torch.from_numpy(np.stack(ids).astype(np.int64))
    loss = {}
    for name in NAMES:
        with torch.inference_mode():
            logits = load_model(bundled_folder(name))(batch[:, :-1])
            loss[name] = F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten()).item()
    assert loss["attention"] < min(loss["window"], loss["based"]) < loss["hyena"], loss
