"""Training: it learns, it resumes to the same weights, it refuses what does not belong together."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.folder import load_model
from recallscope.architectures.mixers import MIXERS
from recallscope.architectures.model import LanguageModel
from recallscope.training.language.copying import copy_losses
from recallscope.training.language.loop import TrainingConfig, losses, train

SHAPE = ModelConfig(20, 16, ({"mixer": "attention", "heads": 2},), 24, context=16)
TRAINING = TrainingConfig(steps=30, batch=4, warmup=5, compile=False)


def tokens(count: int = 5000) -> np.ndarray:
    return (np.arange(count) * 7 % 20).astype(np.uint16)  # each token decides the next


def test_learns_a_deterministic_sequence(tmp_path):
    train(SHAPE, TrainingConfig(steps=150, batch=4, warmup=5, learning_rate=2e-2, compile=False), tokens(), tmp_path)
    curve = [row["loss"] for row in losses(tmp_path)]
    assert curve[0] == pytest.approx(math.log(20), abs=0.01)
    assert curve[-1] < 0.5
    assert not (tmp_path / "checkpoint.pt").exists()


class Killed(BaseException):
    pass


def test_an_interrupted_run_goes_on_to_the_same_weights(tmp_path):
    whole = train(SHAPE, TRAINING, tokens(), tmp_path / "whole", checkpoint_every=10)

    def kill(row: dict) -> None:
        if row["step"] == 17:
            raise Killed

    with pytest.raises(Killed):
        train(SHAPE, TRAINING, tokens(), tmp_path / "cut", log=kill, checkpoint_every=10)
    steps: list[int] = []
    resumed = train(
        SHAPE, TRAINING, tokens(), tmp_path / "cut", log=lambda r: steps.append(r["step"]), checkpoint_every=10
    )
    assert steps == list(range(10, 30))
    for (name, one), other in zip(whole.named_parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(other, one, rtol=0, atol=0, msg=name)
    cut, undisturbed = ([row | {"seconds": 0} for row in losses(tmp_path / name)] for name in ("cut", "whole"))
    assert cut == undisturbed
    assert all(row["seconds"] > 0 for row in losses(tmp_path / "cut"))


@pytest.mark.parametrize("name", MIXERS)
def test_every_mixer_trains(name, tmp_path):
    layers = ({"mixer": name, "ffn_width": 0 if name == "recurrent_transformer" else 32},)
    rows: list[dict] = []
    config = TrainingConfig(steps=12, batch=4, learning_rate=1e-2, warmup=2, compile=False)
    model = train(ModelConfig(20, 64, layers, 32, 16), config, tokens(), tmp_path, log=rows.append)
    assert rows[-1]["loss"] < rows[0]["loss"] - 0.05
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_another_configuration_is_refused(tmp_path):
    def kill(row: dict) -> None:
        if row["step"] == 12:
            raise Killed

    with pytest.raises(Killed):
        train(SHAPE, TRAINING, tokens(), tmp_path, log=kill, checkpoint_every=10)
    with pytest.raises(ValueError, match="holds a run of another configuration"):
        train(SHAPE, TrainingConfig(steps=31, batch=4, warmup=5, compile=False), tokens(), tmp_path)


def test_windows_are_used_once_per_epoch(tmp_path, monkeypatch):
    import recallscope.training.language.loop as module

    seen: list[int] = []
    array = np.arange(16 * 40 + 1, dtype=np.uint16)

    def spy(array_, context, windows, config, step):
        batch = original(array_, context, windows, config, step)
        seen.extend((batch[:, 0] // 16).tolist())
        return batch % 20

    original = module._batch
    monkeypatch.setattr(module, "_batch", spy)
    train(SHAPE, TrainingConfig(steps=20, batch=4, compile=False), array, tmp_path)
    assert sorted(seen[:40]) == list(range(40)) and sorted(seen[40:]) == list(range(40))
    assert seen[:40] != seen[40:]


def test_bad_settings(tmp_path):
    with pytest.raises(ValueError, match="tokens: one batch needs at least 65 tokens, got 64"):
        train(SHAPE, TRAINING, tokens(64), tmp_path)
    with pytest.raises(ValueError, match="steps, batch: at least 1"):
        TrainingConfig(steps=0)


def test_saved_model_is_the_trained_one_in_bfloat16(tmp_path):
    model = train(SHAPE, TRAINING, tokens(), tmp_path)
    again = load_model(tmp_path)
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(other, one.to(torch.bfloat16).float(), rtol=0, atol=0)
    assert json.loads((tmp_path / "config.json").read_text())["vocabulary"] == 20


class Copier(torch.nn.Module):
    """Predicts what followed the last occurrence of the current token, else nothing: a perfect copier."""

    config = replace(SHAPE, vocabulary=5000)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(*ids.shape, 5000)
        for row in range(ids.shape[0]):
            for t in range(ids.shape[1]):
                earlier = [j for j in range(t) if ids[row, j] == ids[row, t]]
                if earlier:
                    logits[row, t, ids[row, earlier[-1] + 1]] = 50.0
        return logits


def test_copy_losses_know_a_copier_from_an_untrained_model():
    untrained = copy_losses(LanguageModel(SHAPE).eval(), 6, sequences=64)
    assert untrained["first"] == pytest.approx(math.log(20), abs=1e-4)
    assert untrained["second"] == pytest.approx(math.log(20), abs=1e-4)
    perfect = copy_losses(Copier(), 6, sequences=64)  # type: ignore[arg-type]
    assert perfect["first"] == pytest.approx(math.log(5000), abs=0.1)  # now and then a token comes twice by chance
    assert perfect["second"] < 0.1
