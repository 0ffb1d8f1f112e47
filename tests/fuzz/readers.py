"""Every reader of files, each with a small valid file to damage and what is read from it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.folder import load_model, save_model
from recallscope.architectures.model import LanguageModel
from recallscope.architectures.names import architecture
from recallscope.audit import audit
from recallscope.evidence import read_evidence
from recallscope.frontier import rows_of
from recallscope.slicing.attribution import attribute
from recallscope.slicing.records import read_records
from recallscope.slicing.run import slice_text
from recallscope.slicing.scoring.losses_file import open_losses
from recallscope.slicing.settings import claim_folder
from recallscope.slicing.tagging import Counts
from recallscope.text import Shard, load_tokenizer, read_documents, read_token_array

SHARD = Shard(0, ("a", "b"), np.arange(60, dtype=np.uint32) % 7, np.array([0, 40]))


@dataclass(frozen=True)
class Reader:
    """`file`, inside a folder, is damaged; `read` reads the folder and returns whatever should then be sound."""

    file: str
    read: Callable[[Path], Any]


def _losses(folder: Path) -> Any:
    found = open_losses("a", folder / "losses.parquet").losses(SHARD, np.ones(60, bool))
    assert found.shape == (60,) and np.isfinite(found).all()


def _counts(folder: Path) -> Any:
    counts = Counts.load(folder / "counts.parquet")
    assert len(counts.keys) == len(counts.counts) and (counts.counts >= 0).all()


def _tokens(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        for shard in read_token_array(folder / name, 0, size=50):
            assert len(shard.ids) == len(shard.starts) and len(shard.tokens)

    return read


def _model(folder: Path) -> Any:
    with torch.inference_mode():
        assert load_model(folder)(torch.zeros(1, 3, dtype=torch.long)).shape[:2] == (1, 3)


def _tokenizer(folder: Path) -> Any:
    found = load_tokenizer(folder / "tokenizer.json")
    found.encode(["the cat"])
    found.spans(["the cat"])


READERS = {
    "evidence": Reader("rows.jsonl", lambda folder: read_evidence(folder / "rows.jsonl")),
    "frontier rows": Reader("rows.jsonl", lambda folder: rows_of([str(folder)])),
    "audit, JSON Lines": Reader("own.jsonl", lambda folder: audit(folder / "own.jsonl")),
    "audit, CSV": Reader("own.csv", lambda folder: audit(folder / "own.csv")),
    "documents, JSON Lines": Reader("text.jsonl", lambda folder: [*read_documents(folder / "text.jsonl")]),
    "documents, gzip": Reader("text.jsonl.gz", lambda folder: [*read_documents(folder / "text.jsonl.gz")]),
    "documents, Parquet": Reader("text.parquet", lambda folder: [*read_documents(folder / "text.parquet")]),
    "documents, text": Reader("text.txt", lambda folder: [*read_documents(folder / "text.txt")]),
    "token array, npy": Reader("tokens.npy", _tokens("tokens.npy")),
    "token array, bin": Reader("tokens.bin", _tokens("tokens.bin")),
    "records": Reader("records.parquet", lambda folder: read_records(folder).table()),
    "attribution of records": Reader("records.parquet", lambda folder: attribute(folder / "records.parquet")),
    "atoms": Reader("atoms.parquet", lambda folder: attribute(folder / "atoms.parquet")),
    "counts": Reader("counts.parquet", _counts),
    "losses": Reader("losses.parquet", _losses),
    "manifest": Reader("manifest.json", lambda folder: claim_folder(folder, {"format": "x"})),
    "model, config": Reader("config.json", _model),
    "model, weights": Reader("model.safetensors", _model),
    "tokenizer": Reader("tokenizer.json", _tokenizer),
    "architecture": Reader("hf/config.json", lambda folder: architecture(str(folder / "hf")).state_elements(t=100)),
}


def valid_files(folder: Path) -> None:
    """One valid file of each kind."""
    row = {"subject": "attention", "metric": "accuracy", "value": 0.5, "unit": "1", "kind": "measured", "t": 3}
    more = row | {"subject": "based", "low": 0.1, "high": 0.6, "n": 4, "state_bytes": 1000, "flag": None}
    (folder / "rows.jsonl").write_text("\n".join(json.dumps(one) for one in (row, more)) + "\n")
    printed = {"subject": "a", "metric": "perplexity", "slice": "all", "value": 9.4, "unit": "1", "kind": "published"}
    parts = [printed, printed | {"slice": "AR", "value": 2.0}, printed | {"slice": "other", "value": 10.6}]
    (folder / "own.jsonl").write_text("\n".join(json.dumps(one | {"row": "1"}) for one in parts))
    (folder / "own.csv").write_text("row,subject,metric,slice,value,unit,kind\n" + "".join(
        f"1,a,perplexity,{one['slice']},{one['value']},1,published\n" for one in parts))  # fmt: skip
    lines = [json.dumps({"id": k, "text": "the cat sat on the mat " * (k + 1)}) for k in range(5)]
    (folder / "text.jsonl").write_text("\n".join(lines))
    (folder / "text.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    (folder / "text.txt").write_text("the cat sat on the mat, und ein Häuschen 猫 stood there\n" * 3, encoding="utf-8")
    pq.write_table(pa.table({"id": ["a", "b"], "text": ["the cat sat", "on a mat " * 9]}), folder / "text.parquet")
    np.save(folder / "tokens.npy", np.arange(200, dtype=np.uint16) % 11)
    (np.arange(200, dtype=np.uint16) % 11).tofile(folder / "tokens.bin")
    position = np.arange(60) - np.repeat([0, 40], [40, 20])
    document = np.repeat([0, 1], [40, 20])
    columns = {"document": document, "position": position, "token": SHARD.tokens, "loss": np.arange(60) / 7}
    pq.write_table(pa.table(columns), folder / "losses.parquet")
    keys, counts = np.arange(5, 300, 7, dtype=np.uint64), np.arange(43, dtype=np.int64)
    made = Counts(
        n=2, vocabulary=20, tokens=int(counts.sum()) + 2, complete=True, source="x", keys=keys[:43], counts=counts
    )
    made.save(folder / "counts.parquet")
    (folder / "manifest.json").write_text(json.dumps({"format": "x"}))
    (folder / "hf").mkdir()
    (folder / "hf" / "config.json").write_text(json.dumps({
        "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 100, "tie_word_embeddings": False,
    }))  # fmt: skip
    torch.manual_seed(0)
    save_model(LanguageModel(ModelConfig(50, 8, ({"mixer": "attention", "heads": 2}, {"mixer": "based"}), 16)), folder)
    _tokenizer_file(folder)
    _run_files(folder)


def _tokenizer_file(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {"<|endoftext|>": 0, "t": 1, "h": 2, "e": 3, "th": 4, "Ġ": 5, "c": 6, "a": 7}
    made: Any = Tokenizer(models.BPE(vocabulary, [("t", "h")]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.save(str(folder / "tokenizer.json"))


def _run_files(folder: Path) -> None:
    def one(ids: np.ndarray) -> np.ndarray:
        return (ids[:, 1:] % 7).astype(np.float32)

    def two(ids: np.ndarray) -> np.ndarray:
        return (ids[:, 1:] % 5).astype(np.float32)

    from recallscope.bundled import bundled_tokenizer

    text = [f"the cat sat on the mat {k} times " * 9 for k in range(12)]
    slice_text([one, two], text, folder / "run", tokenizer=bundled_tokenizer(), training_text=text[:3])
    for name in ("records.parquet", "atoms.parquet"):
        (folder / name).write_bytes((folder / "run" / name).read_bytes())
