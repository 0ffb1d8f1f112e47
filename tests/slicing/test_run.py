"""The whole pipeline on small text: its numbers from first principles, resuming, and every kind of bad input."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recallscope.slicing.attribution import attribute, read_atoms
from recallscope.slicing.records import read_records
from recallscope.slicing.run import OUTPUTS, slice_text
from recallscope.slicing.scoring import Windowing
from recallscope.slicing.settings import SliceSettings, convention_settings
from recallscope.text import Document

WORDS = "the cat sat on a mat and saw one red bird fly over that old house near my small green door".split()


def text(documents: int = 24, seed: int = 5) -> list[Document]:
    rng = np.random.default_rng(seed)
    return [Document(f"doc-{k}", " ".join(rng.choice(WORDS, int(rng.integers(20, 90))))) for k in range(documents)]


def steady(ids: np.ndarray) -> np.ndarray:
    """Loss of a token: its id, scaled."""
    return (ids[:, 1:] % 97 / 10).astype(np.float32)


def forgetful(ids: np.ndarray) -> np.ndarray:
    """As `steady`, and half a nat more where the pair of tokens occurred earlier in the window."""
    losses = steady(ids)
    for row, line in enumerate(ids.tolist()):
        seen = set()
        for t, pair in enumerate(pairwise(line)):
            losses[row, t] += 0.5 * (pair in seen)
            seen.add(pair)
    return losses


SETTINGS = SliceSettings(Windowing(16, 16), shard_tokens=300)


def run(bundled, out=None, models=(steady, forgetful), settings=SETTINGS, **more):
    arguments: dict[str, Any] = {"text": text(), "training_text": text(40, seed=9)} | more
    return slice_text(list(models), out=out, tokenizer=bundled, settings=settings, show_progress=False, **arguments)


def test_records_from_first_principles(bundled, tmp_path):
    table = run(bundled, tmp_path / "out").table()
    training = bundled.encode([d.text for d in text(40, seed=9)])
    counts: dict[tuple[int, int], int] = {}
    for tokens in training:
        for pair in pairwise(tokens.tolist()):
            counts[pair] = counts.get(pair, 0) + 1
    rows = iter(table.to_pylist())
    for number, tokens in enumerate(bundled.encode([d.text for d in text()])):
        x = tokens.tolist()
        for i, token in enumerate(x):
            row = next(rows)
            assert (row["document"], row["position"], row["token"]) == (number, i, token)
            window = i // 16  # disjoint windows of 16 new tokens; later ones read one token of the window before
            assert row["context"] == (i if window == 0 else i - window * 16 + 1)
            earlier = [j for j in range(1, i) if x[j - 1 : j + 1] == x[i - 1 : i + 1]]
            assert row["distance_2"] == (i - earlier[-1] if earlier else 0)
            assert row["count"] == (counts.get((x[i - 1], token), 0) if i else 0)
            assert row["loss_steady"] == np.float32(token % 97 / 10)
            assert np.isclose(
                row["loss_forgetful"] - row["loss_steady"], 0.5 if _seen_in_window(x, i) else 0, atol=1e-5
            )
    assert next(rows, None) is None


def _seen_in_window(x: list[int], i: int) -> bool:
    begin = max(i // 16 * 16 - 1, 0)
    return any(x[j - 1 : j + 1] == x[i - 1 : i + 1] for j in range(begin + 1, i)) if i else False


def test_the_whole_gap_is_repeats_when_the_model_forgets_repeats(bundled, tmp_path):
    run(bundled, tmp_path / "out")
    found = attribute(tmp_path / "out" / "atoms.parquet")
    rows = {row["slice"]: row for row in found.table.to_pylist()}
    repeats = rows["AR hit"], rows["repeat, frequent"]
    assert sum(row["share"] for row in repeats) == pytest.approx(1, abs=1e-6)
    assert all(row["difference"] == pytest.approx(0.5, abs=1e-5) for row in repeats if row["tokens"])
    assert rows["new, frequent"]["contribution"] == pytest.approx(0, abs=1e-6)
    table = read_records(tmp_path / "out").table()
    mean = (table["loss_forgetful"].to_numpy().astype(float) - table["loss_steady"].to_numpy()).mean()
    assert found.gap.value == pytest.approx(mean, rel=1e-9)


def test_outputs_and_their_metadata(bundled, tmp_path):
    records = run(bundled, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted([*OUTPUTS, "manifest.json"])
    assert records.models == ["steady", "forgetful"]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["totals"]["tokens"] == len(records.table())
    assert report["totals"]["documents"] == 24
    assert "doc-3" in read_atoms(tmp_path / "out" / "atoms.parquet")["document_id"].to_pylist()
    assert report["settings"]["training_tokens"] == sum(len(t) for t in bundled.encode([d.text for d in text(40, 9)]))


def test_shard_size_does_not_matter(bundled, tmp_path):
    one = run(bundled, tmp_path / "one", settings=SliceSettings(Windowing(16, 16), shard_tokens=10**6))
    many = run(bundled, tmp_path / "many", settings=SliceSettings(Windowing(16, 16), shard_tokens=50))
    assert one.table().equals(many.table())
    assert read_atoms(tmp_path / "one/atoms.parquet").equals(read_atoms(tmp_path / "many/atoms.parquet"))


class Killed(BaseException):
    pass


@pytest.mark.parametrize("after", [1, 3, 5])
def test_a_killed_run_goes_on_and_gives_the_same_report(bundled, tmp_path, after):
    calls = []

    def counted(ids: np.ndarray) -> np.ndarray:
        calls.append(ids.shape)
        if len(calls) == after:
            raise Killed
        return forgetful(ids)

    def healthy(ids: np.ndarray) -> np.ndarray:
        calls.append(ids.shape)
        return forgetful(ids)

    counted.__name__ = healthy.__name__ = "forgetful"
    run(bundled, tmp_path / "whole")
    with pytest.raises(Killed):
        run(bundled, tmp_path / "cut", (steady, counted))
    finished = len(list((tmp_path / "cut" / "work").glob("losses-*.npy")))
    shards = len(list((tmp_path / "cut" / "work").glob("shard-*.npz")))
    calls.clear()
    run(bundled, tmp_path / "cut", (steady, healthy))
    for name in ("report.json", "atoms.parquet", "records.parquet"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert shards > 4 and finished == shards + after - 1
    assert len(calls) == 2 * shards - finished  # one batch per shard: what was finished is not scored again


def test_a_finished_run_is_read_not_repeated(bundled, tmp_path):
    run(bundled, tmp_path / "out")

    def never(ids: np.ndarray) -> np.ndarray:
        raise AssertionError("scored again")

    never.__name__ = "forgetful"
    before = (tmp_path / "out" / "records.parquet").stat().st_mtime_ns
    run(bundled, tmp_path / "out", (steady, never))
    assert (tmp_path / "out" / "records.parquet").stat().st_mtime_ns == before


def test_without_out_the_files_go_with_the_result(bundled):
    records = run(bundled)
    path = records.path
    assert path.exists()
    del records
    assert not path.exists()


def test_losses_from_a_file_give_the_same_report(bundled, tmp_path):
    records = run(bundled, tmp_path / "models")
    table = records.table(["document", "position", "token", "loss_forgetful"])
    pq.write_table(table, tmp_path / "f.parquet")
    run(bundled, tmp_path / "file", (steady, f"forgetful={tmp_path / 'f.parquet'}"))
    one, other = (json.loads((tmp_path / d / "report.json").read_text()) for d in ("models", "file"))
    assert one["comparisons"] == other["comparisons"]


def test_losses_of_other_text_are_refused(bundled, tmp_path):
    table = run(bundled, tmp_path / "models").table(["document", "position", "token", "loss_forgetful"])

    def check(changed: pa.Table, message: str) -> None:
        pq.write_table(changed, tmp_path / "f.parquet")
        with pytest.raises(ValueError, match=message):
            run(bundled, tmp_path / "x", (steady, f"forgetful={tmp_path / 'f.parquet'}"))
        assert not (tmp_path / "x" / "records.parquet").exists()
        __import__("shutil").rmtree(tmp_path / "x", ignore_errors=True)

    tokens = table["token"].to_numpy().copy()
    tokens[100] += 1
    check(table.set_column(2, "token", pa.array(tokens)), "other text or another tokenizer: its tokens differ")
    check(table.slice(0, len(table) - 5), r"lacks 5 of \d+ scored tokens")
    check(table.drop_columns(["document"]), "needs columns document, position and loss")
    positions = table["position"].to_numpy().copy()
    positions[10] = 5000
    check(table.set_column(1, "position", pa.array(positions)), "beyond its document's end")
    path = tmp_path / "f.parquet"
    pq.write_table(table, path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="is cut off or not Parquet"):
        run(bundled, tmp_path / "x", (steady, f"forgetful={path}"))


def test_another_run_in_the_folder_is_refused_untouched(bundled, tmp_path):
    run(bundled, tmp_path / "out")
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    with pytest.raises(ValueError, match=r"holds a different run \(differs in .*window: there 16, here 8"):
        run(bundled, tmp_path / "out", settings=SliceSettings(Windowing(8, 8), shard_tokens=300))
    with pytest.raises(ValueError, match="differs in text"):
        run(bundled, tmp_path / "out", text=text(seed=6))
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "records.parquet").write_bytes(b"precious")
    with pytest.raises(ValueError, match=r"holds a records.parquet of an unknown run"):
        run(bundled, tmp_path / "foreign")
    assert (tmp_path / "foreign" / "records.parquet").read_bytes() == b"precious"


def test_bad_input_is_named_and_leaves_nothing(bundled, tmp_path):
    def broken(ids: np.ndarray) -> np.ndarray:
        return np.where(ids[:, 1:] % 2 == 0, np.nan, 1.0)

    cases: list[tuple[dict[str, Any], str]] = [
        ({"models": (steady,)}, "models: at least two"),
        ({"models": (steady, steady)}, "models: names must differ, got steady"),
        ({"models": (steady, "forgetful=none.parquet")}, "losses: none.parquet does not exist"),
        ({"text": []}, "text: at least one document"),
        ({"text": tmp_path / "none.txt"}, "does not exist"),
        (
            {"settings": SliceSettings(Windowing(16, 16)), "training_text": None, "counts": tmp_path / "c"},
            "counts: .* does not exist",
        ),
    ]
    for arguments, message in cases:
        with pytest.raises(ValueError, match=message):
            run(bundled, tmp_path / "out", **arguments)
        assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="model broken: loss NaN at token"):
        run(bundled, tmp_path / "nan", (steady, broken))
    assert not (tmp_path / "nan" / "records.parquet").exists()


def test_text_too_short_for_anything(bundled, tmp_path):
    rule = SliceSettings(Windowing(16, 16, "none"))
    with pytest.raises(ValueError, match="text: too short, no token can be scored"):
        run(bundled, tmp_path / "out", text=["the"], settings=rule)


def test_shorter_than_a_window_is_fine(bundled):
    assert len(run(bundled, text=["the cat sat", "a mat and"], settings=SliceSettings()).table()) > 4


def test_one_document_gives_values_without_intervals(bundled, tmp_path):
    run(bundled, tmp_path / "out", text=text(1))
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["comparisons"][0]["gap"]["low"] is None
    assert any("one document" in note for note in report["notes"])
    with pytest.raises(ValueError, match="one document"):
        attribute(tmp_path / "out" / "atoms.parquet")


def test_token_arrays_need_no_tokenizer(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "t.npy", rng.integers(0, 50, 2000).astype(np.uint16))
    rule = SliceSettings(Windowing(16, 16, "none"), shard_tokens=300)
    records = slice_text([steady, forgetful], tmp_path / "t.npy", tmp_path / "out", settings=rule)
    assert len(records.table()) == 1999
    assert records.table()["count"].null_count == 1999


def test_memory_of_records_is_bounded_by_the_shard(bundled, tmp_path):
    run(bundled, tmp_path / "out")
    file = pq.ParquetFile(tmp_path / "out" / "records.parquet")
    assert file.num_row_groups > 3
    assert max(file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)) < 500


def test_conventions():
    jrt = convention_settings("jrt")
    assert (jrt.windowing.window, jrt.scored, jrt.inclusive) == (2048, "last half", False)
    assert convention_settings("zoology").per_million == 0.125
    with pytest.raises(ValueError, match="convention: one of zoology, jrt, got 'based'"):
        convention_settings("based")
