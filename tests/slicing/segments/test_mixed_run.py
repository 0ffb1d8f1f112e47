"""`slice_text` with models whose tokenizers differ: every row from first principles, equal models, bad input."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.folder import load_model, save_model
from recallscope.architectures.model import LanguageModel
from recallscope.bounds import demand
from recallscope.bounds.demand.sliced import slice_text as slice_with_demand
from recallscope.slicing import run
from recallscope.slicing.attribution import attribute, format_table
from recallscope.slicing.run import OUTPUTS, slice_text
from recallscope.slicing.scoring import Windowing
from recallscope.slicing.segments import Units, borders, unit_ends
from recallscope.slicing.settings import SliceSettings
from recallscope.text import Document, Tokenizer, load_tokenizer

from .tokenizers_here import TEXTS, byte_level, lowering, renumbered

WINDOW = 24
SETTINGS = SliceSettings(Windowing(WINDOW, WINDOW), shard_tokens=60)
LAYERS = ({"mixer": "attention", "heads": 2},) * 2
DOCUMENTS = [Document(name, text * 3) for name, text in TEXTS.items()]
TRAINING = ["the quick brown fox jumps over the lazy dog's tail. def f(x): return 中文"]


def folder_of(tmp_path: Path, name: str, tokenizer: Tokenizer, seed: int = 0) -> Path:
    """A small model in a folder with its tokenizer."""
    torch.manual_seed(seed)
    model = LanguageModel(ModelConfig(tokenizer.vocabulary, 16, LAYERS, ffn_width=32))
    save_model(model, tmp_path / name, torch.float32)
    tokenizer.backend.save(str(tmp_path / name / "tokenizer.json"))
    return tmp_path / name


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> list[Path]:
    here = tmp_path_factory.mktemp("models")
    return [folder_of(here, "coarse", byte_level(420)), folder_of(here, "fine", byte_level(300), seed=1)]


def losses_of(folder: Path, ids: list[int], bos: int) -> list[float]:
    """Loss of each token in disjoint windows, one by one: BOS before the first, one token read again in later ones."""
    model, found, at = load_model(folder), [], 0
    while at < len(ids):
        end = min(len(ids), at + WINDOW)
        seen = [bos, *ids[:end]] if at == 0 else ids[at - 1 : end]
        with torch.inference_mode():
            logits = model(torch.tensor([seen[:-1]])).float().log_softmax(-1)[0]
        found += [-logits[k, seen[k + 1]].item() for k in range(len(seen) - 1)]
        at = end
    return found


def test_every_row_from_first_principles(folders, tmp_path):
    records = slice_text(folders, DOCUMENTS, tmp_path / "out", training_text=TRAINING, settings=SETTINGS)
    rows = iter(records.table().to_pylist())
    counts: dict[tuple[int, int], int] = {}
    for pair in pairwise(Units().encode(TRAINING)[0].tolist()):
        counts[pair] = counts.get(pair, 0) + 1
    tokenizers, total = [load_tokenizer(folder) for folder in folders], 0
    for number, document in enumerate(DOCUMENTS):
        text = document.text
        spans = [tokenizer.spans([text])[0] for tokenizer in tokenizers]
        losses = [losses_of(f, s.ids.tolist(), t.bos or 0) for f, s, t in zip(folders, spans, tokenizers, strict=True)]
        unit_ids, ends_of_units = Units().encode([text])[0], unit_ends(text)
        units, unit_begins = unit_ids.tolist(), [0, *ends_of_units[:-1].tolist()]
        begin = 0
        for position, end in enumerate(borders(spans).tolist()):
            row = next(rows)
            inside = [[k for k, e in enumerate(s.ends.tolist()) if begin < e <= end] for s in spans]
            for name, own, tokens in zip(("coarse", "fine"), losses, inside, strict=True):
                assert row[f"loss_{name}"] == pytest.approx(sum(own[k] for k in tokens), rel=1e-5, abs=1e-5)
            u = next(k for k, e in enumerate(ends_of_units.tolist()) if e >= end)  # holds the last character
            earlier = [j for j in range(1, u) if units[j - 1 : j + 1] == units[u - 1 : u + 1]]
            assert (row["document"], row["position"], row["token"]) == (number, position, units[u])
            assert row["distance_2"] == (u - earlier[-1] if earlier else 0)
            assert row["count"] == (counts.get((units[u - 1], units[u]), 0) if u else 0)
            shown = 0
            for s, tokens in zip(spans, inside, strict=True):  # where the text begins that each model sees
                first = max(tokens[0] // WINDOW * WINDOW - 1, 0)
                character = s.ends[first - 1] if first else 0
                shown = max(shown, next((k for k, b in enumerate(unit_begins) if b >= character), len(units)))
            assert row["context"] == max(u - shown, 0)
            begin = end
        total += len(text.encode())
    assert next(rows, None) is None
    assert records.metadata["bytes"] == total and records.metadata["unit"] == "segment"
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    table = records.table()
    for name, bits in report["totals"]["bits_per_byte"].items():
        assert bits == pytest.approx(
            table[f"loss_{name}"].to_numpy().astype(float).sum() / math.log(2) / total, rel=1e-9
        )
    text = format_table(attribute(tmp_path / "out" / "atoms.parquet"))
    assert "nats per segment" in text and "note: The tokenizers differ" in text
    page = (tmp_path / "out" / "report.html").read_text()
    assert "nats per segment" in page and "scored segments" in page and "words, numbers and signs" in page


def test_equal_models_with_other_ids_have_no_gap(tmp_path):
    """The same model with its tokens numbered otherwise: another tokenizer, the same losses."""
    plain = byte_level(420)
    other = renumbered(plain)
    assert plain.hash != other.hash
    one = folder_of(tmp_path, "plain", plain)
    weights = load_model(one).state_dict()
    order = torch.tensor([plain.backend.token_to_id(other.backend.id_to_token(k)) for k in range(plain.vocabulary)])
    for name in [name for name, value in weights.items() if len(value) == plain.vocabulary]:
        weights[name] = weights[name][order]
    two = folder_of(tmp_path, "other", other)
    model = load_model(two)
    model.load_state_dict(weights)
    save_model(model, two, torch.float32)
    table = slice_text([one, two], DOCUMENTS, tmp_path / "out", settings=SETTINGS).table()
    loss, same = (table[f"loss_{name}"].to_numpy() for name in ("plain", "other"))
    assert len(table) > 300 and loss.std() > 1
    assert np.abs(same - loss).max() < 1e-5


def test_shards_and_interruptions_do_not_matter(folders, tmp_path, monkeypatch):
    whole = slice_text(folders, DOCUMENTS, tmp_path / "whole", settings=SliceSettings(Windowing(WINDOW, WINDOW)))
    real = run.write_outputs
    for step in ("align", "_score", "write_outputs"):
        with monkeypatch.context() as patch:

            def stop(*arguments, **options):
                raise KeyboardInterrupt

            patch.setattr(run, step, stop)
            with pytest.raises(KeyboardInterrupt):
                slice_text(folders, DOCUMENTS, tmp_path / "parts", settings=SETTINGS)
    assert run.write_outputs is real
    parts = slice_text(folders, DOCUMENTS, tmp_path / "parts", settings=SETTINGS)
    assert parts.table().equals(whole.table())
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == sorted([*OUTPUTS, "manifest.json"])


def test_text_that_does_not_come_back_is_left_out_and_said(folders, tmp_path):
    forgetful = folder_of(tmp_path, "forgetful", lowering(300))
    text = [Document("low", "the quick brown fox " * 9), Document("high", "The quick brown fox " * 9)]
    records = slice_text([folders[0], forgetful], text, tmp_path / "out", settings=SETTINGS)
    assert set(records.table()["document"].to_pylist()) == {0}
    assert records.metadata["unfaithful_documents"] == 1
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert any("1 documents do not come back" in note for note in report["notes"])
    with pytest.raises(ValueError, match="text: no document comes back from the ids of every model's tokenizer"):
        slice_text([folders[0], forgetful], [text[1]], tmp_path / "none", settings=SETTINGS)
    assert not (tmp_path / "none").exists()


def test_bad_input(folders, tmp_path):
    def callable_model(ids: np.ndarray) -> np.ndarray:
        return np.zeros((len(ids), ids.shape[1] - 1), np.float32)

    with pytest.raises(ValueError, match="models: the tokenizers differ, and callable_model brings none"):
        slice_text([*folders, callable_model], DOCUMENTS, tmp_path / "out", settings=SETTINGS)
    np.save(tmp_path / "tokens.npy", np.arange(100) % 50)
    with pytest.raises(ValueError, match="text: the models have different tokenizers and need text"):
        slice_text(folders, tmp_path / "tokens.npy", tmp_path / "out", settings=SETTINGS)
    assert not (tmp_path / "out").exists()


def test_the_report_has_no_demand_of_segments(folders, tmp_path):
    records = slice_with_demand(folders, DOCUMENTS, tmp_path / "out", settings=SETTINGS)
    assert "demand" not in json.loads((tmp_path / "out" / "report.json").read_text())
    with pytest.raises(ValueError, match="records: one row for each token is needed, got segments"):
        demand.demand(records)
