"""Losses that are no losses, ids and positions beyond 32 bits: refused in one line, or right to the last bit."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recallscope.bounds.demand import sliced
from recallscope.cli import main
from recallscope.slicing.attribution import attribute
from recallscope.slicing.run import slice_text
from recallscope.slicing.scoring import Windowing, cut_windows, visible_context
from recallscope.slicing.settings import SliceSettings
from recallscope.slicing.tag_text import tag_text
from recallscope.slicing.tagging import repeat_distance, tag
from recallscope.text import read_token_array

SETTINGS = SliceSettings(Windowing(16, 16, "none"))
TOKENS = np.arange(60) % 7


def plain(ids: np.ndarray) -> np.ndarray:
    return (ids[:, 1:] % 5).astype(np.float32)


def array(folder: Path, tokens: np.ndarray = TOKENS) -> Path:
    np.save(folder / "tokens.npy", tokens)
    return folder / "tokens.npy"


def other(value: float, kind: type):
    def losses(ids: np.ndarray) -> np.ndarray:
        found = plain(ids).astype(kind)
        found[ids[:, 1:] == 3] = value
        return found

    return losses


BROKEN = {
    "NaN": (math.nan, "loss NaN at token 3 of document '0'; its weights or its dtype are broken"),
    "inf": (math.inf, "loss inf at token 3"),
    "-inf": (-math.inf, "loss -inf at token 3 of document '0'; its weights or its dtype are broken"),
    "beyond float32": (1e39, "loss inf at token 3"),
    "a logarithm of a probability": (
        -2.5,
        "loss -2.5 at token 3 of document '0'; a negative log-likelihood is at least 0",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("from_file", [False, True])
def test_what_is_no_loss_is_refused(name: str, from_file: bool, tmp_path: Path):
    value, said = BROKEN[name]
    model: object = other(value, np.float64)
    if from_file:
        columns = {"document": np.zeros(60, int), "position": np.arange(60), "loss": np.where(TOKENS == 3, value, 1.0)}
        pq.write_table(pa.table(columns), tmp_path / "losses.parquet")
        model = f"losses={tmp_path / 'losses.parquet'}"
    with pytest.raises(ValueError) as refused:
        slice_text([plain, model], array(tmp_path), tmp_path / "out", settings=SETTINGS)  # type: ignore[list-item]
    missing = from_file and name == "NaN"  # a NaN in a file says that there is no loss
    assert ("lacks" if missing else f"model losses: {said}") in str(refused.value)
    assert "\n" not in str(refused.value) and not (tmp_path / "out" / "records.parquet").exists()


@pytest.mark.parametrize("value", [1e-40, 1e-45, 1e-310, -0.0, -1e-6, 3e38])
def test_what_is_tiny_huge_or_rounded_is_kept_to_the_bit(value: float, tmp_path: Path):
    records = slice_text([plain, other(value, np.float64)], array(tmp_path), tmp_path / "out", settings=SETTINGS)
    found = records.table()
    wanted = np.where(TOKENS == 3, np.float32(value), np.float32(TOKENS % 5))[1:]
    assert found["loss_losses"].to_numpy().tobytes() == wanted.astype(np.float32).tobytes()
    atoms = pq.read_table(tmp_path / "out" / "atoms.parquet")
    assert math.fsum(atoms["loss_losses"].to_pylist()) == pytest.approx(math.fsum(wanted.tolist()), rel=1e-12)
    whole = attribute(tmp_path / "out" / "atoms.parquet", intervals=False).table.to_pylist()
    assert all(math.isfinite(one["contribution"]) for one in whole if one["contribution"] is not None)


@pytest.mark.parametrize("kind", [np.int64, np.uint64])
@pytest.mark.parametrize("value", [2**31, 2**32, 2**32 + 5, 2**62, -1, -(2**32) + 5])
def test_ids_beyond_31_bits_are_refused_before_they_are_cast(kind: type, value: int, tmp_path: Path):
    if kind is np.uint64 and value < 0:
        value += 2**64
    tokens = TOKENS.astype(kind)
    tokens[30] = value
    with pytest.raises(ValueError, match=rf"text: .*tokens.npy: token ids from 0 to 2147483647, got {value}$"):
        list(read_token_array(array(tmp_path, tokens), None))
    for call in (tag_text, lambda path: slice_text([plain, plain_too], path, tmp_path / "out", settings=SETTINGS)):
        with pytest.raises(ValueError, match="token ids from 0 to 2147483647"):
            call(array(tmp_path, tokens))


def plain_too(ids: np.ndarray) -> np.ndarray:
    return plain(ids)


def test_the_largest_id_is_handled(tmp_path: Path):
    tokens = TOKENS.astype(np.int64)
    tokens[tokens == 6] = 2**31 - 1
    records = slice_text([plain, plain_too], array(tmp_path, tokens), tmp_path / "out", settings=SETTINGS).table()
    assert records["token"].to_pylist() == tokens[1:].tolist()
    assert records["distance_2"].to_pylist() == [0] * 7 + [7] * 52  # from the eighth token on every pair is a repeat


def test_a_document_beyond_31_bits_is_refused_before_it_is_read(tmp_path: Path):
    with open(tmp_path / "long.bin", "wb") as file:
        file.truncate(2 * (2**31 + 5))  # a hole: it takes no room on disk, and read whole 12 GB
    with pytest.raises(ValueError, match="documents of at most 2,147,483,647 tokens, got one with up to 2,147,483,653"):
        next(read_token_array(tmp_path / "long.bin", None))


def test_windows_of_a_document_near_the_limit():
    """Offsets are 64 bits wide where documents stand, whatever is between: 3,000 tokens at the end of 2³¹ - 1."""
    last = 2**31 - 1
    windows = cut_windows(np.array([0, last - 3000]), last, Windowing(1024, 1024, "none"))
    own = windows.begin >= last - 3000
    assert windows.end.dtype == np.int64 and windows.end[own].tolist() == [last - 3000 + k for k in (1025, 2049, 3000)]


@pytest.mark.parametrize("engine", ["0", "1"])
def test_distances_in_a_long_document(engine: str, monkeypatch):
    """A pair that comes back after 300,000 others, none of which repeats."""
    monkeypatch.setenv("RECALLSCOPE_NUMBA", engine)
    tokens = np.concatenate([np.arange(300_001), [0, 1]]).astype(np.uint32)
    found = repeat_distance(tokens, np.array([0]), 2)
    assert np.flatnonzero(found).tolist() == [300_002] and found[-1] == 300_001
    assert tag(tokens, np.array([0]))["distance_2"][-1] == 300_001


def test_context_is_counted_in_the_window():
    windows = cut_windows(np.array([0]), 100, Windowing(16, 16, "none"))
    scored, context = visible_context(windows, 100)
    assert scored.sum() == 99 and context.max() == 16 and context.dtype == np.int32


@pytest.mark.parametrize("tokens", [0, -5, 2**20 + 1, 10**18])
def test_absurd_batches_are_refused(tokens: int, tmp_path: Path):
    with pytest.raises(ValueError, match=f"batch_tokens: 1 to 1,048,576, got {tokens}"):
        slice_text([plain, plain_too], array(tmp_path), tmp_path / "out", settings=SETTINGS, batch_tokens=tokens)
    assert not (tmp_path / "out").exists()


def test_memory_that_ends_is_one_line_and_what_was_scored_is_kept(tmp_path: Path, monkeypatch, capsys):
    def hungry(ids: np.ndarray) -> np.ndarray:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    def slice_it(*arguments, **options):
        return slice_text([plain, hungry], array(tmp_path), tmp_path / "out", settings=SETTINGS)

    monkeypatch.setattr(sliced, "slice_text", slice_it)
    with pytest.raises(SystemExit) as stopped:
        main(["slice", "--text", str(tmp_path), "--out", str(tmp_path / "out")])
    line = "model hungry: memory ends with one window of 16 tokens; choose a shorter one; what is finished is kept"
    assert stopped.value.code == 1 and capsys.readouterr().err.splitlines()[-1] == f"recallscope: {line}"
    assert [*(tmp_path / "out" / "work").glob("losses-plain-*")]
