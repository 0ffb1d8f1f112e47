"""Tags against dictionaries, one document at a time."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recallscope.slicing.tagging import _tags_numpy
from recallscope.slicing.tagging.tags import longest_match, opportunity_distance, repeat_distance, tag, visible

rng = np.random.default_rng(20)


@pytest.fixture(params=["0", pytest.param("1", marks=pytest.mark.skipif(not find_spec("numba"), reason="no numba"))])
def engine(request, monkeypatch):
    """Every test that asks for it runs with numpy and with numba."""
    monkeypatch.setenv("RECALLSCOPE_NUMBA", request.param)
    return {"0": "numpy", "1": "numba"}[request.param]


def documents(tokens, starts):
    ends = [*list(starts[1:]), len(tokens)]
    return [list(map(int, tokens[a:b])) for a, b in zip(starts, ends, strict=True)]


def slow_distance(tokens, starts, n, exclude=()):
    out = []
    for document in documents(tokens, starts):
        last = {}
        for i in range(len(document)):
            gram = tuple(document[i - n + 1 : i + 1]) if i >= n - 1 else None
            usable = gram is not None and not set(gram) & set(exclude)
            out.append(i - last[gram] if usable and gram in last else 0)
            if usable:
                last[gram] = i
    return out


def slow_opportunity(tokens, starts):
    out = []
    for document in documents(tokens, starts):
        for i in range(len(document)):
            earlier = [j for j in range(i - 1) if document[j] == document[i - 1]]
            out.append(i - 1 - earlier[-1] if earlier else 0)
    return out


def slow_match(tokens, starts, cap, exclude=()):
    distances = [slow_distance(tokens, starts, n, exclude) for n in range(1, cap + 1)]
    return [max([n for n in range(1, cap + 1) if distances[n - 1][i]], default=0) for i in range(len(tokens))]


def code_like(size):
    """A few statements over and over, with names that change: long repeats broken by new tokens."""
    line = np.array([7, 8, 9, 10, 11, 12, 13, 14, 15, 16])
    rows = np.tile(line, (size // line.size + 1, 1))
    rows[:, 3] = rng.integers(20, 40, len(rows))
    return rows.ravel()[:size]


ROWS = {
    "random, small vocabulary": (rng.integers(0, 5, 400), [0, 130, 131, 300]),
    "random, large vocabulary": (rng.integers(0, 60_000, 400), [0, 200]),
    "Zipf": (rng.zipf(1.3, 600) % 50_257, [0, 50, 50, 300]),
    "constant": (np.full(200, 3), [0, 90]),
    "two symbols in turn": (np.arange(200) % 2, [0, 101]),
    "period of seven": (np.arange(300) % 7, [0]),
    "code": (code_like(400), [0, 200, 333]),
    "documents of length 1": (np.array([4, 4, 4, 4]), [0, 1, 2, 3]),
    "empty documents first, between and last": (np.array([1, 2, 1, 2, 1, 2]), [0, 0, 3, 3, 3, 6, 6]),
    "one token": (np.array([5]), [0]),
    "id 0 only": (np.zeros(9, int), [0, 4]),
}
rows = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())


@rows
@pytest.mark.parametrize("n", [1, 2, 3, 4, 6])
def test_distance_equals_dictionary(engine, row, n):
    tokens, starts = row
    assert repeat_distance(tokens, np.array(starts), n).tolist() == slow_distance(tokens, starts, n)


@rows
def test_tag_equals_dictionaries(engine, row):
    tokens, starts = row
    found = tag(tokens, np.array(starts))
    assert sorted(found) == ["distance_2", "distance_3", "distance_4", "match", "opportunity"]
    for n in (2, 3, 4):
        assert found[f"distance_{n}"].tolist() == slow_distance(tokens, starts, n)
        assert found[f"distance_{n}"].dtype == np.int32
    assert found["opportunity"].tolist() == slow_opportunity(tokens, starts)
    assert found["opportunity"].dtype == np.int32
    assert found["match"].tolist() == slow_match(tokens, starts, 8)
    assert found["match"].dtype == np.int8


@rows
@pytest.mark.parametrize("cap", [1, 2, 8, 20])
def test_match_and_opportunity_alone(engine, row, cap):
    tokens, starts = row
    assert longest_match(tokens, np.array(starts), cap).tolist() == slow_match(tokens, starts, cap)
    assert opportunity_distance(tokens, np.array(starts)).tolist() == slow_opportunity(tokens, starts)


def test_hand_computed(engine):
    #        a  b  a  b  a  a  a | a  a
    tokens = np.array([1, 2, 1, 2, 1, 1, 1, 1, 1])
    starts = np.array([0, 7])
    assert repeat_distance(tokens, starts, 1).tolist() == [0, 0, 2, 2, 2, 1, 1, 0, 1]
    assert repeat_distance(tokens, starts, 2).tolist() == [0, 0, 0, 2, 2, 0, 1, 0, 0]
    assert repeat_distance(tokens, starts, 3).tolist() == [0, 0, 0, 0, 2, 0, 0, 0, 0]
    assert opportunity_distance(tokens, starts).tolist() == [0, 0, 0, 2, 2, 2, 1, 0, 0]
    assert longest_match(tokens, starts).tolist() == [0, 0, 1, 2, 3, 1, 2, 0, 1]


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 30), min_size=1, max_size=6),
    letters=st.integers(1, 4),
    seed=st.integers(0, 99),
    wish=st.sampled_from("01"),
)
def test_any_documents(lengths, letters, seed, wish):
    tokens = np.random.default_rng(seed).integers(0, letters, sum(lengths))
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1])).astype(np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECALLSCOPE_NUMBA", wish)
        found = tag(tokens, starts, cap=5)
    for n in (2, 3, 4):
        assert found[f"distance_{n}"].tolist() == slow_distance(tokens, starts, n)
    assert found["opportunity"].tolist() == slow_opportunity(tokens, starts)
    assert found["match"].tolist() == slow_match(tokens, starts, 5)
    hit = found["distance_2"] > 0
    assert (found["opportunity"][hit] > 0).all()
    assert (found["opportunity"][hit] <= found["distance_2"][hit]).all()


def test_more_than_one_block_and_a_document_longer_than_a_block(engine, monkeypatch):
    monkeypatch.setattr(_tags_numpy, "_BLOCK", 64)
    tokens, starts = rng.integers(0, 12, 1500), [0, 10, 30, 90, 95, 400, 400, 1300]
    for n in (2, 3):
        assert repeat_distance(tokens, np.array(starts), n).tolist() == slow_distance(tokens, starts, n)
    assert longest_match(tokens, np.array(starts)).tolist() == slow_match(tokens, starts, 8)


def test_two_hundred_windows_equal_tagging_them_anew(engine):
    tokens = rng.integers(0, 9, 500)
    starts = np.array([0, 120, 350])
    found = tag(tokens, starts)
    for _ in range(200):
        k = int(rng.integers(0, 3))
        begin, end = int(starts[k]), [*starts[1:].tolist(), 500][k]
        w0 = int(rng.integers(begin, end))
        w1 = int(rng.integers(w0, end)) + 1
        context = np.arange(w1 - w0)
        for n in (2, 3, 4):
            raw = found[f"distance_{n}"][w0:w1]
            assert np.where(visible(raw, context, n), raw, 0).tolist() == slow_distance(tokens[w0:w1], [0], n)
        raw = found["opportunity"][w0:w1]
        assert np.where(visible(raw, context, 2), raw, 0).tolist() == slow_opportunity(tokens[w0:w1], [0])


def test_visible_takes_one_context_for_all():
    assert visible(np.array([0, 1, 4, 5]), 6, 3).tolist() == [False, True, True, False]


def test_excluded_tokens_repeat_nothing(engine):
    tokens, starts = rng.integers(0, 4, 400), np.array([0, 150])
    found = tag(tokens, starts, exclude=(0, 3))
    for n in (2, 3, 4):
        assert found[f"distance_{n}"].tolist() == slow_distance(tokens, starts, n, (0, 3))
        assert found[f"distance_{n}"].tolist() == repeat_distance(tokens, starts, n, exclude=[0, 3]).tolist()
    assert found["match"].tolist() == slow_match(tokens, starts, 8, (0, 3))
    assert (found["match"] == longest_match(tokens, starts, exclude=[0, 3])).all()
    previous = np.roll(tokens, 1)
    plain = opportunity_distance(tokens, starts)
    assert (found["opportunity"] == np.where(np.isin(previous, [0, 3]), 0, plain)).all()
    assert (opportunity_distance(tokens, starts, exclude=[0, 3]) == found["opportunity"]).all()


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "int32", "uint32", "int64", "uint64"])
def test_any_integer_dtype(engine, dtype):
    tokens, starts = rng.integers(0, 100, 300), np.array([0, 100], dtype=np.int32)
    expected = tag(tokens, starts)
    found = tag(tokens.astype(dtype), starts)
    assert all((found[name] == expected[name]).all() for name in expected)


@pytest.mark.parametrize("largest", [2**17, 2**31 - 1, 2**40, 2**64 - 1])
def test_huge_ids_are_renumbered(engine, largest):
    few = rng.integers(0, largest, 40, dtype=np.uint64)
    tokens, starts = rng.choice(few, 500), [0, 250]
    assert repeat_distance(tokens, np.array(starts)).tolist() == slow_distance(tokens, starts, 2)
    assert longest_match(tokens, np.array(starts)).tolist() == slow_match(tokens, starts, 8)


def test_keys_wider_than_64_bits(monkeypatch):
    """What a document of 10**7 tokens would need, forced upon a short one."""
    monkeypatch.setenv("RECALLSCOPE_NUMBA", "0")
    wide, called = _tags_numpy._wide_repeats, []
    monkeypatch.setattr(_tags_numpy, "_wide_repeats", lambda high, at: called.append(1) or wide(high, at))
    monkeypatch.setattr(_tags_numpy, "_WORD", 20)
    tokens, starts = rng.integers(0, 300, 700), [0, 250]
    assert repeat_distance(tokens, np.array(starts)).tolist() == slow_distance(tokens, starts, 2)
    assert longest_match(tokens, np.array(starts)).tolist() == slow_match(tokens, starts, 8)
    assert called


@pytest.mark.skipif(not find_spec("numba"), reason="no numba")
def test_engines_agree_on_a_large_shard(monkeypatch):
    lengths = np.random.default_rng(1).lognormal(6, 2, 200).astype(int)
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    tokens = (np.random.default_rng(2).zipf(1.2, lengths.sum()) % 50_257).astype(np.uint16)
    found = []
    for wish in "01":
        monkeypatch.setenv("RECALLSCOPE_NUMBA", wish)
        found.append(tag(tokens, starts, exclude=(1,)) | {"two": repeat_distance(tokens, starts, exclude=(1,))})
    assert all((found[0][name] == found[1][name]).all() for name in found[0])
    assert (found[0]["two"] > 0).mean() > 0.05


def test_no_tokens(engine):
    for starts in ([], [0], [0, 0]):
        found = tag(np.zeros(0, np.int64), np.array(starts, np.int64))
        assert all(values.size == 0 for values in found.values())
        assert repeat_distance(np.zeros(0, np.int64), np.array(starts, np.int64)).size == 0


@pytest.mark.parametrize(
    ("tokens", "starts", "message"),
    [
        (np.zeros((2, 2), int), [0], "tokens: a one-dimensional integer array"),
        (np.zeros(3), [0], "tokens: .*got float64"),
        (np.array([1, -2]), [0], "tokens: ids must not be negative, got -2"),
        (np.zeros(3, int), [1], "starts: the first offset must be 0"),
        (np.zeros(3, int), np.zeros(0, int), "starts: the first offset must be 0"),
        (np.zeros(3, int), [0, 2, 1], "starts: offsets must not decrease"),
        (np.zeros(3, int), [0, 4], "starts: .*within the 3 tokens"),
        (np.zeros(3, int), [0.0], "starts: a one-dimensional integer array"),
    ],
)
def test_bad_shards(tokens, starts, message):
    with pytest.raises(ValueError, match=message):
        tag(tokens, np.array(starts))


def test_bad_numbers():
    tokens, starts = np.zeros(3, int), np.array([0])
    with pytest.raises(ValueError, match="n: a whole number of at least 1 is wanted, got 0"):
        repeat_distance(tokens, starts, 0)
    with pytest.raises(ValueError, match=r"n: .* got 2\.5"):
        repeat_distance(tokens, starts, 2.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cap: at most 127"):
        longest_match(tokens, starts, 128)
    with pytest.raises(ValueError, match="cap: a whole number"):
        tag(tokens, starts, cap=0)
