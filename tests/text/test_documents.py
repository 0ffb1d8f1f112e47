"""Readers: every accepted source gives the same documents; every kind of bad input one clear line."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recallscope.text import Document, digest, load_tokenizer, read_documents, read_token_array, tokenize
from recallscope.text.shards import limited, make_shard

TEXTS = ["first document\n", "zweites, mit Umlaut: äöü", "三つ目 \U0001f600\r\n\u00a0end"]
LINES = "".join(json.dumps({"id": f"d{k}", "text": text}) + "\n" for k, text in enumerate(TEXTS))
EXPECTED = [Document(f"d{k}", text) for k, text in enumerate(TEXTS)]


def test_json_lines_plain_gzip_and_zstd(tmp_path):
    (tmp_path / "a.jsonl").write_text(LINES, encoding="utf-8")
    with gzip.open(tmp_path / "a.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(LINES)
    with pa.CompressedOutputStream(str(tmp_path / "a.jsonl.zst"), "zstd") as file:
        file.write(LINES.encode())
    for name in ("a.jsonl", "a.jsonl.gz", "a.jsonl.zst"):
        assert list(read_documents(tmp_path / name)) == EXPECTED


def test_a_line_longer_than_the_read_block(tmp_path):
    text = "x" * 3_000_000
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": text}) + "\n" + LINES, encoding="utf-8")
    found = list(read_documents(tmp_path / "a.jsonl"))
    assert found[0] == Document("0", text) and found[1:] == EXPECTED


def test_parquet_and_text_and_folder(tmp_path):
    table = pa.table({"id": [d.id for d in EXPECTED], "text": TEXTS, "other": [1, 2, 3]})
    pq.write_table(table, tmp_path / "b.parquet", row_group_size=2)
    assert list(read_documents(tmp_path / "b.parquet")) == EXPECTED
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "z.txt").write_text(TEXTS[2], encoding="utf-8", newline="")
    (folder / "a.md").write_text(TEXTS[0], encoding="utf-8")
    (folder / ".hidden.txt").write_text("no")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    (folder / "b.jsonl").write_text(LINES, encoding="utf-8")
    names = [document.id for document in read_documents(folder)]
    assert names == ["a.md", "b.jsonl#d0", "b.jsonl#d1", "b.jsonl#d2", "sub/z.txt"]
    assert list(read_documents(folder))[-1].text == TEXTS[2]


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("missing.txt", None, "missing.txt does not exist"),
        ("empty.txt", b"", "empty.txt is empty"),
        ("latin.txt", b"caf\xe9", r"latin.txt is not UTF-8 \(byte 3\)"),
        ("latin.jsonl", b'{"text": "a"}\n{"text": "caf\xe9"}\n', "latin.jsonl line 2 is not UTF-8"),
        ("bad.jsonl", b'{"text": "a"}\n{"text": ', "bad.jsonl line 2 is not JSON"),
        ("field.jsonl", b'{"content": "a"}\n', "line 1 needs a field `text`"),
        ("cut.jsonl.gz", gzip.compress(LINES.encode() * 500)[:-30], "cut.jsonl.gz is broken or cut off"),
        ("bad.parquet", b"PAR1 no", "bad.parquet is not a readable Parquet file"),
    ],
)
def test_bad_sources(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        list(read_documents(tmp_path / name))


def test_folder_without_text_and_parquet_without_column(tmp_path):
    (tmp_path / "x.bin2").write_bytes(b"1")
    with pytest.raises(ValueError, match="holds no file with one of the endings"):
        list(read_documents(tmp_path))
    pq.write_table(pa.table({"content": ["a"]}), tmp_path / "c.parquet")
    with pytest.raises(ValueError, match="needs a column `text`, got content"):
        list(read_documents(tmp_path / "c.parquet"))


def test_shards_hold_whole_documents_and_every_token(bundled):
    documents = [Document(str(k), f"word{k} " * (k % 7 * 30)) for k in range(200)]
    shards = list(tokenize(documents, bundled, size=500))
    assert len(shards) > 3
    assert [one for shard in shards for one in shard.ids] == [d.id for d in documents]
    assert [shard.first for shard in shards] == list(np.cumsum([0] + [len(s.ids) for s in shards[:-1]]))
    rebuilt = [shard.tokens[a:b].tolist() for shard in shards for a, b in shard.spans()]
    assert rebuilt == [tokens.tolist() for tokens in bundled.encode([d.text for d in documents])]


def test_tokens_round_trip_through_pieces(bundled):
    for text in TEXTS:
        ids = bundled.encode([text])[0]
        assert bundled.backend.decode(ids.tolist()) == text
        assert len(bundled.pieces(ids.tolist())) == len(ids)
    plain = "def f(x):\n    return x\n"
    assert "".join(bundled.pieces(bundled.encode([plain])[0].tolist())) == plain


def test_tokenizer_identity_ignores_what_does_not_change_ids(bundled, tmp_path):
    bundled.backend.save(str(tmp_path / "tokenizer.json"))
    again = load_tokenizer(tmp_path)
    assert again.hash == bundled.hash and again.bos == bundled.bos == 0
    with pytest.raises(ValueError, match=r"tokenizer: .* is not a tokenizer.json"):
        (tmp_path / "tokenizer.json").write_text("{}")
        load_tokenizer(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("suffix", [".npy", ".bin"])
def test_token_arrays_are_cut_after_the_end_token(tmp_path, suffix):
    rng = np.random.default_rng(7)
    tokens = rng.integers(1, 50, 5000).astype(np.uint16)
    tokens[rng.choice(5000, 60, replace=False)] = 0
    path = tmp_path / f"t{suffix}"
    np.save(path, tokens) if suffix == ".npy" else tokens.tofile(path)
    shards = list(read_token_array(path, eos=0, size=700))
    assert len(shards) > 4
    np.testing.assert_array_equal(np.concatenate([s.tokens for s in shards]), tokens)
    found = [shard.tokens[a:b] for shard in shards for a, b in shard.spans()]
    wanted = np.split(tokens, np.flatnonzero(tokens[:-1] == 0) + 1)
    assert len(found) == len(wanted)
    assert all(np.array_equal(one, other) for one, other in zip(found, wanted, strict=True))


@pytest.mark.parametrize("limit", [None, 1, 7, 8, 100])
def test_a_limit_counts_documents_of_token_arrays(tmp_path, limit):
    tokens = np.random.default_rng(1).integers(0, 9, 400)
    np.save(tmp_path / "a.npy", tokens)
    ends = np.flatnonzero(tokens == 0)[: limit or None]
    last = ends[-1] + 1 if limit and len(ends) == limit else len(tokens)
    shards = list(limited(read_token_array(tmp_path / "a.npy", eos=0, size=30), limit))
    assert np.concatenate([shard.tokens for shard in shards]).tolist() == tokens[:last].tolist()
    starts = [shard.first + k for shard in shards for k in range(len(shard.starts))]
    assert starts == list(range(limit if last < len(tokens) else 1 + int((tokens[:-1] == 0).sum())))


def test_bad_token_arrays(tmp_path):
    np.save(tmp_path / "f.npy", np.zeros(5))
    with pytest.raises(ValueError, match="must hold a 1-D array of integers, got float64"):
        list(read_token_array(tmp_path / "f.npy", None))
    with pytest.raises(ValueError, match="missing or empty"):
        list(read_token_array(tmp_path / "g.npy", None))
    (tmp_path / "h.npy").write_bytes(b"not numpy at all")
    with pytest.raises(ValueError, match="is not a token array"):
        list(read_token_array(tmp_path / "h.npy", None))


def test_digest_is_the_sha256_of_utf8():
    assert digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_make_shard_with_empty_documents():
    shard = make_shard(3, ["a", "b", "c"], [np.array([1, 2]), np.array([], int), np.array([5])])
    assert list(shard.spans()) == [(0, 2), (2, 2), (2, 3)]
