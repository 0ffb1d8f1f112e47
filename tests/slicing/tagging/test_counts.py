"""Counts against `collections.Counter` on tuples."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recallscope.slicing.tagging import _counting, counts
from recallscope.slicing.tagging.counts import Counts, count_all, count_targeted, ngram_keys, queries

rng = np.random.default_rng(34)


def corpus(shards, vocabulary, size=400):
    """Shards with empty and one-token documents."""
    made = []
    for _ in range(shards):
        tokens = rng.zipf(1.4, size) % vocabulary
        starts = np.unique(np.concatenate(([0], rng.integers(1, size, 5))))
        made.append((tokens, np.sort(np.concatenate((starts, starts[2:4], [size])))))
    return made


def slow_counts(shards, n):
    found = Counter()
    for tokens, starts in shards:
        ends = [*starts[1:], len(tokens)]
        for a, b in zip(starts, ends, strict=True):
            document = tokens[a:b].tolist()
            found.update(tuple(document[i : i + n]) for i in range(len(document) - n + 1))
    return found


def key_of(gram, vocabulary):
    """The key of one n-gram, alone in a document."""
    keys, valid = ngram_keys(np.array(gram), np.array([0]), len(gram), vocabulary)
    assert valid.tolist() == [False] * (len(gram) - 1) + [True]
    return int(keys[-1])


CASES = pytest.mark.parametrize(
    ("n", "vocabulary"), [(1, 3000), (2, 50), (3, 50_257), (4, 50_257), (4, 200_000), (9, 300)]
)


@CASES
def test_keys_are_one_to_one_and_stay_within_documents(n, vocabulary):
    tokens, starts = corpus(1, vocabulary)[0]
    keys, valid = ngram_keys(tokens, starts, n, vocabulary)
    assert keys.dtype == np.uint64
    document = np.searchsorted(starts, np.arange(tokens.size), "right") - 1
    grams = {}
    for i in range(tokens.size):
        inside = i - n + 1 >= starts[document[i]]
        assert valid[i] == inside
        if inside:
            grams.setdefault(tuple(tokens[i - n + 1 : i + 1].tolist()), set()).add(int(keys[i]))
    assert all(len(found) == 1 for found in grams.values())
    assert len(set.union(*grams.values())) == len(grams)


def test_packed_keys_are_the_ids_side_by_side():
    keys, _ = ngram_keys(np.array([1, 2, 3], np.uint8), np.array([0]), 3, 256)
    assert int(keys[2]) == 0x010203
    assert key_of([0, 5], 256) == 5


@pytest.mark.parametrize("dtype", ["uint16", "int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize(("n", "vocabulary"), [(2, 40_000), (4, 200_000)])
def test_keys_do_not_depend_on_the_dtype(dtype, n, vocabulary):
    tokens, starts = rng.integers(0, 40_000, 50), np.array([0, 20])
    expected, _ = ngram_keys(tokens, starts, n, vocabulary)
    assert (ngram_keys(tokens.astype(dtype), starts, n, vocabulary)[0] == expected).all()


@CASES
def test_complete_table_equals_counter(n, vocabulary):
    shards = corpus(3, vocabulary)
    table, expected = count_all(shards, n, vocabulary, "three"), slow_counts(shards, n)
    assert table.complete and table.tokens == 1200 and table.source == "three" and table.n == n
    assert (table.keys[1:] > table.keys[:-1]).all()
    assert dict(zip(table.keys.tolist(), table.counts.tolist(), strict=True)) == {
        key_of(gram, vocabulary): count for gram, count in expected.items()
    }


@CASES
@pytest.mark.parametrize("piece", [7, 1 << 15])
def test_targeted_counts_equal_counter(n, vocabulary, piece, monkeypatch):
    monkeypatch.setattr(_counting, "_PIECE", piece)
    monkeypatch.setattr(counts, "_CHUNK", 100)
    training = corpus(3, vocabulary)
    evaluation = [*corpus(2, vocabulary), training[1]]
    wanted = queries(evaluation, n, vocabulary)
    assert wanted.size == len(slow_counts(evaluation, n))
    table = count_targeted(rng.permutation(wanted), iter(training), n, vocabulary)
    expected = slow_counts(training, n)
    asked = {key_of(gram, vocabulary): expected[gram] for gram in slow_counts(evaluation, n)}
    assert dict(zip(table.keys.tolist(), table.counts.tolist(), strict=True)) == asked
    assert not table.complete and table.tokens == 1200
    assert min(asked.values()) == 0 < max(asked.values())


def test_overlapping_occurrences_all_count():
    table = count_all([(np.array([7, 7, 7, 7]), np.array([0]))], 2, 8)
    assert table.counts.tolist() == [3]


def test_hash_equals_packing():
    """4-grams of the same text, once packed (16 bits an id) and once hashed (a larger vocabulary)."""
    shards, evaluation = corpus(2, 3_000, 3_000), corpus(1, 3_000, 3_000)
    found = []
    for vocabulary in (65_536, 65_537):
        table = count_targeted(queries(evaluation, 4, vocabulary), shards, 4, vocabulary)
        keys, valid = ngram_keys(evaluation[0][0], evaluation[0][1], 4, vocabulary)
        found.append(table.lookup(keys, valid))
    assert (found[0] == found[1]).all()
    assert found[0].max() > 1


def test_lookup_tells_zero_from_unknown():
    train, starts = np.array([1, 2, 3, 1, 2]), np.array([0])
    keys, valid = ngram_keys(np.array([1, 2, 9, 1, 2]), np.array([0, 3]), 2, 10)
    assert count_all([(train, starts)], 2, 10).lookup(keys, valid).tolist() == [-1, 2, 0, -1, 2]
    asked = count_targeted(keys[1:2], [(train, starts)], 2, 10)
    assert asked.lookup(keys, valid).tolist() == [-1, 2, -1, -1, 2]
    nothing = count_all([], 2, 10)
    assert nothing.lookup(keys, valid).tolist() == [-1, 0, 0, -1, 0]
    assert nothing.lookup(keys[:0], valid[:0]).tolist() == []


def test_lookup_in_blocks(monkeypatch):
    monkeypatch.setattr(counts, "_LOOKUP", 37)
    shards = corpus(1, 20)
    table, expected = count_all(shards, 2, 20), slow_counts(shards, 2)
    tokens, starts = shards[0]
    keys, valid = ngram_keys(tokens, starts, 2, 20)
    pairs = zip(tokens[:-1].tolist(), tokens[1:].tolist(), strict=True)
    wanted = [-1] + [expected[pair] for pair in pairs]
    assert table.lookup(keys, valid).tolist() == np.where(valid, wanted, -1).tolist()


@settings(max_examples=30, deadline=None)
@given(order=st.permutations(range(5)), split=st.integers(1, 4), complete=st.booleans())
def test_merging_in_any_order_equals_one_pass(order, split, complete):
    local = np.random.default_rng(7)
    shards = [(local.integers(0, 6, 60), np.array([0, 17, 17, 40])) for _ in range(5)]
    wanted = queries(shards[:1], 3, 6)

    def count(part, source):
        return count_all(part, 3, 6, source) if complete else count_targeted(wanted, part, 3, 6, source)

    parts = [count([shards[k] for k in order[:split]], "b"), count([shards[k] for k in order[split:]], "a")]
    merged, once = parts[0].merge(parts[1]), count(shards, "a; b")
    assert (merged.keys == once.keys).all() and (merged.counts == once.counts).all()
    assert (merged.tokens, merged.source, merged.complete) == (once.tokens, once.source, once.complete)


def test_many_chunks_are_added_up(monkeypatch):
    monkeypatch.setattr(counts, "_CHUNK", 16)
    monkeypatch.setattr(_counting, "_PIECE", 8)
    shards = corpus(4, 30)
    assert sorted(count_all(shards, 2, 30).counts.tolist()) == sorted(slow_counts(shards, 2).values())


def test_what_cannot_be_merged():
    shard = [(np.arange(6), np.array([0]))]
    base = count_all(shard, 2, 10)
    for other, message in [
        (count_all(shard, 3, 10), "n must be 2, got 3"),
        (count_all(shard, 2, 11), "vocabulary must be 10, got 11"),
        (count_targeted(base.keys, shard, 2, 10), "complete must be True, got False"),
    ]:
        with pytest.raises(ValueError, match=message):
            base.merge(other)
    with pytest.raises(ValueError, match="the same keys"):
        count_targeted(base.keys, shard, 2, 10).merge(count_targeted(base.keys[1:], shard, 2, 10))


@pytest.mark.parametrize("n", [2, 4])
def test_file_round_trip(tmp_path, n):
    table = count_all(corpus(2, 60_000), n, 60_000, "some text, “quoted”")
    path = tmp_path / "counts.parquet"
    table.save(path)
    again = Counts.load(str(path))
    assert (again.keys == table.keys).all() and again.keys.dtype == np.uint64
    assert (again.counts == table.counts).all() and again.counts.dtype == np.int64
    for name in ("n", "vocabulary", "tokens", "complete", "source"):
        assert getattr(again, name) == getattr(table, name)
    assert [file.name for file in tmp_path.iterdir()] == ["counts.parquet"]


def test_a_million_bigrams_take_three_bytes_each(tmp_path):
    keys = np.sort(rng.choice(2**32, 1_000_000, replace=False).astype(np.uint64))
    Counts(2, 65_536, keys, rng.zipf(1.8, keys.size).astype(np.int64) % 1000, 5, True).save(tmp_path / "c")
    assert (tmp_path / "c").stat().st_size < 3_200_000


def test_an_empty_table_is_kept(tmp_path):
    count_all([], 2, 10).save(tmp_path / "c")
    assert Counts.load(tmp_path / "c").keys.size == 0


def test_damage_is_noticed_or_harmless(tmp_path):
    """Cut anywhere: refused. Any byte changed: refused, or nothing that is read lay there (Parquet's statistics)."""
    path = tmp_path / "counts.parquet"
    table = count_all(corpus(2, 5_000), 2, 5_000)
    table.save(path)
    good = path.read_bytes()
    for cut in (0, 3, 100, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:cut])
        with pytest.raises(ValueError, match=r"counts\.parquet"):
            Counts.load(path)
    refused = 0
    for at in rng.integers(0, len(good), 300):
        path.write_bytes(good[:at] + bytes([good[at] ^ int(rng.integers(1, 256))]) + good[at + 1 :])
        try:
            again = Counts.load(path)
        except ValueError as error:
            refused += 1
            assert "counts.parquet" in str(error)
        else:
            assert (again.keys == table.keys).all() and (again.counts == table.counts).all()
            assert (again.tokens, again.complete) == (table.tokens, table.complete)
    assert refused > 150


def test_files_of_another_kind(tmp_path):
    path = tmp_path / "other"
    with pytest.raises(ValueError, match=r"counts: .*other.* does not exist"):
        Counts.load(path)
    pq.write_table(pa.table({"x": [1]}), path)
    with pytest.raises(ValueError, match="other"):
        Counts.load(path)
    columns = {"key": pa.array([2, 1], pa.uint64()), "count": pa.array([1, 1], pa.int64())}
    pq.write_table(pa.table(columns), path)
    with pytest.raises(ValueError, match="other: not a count table of the format"):
        Counts.load(path)
    about = '{"format": "recallscope-counts-1", "n": 2, "vocabulary": 9, "tokens": 3, "complete": true%s}'
    for rest, message in [("", "must have the fields"), (', "source": "", "checksum": 1', "keys must be increasing")]:
        schema = pa.schema([("key", pa.uint64()), ("count", pa.int64())], metadata={b"recallscope": about % rest})
        pq.write_table(pa.table(columns, schema=schema), path)
        with pytest.raises(ValueError, match=f"other: .*{message}"):
            Counts.load(path)


def test_bad_arguments():
    shard = (np.array([1, 2, 3]), np.array([0]))
    with pytest.raises(ValueError, match="tokens: ids must be below the vocabulary of 3, got 3"):
        ngram_keys(*shard, 2, 3)
    with pytest.raises(ValueError, match="n: a whole number of at least 1"):
        count_all([shard], 0, 9)
    with pytest.raises(ValueError, match="vocabulary: a whole number of at least 1"):
        count_all([shard], 2, 0)
    with pytest.raises(ValueError, match="vocabulary: at most"):
        ngram_keys(*shard, 2, 2**33)
    with pytest.raises(ValueError, match="queries: a one-dimensional uint64 array is wanted, got int64"):
        count_targeted(np.array([1]), [shard], 2, 9)
    with pytest.raises(ValueError, match="queries: keys of 2-grams of 9 ids are wanted, 256 is too large"):
        count_targeted(np.array([256], np.uint64), [shard], 2, 9)
