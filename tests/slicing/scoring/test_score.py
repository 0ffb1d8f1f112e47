"""Scoring: batched = alone, chunked head = full head, memory that runs out, losses that are broken."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from recallscope.slicing.scoring import Scorer, Windowing, check_finite, cut_windows, resolve_model, score_shard
from recallscope.slicing.scoring.heads import head_in_chunks
from recallscope.text.shards import make_shard
from tolerances import TOLERANCES
from torch.nn import functional as F

VOCABULARY = 40
BATCHED = TOLERANCES["batched against alone", "float32"]


def shard_of(lengths: list[int], seed: int = 0):
    rng = np.random.default_rng(seed)
    parts = [rng.integers(1, VOCABULARY, length) for length in lengths]
    return make_shard(0, [f"d{k}" for k in range(len(lengths))], parts)


def prefix_nll(ids: np.ndarray) -> np.ndarray:
    """A made-up causal model: the loss of a token depends on the exact sequence of all tokens before it."""
    losses = np.zeros((ids.shape[0], ids.shape[1] - 1), dtype=np.float32)
    for row in range(ids.shape[0]):
        state = 0
        for t in range(ids.shape[1] - 1):
            state = (state * 31 + int(ids[row, t]) + 7) % 10_007
            losses[row, t] = (state * 13 + int(ids[row, t + 1])) % 1_000 / 100
    return losses


@pytest.mark.parametrize("rule", [Windowing(8, 8, "first"), Windowing(8, 3, "each-window"), Windowing(5, 5, "none")])
def test_every_token_gets_the_loss_of_its_own_window(rule):
    shard = shard_of([20, 0, 1, 7, 33])
    windows = cut_windows(shard.starts, len(shard.tokens), rule)
    found = score_shard(Scorer("m", prefix_nll, "x", batch_tokens=24), shard, windows, bos=0)
    wanted = np.full(len(shard.tokens), np.nan, dtype=np.float32)
    for begin, end, scored, bos in zip(windows.begin, windows.end, windows.scored, windows.bos, strict=True):
        ids = np.concatenate([[0] * int(bos), shard.tokens[begin:end]])[None]
        nll = prefix_nll(ids)[0]
        wanted[scored:end] = nll[len(nll) - (end - scored) :]
    np.testing.assert_array_equal(found, wanted)


def test_a_short_and_a_long_document_batched_and_alone():
    torch.manual_seed(0)
    from recallscope.architectures.config import ModelConfig
    from recallscope.architectures.model import LanguageModel

    layers = ({"mixer": "attention", "heads": 2}, {"mixer": "hyena", "length": 32}, {"mixer": "based", "heads": 2})
    model = LanguageModel(ModelConfig(VOCABULARY, 16, layers, 24)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    score = head_in_chunks(model.hidden, model.head, "cpu")
    shard, rule = shard_of([30, 5, 17, 2]), Windowing(16, 16)
    windows = cut_windows(shard.starts, len(shard.tokens), rule)
    together = score_shard(Scorer("m", score, "x", batch_tokens=10_000), shard, windows, 0)
    alone = score_shard(Scorer("m", score, "x", batch_tokens=1), shard, windows, 0)
    assert np.abs(together - alone).max() < BATCHED * together.max()


def test_chunked_head_equals_full_head_in_float64():
    rng = torch.Generator().manual_seed(3)
    states, weight = torch.randn(2, 301, 8, generator=rng), torch.randn(77, 8, generator=rng)
    bias, ids = torch.randn(77, generator=rng), torch.randint(0, 77, (2, 302), generator=rng).numpy()
    found = head_in_chunks(lambda batch: states, lambda rows: F.linear(rows, weight, bias), "cpu")(ids)
    logits = states.double() @ weight.double().T + bias.double()
    wanted = -torch.log_softmax(logits, -1).gather(2, torch.from_numpy(ids[:, 1:, None]))[..., 0]
    assert np.abs(found - wanted.numpy()).max() < TOLERANCES["chunked head against full logits", "float32"]
    assert found.dtype == np.float32


def test_out_of_memory_halves_the_batch_and_goes_on():
    def tight(ids: np.ndarray) -> np.ndarray:
        if ids.shape[0] > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
        return prefix_nll(ids)

    shard = shard_of([100, 40])
    windows = cut_windows(shard.starts, len(shard.tokens), Windowing(10, 10))
    scorer = Scorer("tight", tight, "x", batch_tokens=80)
    np.testing.assert_array_equal(
        score_shard(scorer, shard, windows, 0), score_shard(Scorer("m", prefix_nll, "x"), shard, windows, 0)
    )
    assert scorer.batch_tokens <= 20 and "out of memory" in scorer.notes[0]


def test_other_errors_are_not_swallowed():
    def broken(ids: np.ndarray) -> np.ndarray:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    shard = shard_of([10])
    windows = cut_windows(shard.starts, 10, Windowing(10, 10))
    with pytest.raises(RuntimeError, match="mat1"):
        score_shard(Scorer("m", broken, "x"), shard, windows, 0)


def test_wrong_shape_and_missing_bos():
    shard = shard_of([10])
    windows = cut_windows(shard.starts, 10, Windowing(10, 10))
    with pytest.raises(
        ValueError, match=r"model m: must return losses of shape \(1, 10\) for ids \(1, 11\), got \(1, 11\)"
    ):
        score_shard(Scorer("m", lambda ids: np.zeros(ids.shape), "x"), shard, windows, 0)
    with pytest.raises(ValueError, match="no beginning-of-text token; use bos='none'"):
        score_shard(Scorer("m", prefix_nll, "x"), shard, windows, None)


@pytest.mark.parametrize("value, word", [(math.nan, "NaN"), (math.inf, "inf")])
def test_broken_losses_name_the_model_and_the_document(value, word):
    shard = shard_of([4, 6])
    losses, scored = np.zeros(10, dtype=np.float32), np.ones(10, dtype=bool)
    losses[7] = value
    with pytest.raises(ValueError, match=f"model bad: loss {word} at token 3 of document 'd1'"):
        check_finite(losses, scored, Scorer("bad", prefix_nll, "x"), shard)


@pytest.fixture(scope="module")
def hugging_face_folder(tmp_path_factory):
    """A random GPT-2-shaped model on disk."""
    from transformers import AutoModelForCausalLM, GPT2Config

    torch.manual_seed(1)
    config = GPT2Config(vocab_size=VOCABULARY, n_positions=32, n_embd=16, n_layer=2, n_head=2, initializer_range=0.5)
    folder = tmp_path_factory.mktemp("gpt2")
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def test_hugging_face_folder_against_its_own_loss(hugging_face_folder):
    from transformers import AutoModelForCausalLM

    ids = np.random.default_rng(0).integers(0, VOCABULARY, (3, 20))
    scorer = resolve_model(hugging_face_folder)
    found = scorer.score(ids)
    model = AutoModelForCausalLM.from_pretrained(hugging_face_folder).eval()
    with torch.no_grad():
        batch = torch.from_numpy(ids)
        wanted = model(input_ids=batch, labels=batch).loss.item()
    assert found.shape == (3, 19)
    assert float(found.astype(np.float64).mean()) == pytest.approx(wanted, rel=1e-5)
    assert scorer.vocabulary == VOCABULARY


def test_models_whose_logits_are_changed_after_the_head_use_them_whole(hugging_face_folder, monkeypatch):
    from recallscope.slicing.scoring import transformers_models

    ids = np.random.default_rng(0).integers(0, VOCABULARY, (2, 12))
    chunked = resolve_model(hugging_face_folder).score(ids)
    monkeypatch.setattr(transformers_models, "splits", lambda model: False)
    whole = resolve_model(hugging_face_folder).score(ids)
    assert np.abs(chunked - whole).max() < TOLERANCES["chunked head against full logits", "float32"] * whole.max()


def test_bad_models(tmp_path, hugging_face_folder):
    with pytest.raises(ValueError, match="model: 'gtp2' is not known; accepted: a"):
        resolve_model("gtp2")
    with pytest.raises(ValueError, match=r"is not a folder with config\.json"):
        resolve_model(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"holds no config\.json"):
        resolve_model(tmp_path)
    (tmp_path / "config.json").write_text((hugging_face_folder / "config.json").read_text())
    with pytest.raises(ValueError, match="holds no weights"):
        resolve_model(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        resolve_model(tmp_path)
