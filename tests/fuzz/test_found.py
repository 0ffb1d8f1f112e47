"""What 2,000 damaged copies of a file showed, by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recallscope.architectures.folder import load_model
from recallscope.architectures.names import architecture
from recallscope.bounds.demand._opened import opened as open_demand
from recallscope.slicing.attribution import atoms, attribute
from recallscope.slicing.records import read_records
from recallscope.slicing.scoring.losses_file import open_losses
from recallscope.text import load_tokenizer, read_documents


def test_a_name_of_a_column_that_is_not_utf_8(tmp_path: Path):
    file = tmp_path / "text.parquet"
    pq.write_table(pa.table({"zzz": ["a"], "text": ["b"]}), file, store_schema=False)
    file.write_bytes(file.read_bytes().replace(b"zzz", b"\xb4zz"))
    with pytest.raises(ValueError, match="is not a readable Parquet file"):
        list(read_documents(file))


def test_a_name_of_a_column_of_records_atoms_and_losses_that_is_not_utf_8(tmp_path: Path):
    records = {"format": "recallscope-records-1", "models": ["a"], "window": 4}
    for name, about, read in (
        ("records", records, lambda path: read_records(path).table()),
        ("records", records, atoms),
        ("records", records, open_demand),
        ("atoms", {"format": "recallscope-atoms-1"}, attribute),
        ("losses", {}, lambda path: open_losses("a", path)),
    ):
        file = tmp_path / f"{name}.parquet"
        table = pa.table({"zzz": [1], "document": [0]}).replace_schema_metadata({"recallscope": json.dumps(about)})
        pq.write_table(table, file, store_schema=False)
        file.write_bytes(file.read_bytes().replace(b"zzz", b"\xb4zz"))
        with pytest.raises(ValueError, match=r"cut off or not Parquet|cannot read .* as Parquet") as caught:
            read(file)
        assert type(caught.value) is ValueError, name


def test_two_tokens_of_one_id(tmp_path: Path):
    vocabulary = {"t": 1, "h": 1, "th": 2}
    model = {"type": "BPE", "vocab": vocabulary, "merges": [["t", "h"]], "unk_token": None}
    (tmp_path / "tokenizer.json").write_text(json.dumps({"version": "1.0", "added_tokens": [], "model": model}))
    with pytest.raises(ValueError, match=r"tokenizer: contradicts itself \(Token `(hh|tt)` out of vocabulary"):
        load_tokenizer(tmp_path / "tokenizer.json").spans(["th"])


def test_atoms_without_a_column(tmp_path: Path):
    about = {"format": "recallscope-atoms-1", "models": ["a", "b"]}
    columns = {"document": [0], "document_id": ["x"], "tokens": [3], "loss_a": [1.0], "loss_b": [2.0]}
    table = pa.table(columns).replace_schema_metadata({"recallscope": json.dumps(about)})
    pq.write_table(table, tmp_path / "atoms.parquet")
    with pytest.raises(ValueError, match="is damaged: it lacks count_bin, distance_bin, opportunity, position, rare"):
        attribute(tmp_path / "atoms.parquet")


def test_a_model_without_a_vocabulary(tmp_path: Path):
    shape = {"vocabulary": 0, "width": 4, "layers": [{"mixer": "attention", "heads": 2}], "ffn_width": 4}
    (tmp_path / "config.json").write_text(json.dumps(shape))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="vocabulary: at least 1 for a language model, got 0"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 2**64}, "width: an integer from 1 to 16777216, got 18446744073709551616"),
        ({"ffn_width": 2**63}, "ffn_width: an integer from 0 to 16777216"),
        ({"vocabulary": 2**31}, "vocabulary: an integer from 0 to 2147483647, got 2147483648"),
        ({"context": 2**70}, "context: an integer from 1 to 2147483647"),
        ({"loops": 2**31}, "loops: an integer from 1 to 10000"),
        ({"loops": 9000}, "loops: at most 10000 layers in all, got 9000 x 2"),
        ({"layers": [{"mixer": "attention", "heads": 2**63}]}, "heads: from 0 to 2147483647, got 9223372036854775808"),
        ({"layers": [{"mixer": "attention", "key_width": 2**31 - 2, "heads": 2**31 - 1}]}, "attention cannot be built"),
        (
            {"layers": [{"mixer": "attention", "heads": 1, "ffn_width": 2**63}]},
            "attention cannot be built with .*ffn_width",
        ),
    ],
)
def test_numbers_of_a_config_that_no_tensor_can_have(tmp_path: Path, change: dict[str, Any], message: str):
    shape = {"vocabulary": 8, "width": 4, "layers": [{"mixer": "attention", "heads": 1}] * 2, "ffn_width": 4} | change
    (tmp_path / "config.json").write_text(json.dumps(shape))
    with pytest.raises(ValueError, match=message):
        architecture(str(tmp_path)).parameters()
