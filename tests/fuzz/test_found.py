"""What 2,000 damaged copies of a file showed, by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
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
