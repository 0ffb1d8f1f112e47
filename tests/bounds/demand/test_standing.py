"""Where models stand on the demand: samples against a loop, gaps against streams whose state is known by counting."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from recallscope.bounds.demand import demand
from recallscope.bounds.demand.sample import Sample, sampled
from recallscope.bounds.demand.standing import closing, known_state, standings
from recallscope.bundled import bundled_folder
from recallscope.slicing.attribution import atoms, write_atoms
from recallscope.slicing.scoring.windows import Windowing

from .test_corpus import LENGTHS, Columns, corpus, hits_by_loop, written

RULE = Windowing(64, 16)


def finished(folder: Path, rows: Columns, threshold: int | None, scored: str = "all") -> Path:
    """A run's folder: records of three row groups, and atoms."""
    metadata = {"ngram": 2, "window": 64, "documents": {"count": len(LENGTHS)}}
    path = written(folder / "records.parquet", rows, 3, metadata | {"training_tokens": threshold and 16_000_000})
    write_atoms(atoms(path, threshold, scored=scored), folder / "atoms.parquet")
    return folder


def pairs_of(sample: Sample) -> list[tuple[int, int]]:
    """(document, position) of the marked repeats of a sample."""
    rows = sample.rows
    marked = np.flatnonzero(rows["hit"].to_numpy(zero_copy_only=False))
    columns = [rows[name].to_numpy()[marked] for name in ("document", "position", "distance_2", "context")]
    return [(d, i) for d, i, lag, seen in np.transpose(columns).tolist() if 0 < lag < seen]


@pytest.mark.parametrize(("threshold", "scored"), [(None, "all"), (2, "all"), (3, "last half")])
def test_a_sample_of_everything_has_the_hits_of_the_report(tmp_path, threshold, scored):
    rows = corpus(RULE)
    sample = sampled(finished(tmp_path, rows, threshold, scored), 10**6)
    hits = [(d, i, i - start) for d, start, _, i in hits_by_loop(rows, threshold)]
    wanted = [(d, i) for d, i, context in hits if scored == "all" or context >= 32]
    assert pairs_of(sample) == wanted and sample.hits == len(wanted) == demand(sample.rows).hits
    counted = rows["document"][(rows["context"] >= 32) | (scored == "all")]
    assert (sample.documents, sample.documents_of) == (len(set(counted)), len(set(counted)))
    assert sample.kind == ("repeat" if threshold is None else "AR hit")
    assert sample.length == rows["context"].max()


@pytest.mark.parametrize("wanted", [1, 40, 200])
def test_a_sample_is_whole_documents_cut_at_the_wanted_hits(tmp_path, wanted):
    rows = corpus(RULE)
    sample = sampled(finished(tmp_path, rows, None), wanted)
    hits = hits_by_loop(rows, None)
    found, documents = pairs_of(sample), sorted(set(sample.rows["document"].to_pylist()))
    assert len(found) == sample.hits == wanted
    assert found == [(d, i) for d, _, _, i in hits if d in documents][:wanted]
    for document in documents[:-1]:
        assert sample.rows["document"].to_pylist().count(document) == np.count_nonzero(rows["document"] == document)


def test_a_sample_needs_a_finished_run(tmp_path):
    with pytest.raises(ValueError, match=r"records: .* does not exist"):
        sampled(tmp_path, 5)
    with pytest.raises(ValueError, match="wanted: a finite number of at least 1, got 0"):
        sampled(tmp_path, 0)


# ---- closing the gap


def repeated(pairs: int, bits: float, documents: int = 4) -> Columns:
    """Documents a b c d .. a b c d: each asks at one moment for `pairs` associations of so many bits, and no less."""
    half = np.arange(pairs + 1)
    tokens = np.tile(half, 2)  # `pairs` bigrams come again; all of them span the middle
    position = np.tile(np.arange(tokens.size), documents)
    lag = np.where(np.arange(tokens.size) > pairs + 1, pairs + 1, 0)
    lost = np.where(lag > 0, bits * math.log(2), 1.0)
    rows: dict[str, Any] = {
        "document": np.repeat(np.arange(documents), tokens.size),
        "position": position,
        "distance_2": np.tile(lag, documents),
        "loss_whole": np.tile(np.where(lag > 0, 0.0, 1.0), documents),
        "loss_less": np.tile(lost, documents),
    }
    return rows


@pytest.mark.parametrize(("pairs", "bits", "more_than", "enough"), [(5, 3.0, 8, 16), (8, 2.0, 8, 16), (1, 0.5, 0, 1)])
def test_the_state_that_closes_a_gap_is_what_the_stream_asks_at_one_moment(pairs, bits, more_than, enough):
    """All hits span one cut, so the gap is closed at `pairs` times `bits` bits: 15, 16 and half a bit."""
    found = closing(repeated(pairs, bits), "less", "whole")
    assert found["gap"] == pytest.approx(bits * math.log(2), rel=1e-12)
    assert (found["more_than"], found["enough"]) == (more_than, enough)
    for row in found["states"]:
        left = bits * math.log(2) * max(1 - row["state_bits"] / (pairs * bits), 0)
        assert row["lowest_loss"] == pytest.approx(left, abs=1e-9)
        assert row["carried_loss"] == pytest.approx(left, abs=1e-9)


def test_limits_never_cross_and_end_where_all_is_carried():
    found = closing(corpus(seed=3), "less", "whole")
    lowest, carried = (np.array([row[name] for row in found["states"]]) for name in ("lowest_loss", "carried_loss"))
    assert (lowest <= carried + 1e-9).all() and lowest[-1] == pytest.approx(carried[-1], abs=1e-9)
    assert (np.diff(carried) <= 1e-12).all()
    assert 0 <= found["more_than"] < found["enough"]


def test_no_gap_nothing_to_close():
    found = closing(corpus(seed=3), "whole", "less")
    assert found["gap"] < 0 and found["states"] == [] and found["more_than"] is None and found["enough"] is None


# ---- states


def test_losses_are_means_over_the_hits_and_states_are_those_of_the_wiring(tmp_path):
    rows = corpus(RULE)
    sample = sampled(finished(tmp_path, rows, 2), 10**6)
    table = standings(sample, {"whole": "window", "less": tmp_path / "losses.parquet"})
    at = {(d, i): k for k, (d, i) in enumerate(zip(rows["document"].tolist(), rows["position"].tolist(), strict=True))}
    for row in table:
        mine = [rows[f"loss_{row['model']}"][at[d, i]] for d, _, _, i in hits_by_loop(rows, 2)]
        assert row["loss"] == pytest.approx(np.mean(np.asarray(mine, np.float32), dtype=np.float64), rel=1e-6)
    kept = 4 * 2 * 64 * 256  # four layers' keys and values of 64 tokens and 256 channels, whatever the length
    assert [table[0][name] for name in ("state_elements", "element_bits", "state_bits")] == [kept, 32, 32 * kept]
    assert [table[1][name] for name in ("state_elements", "element_bits", "state_bits")] == [None] * 3


def test_which_states_are_known(tmp_path):
    assert known_state("attention", 100) == (4 * 2 * 100 * 256, 32)
    assert known_state(bundled_folder("attention"), 100) == (4 * 2 * 100 * 256, 32)
    llama = {"model_type": "llama", "vocab_size": 100, "hidden_size": 64, "num_hidden_layers": 3}
    llama |= {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 128}
    written_as = (("a", '"bfloat16"', None, 16), ("b", "null", None, 32), ("c", "null", "float16", 16))
    for name, text, dtype, bits in written_as:
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(_json(llama).replace("}", f', "dtype": {text}}}'))
        assert known_state(str(tmp_path / name), 10, dtype) == (3 * 2 * 10 * 2 * 16, bits)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"model_type": "of my own"}')
    for unknown in (tmp_path / "other", "owner/name", "mine=losses.parquet", lambda ids: ids):
        assert known_state(unknown, 10) is None


def _json(config: dict[str, Any]) -> str:
    return str(config).replace("'", '"')


def test_records_of_any_form_have_a_gap():
    assert closing(pa.table(repeated(3, 1.0)), "less", "whole")["enough"] == 4
