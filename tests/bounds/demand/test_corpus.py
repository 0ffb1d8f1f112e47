"""The demand of a corpus from records in every form: against a plain loop over tokens; streaming, tables, command."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from recallscope import look
from recallscope.bounds.demand import (
    carried_gain,
    demand,
    demand_evidence,
    format_demand,
    gain_limit,
    spans,
    state_evidence,
)
from recallscope.bounds.demand import records as records_module
from recallscope.bounds.demand.plots import gain_against_state, served_against_size
from recallscope.bounds.demand_command import demand_command
from recallscope.slicing.records import read_records, write_records
from recallscope.slicing.scoring.windows import Windowing, cut_windows, visible_context
from recallscope.slicing.tagging import tag
from typer.testing import CliRunner

Columns = dict[str, np.ndarray]
LENGTHS = (150, 1, 90, 40, 201)
TRAINING = {"training_tokens": 16_000_000}  # at 0.125 per million, two occurrences are rare


def corpus(rule: Windowing | None = None, seed: int = 0) -> Columns:
    """Records of five documents, as a run writes them; losses are random."""
    rng = np.random.default_rng(seed)
    total, starts = sum(LENGTHS), np.cumsum((0, *LENGTHS))[:-1]
    tokens = rng.zipf(1.5, total) % 12
    scored, context = visible_context(cut_windows(starts, total, rule or Windowing(1024, 1024)), total)
    document = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    rows: Columns = {"document": document, "position": np.arange(total) - starts[document], "token": tokens}
    rows |= {"context": context, "count": rng.integers(-1, 6, total), **tag(tokens, starts)}
    rows |= {"loss_whole": rng.exponential(1.0, total), "loss_less": rng.exponential(3.0, total)}
    return {name: values[scored] for name, values in rows.items()}


def written(path: Path, rows: Columns, pieces: int = 1, metadata: dict[str, Any] | None = None) -> Path:
    """As `records.parquet` of so many row groups."""
    shards = ({k: v[part] for k, v in rows.items()} for part in np.array_split(np.arange(rows["token"].size), pieces))
    write_records(path, ["whole", "less"], {"models": ["whole", "less"], **(metadata or {})}, shards)
    return path


def hits_by_loop(rows: Columns, rare: int | None) -> list[tuple[int, int, int, int]]:
    """(document, window's start, p, i) of each hit."""
    found = []
    for r in range(rows["position"].size):
        i, context, distance = (int(rows[name][r]) for name in ("position", "context", "distance_2"))
        sees = distance and i - distance - 1 >= i - context  # the earlier pair begins in the window
        if sees and (rare is None or 0 <= rows["count"][r] <= rare):
            found.append((int(rows["document"][r]), i - context, i - distance, i))
    return found


def recent_by_loop(rows: Columns, hits: list[tuple[int, int, int, int]]) -> np.ndarray:
    """Different bigrams of p .. i - 1, by collecting them."""
    pairs = {}
    for document, position, before, token in zip(
        *(rows[name].tolist() for name in ("document", "position")), [-1, *rows["token"]], rows["token"], strict=False
    ):
        pairs[document, position] = (before, token)
    return np.array([len({pairs[document, t] for t in range(p, i)}) for document, _, p, i in hits])


def greatest(parts: list[tuple[int, int]], places: int) -> int:
    """Most intervals with `places` over any point, by dropping the last end."""
    held, dropped = [], 0
    for begin, end in sorted(parts):
        held = [*(e for e in held if e > begin), end]
        if len(held) > places:
            held.remove(max(held))
            dropped += 1
    return len(parts) - dropped


RULES = [Windowing(), Windowing(64, 64), Windowing(64, 16), Windowing(50, 50, "each-window"), Windowing(64, 20, "none")]


@pytest.mark.parametrize(("rule", "rare"), [(RULES[0], None), *((rule, 2) for rule in RULES)], ids=str)
def test_hits_served_against_a_loop_over_tokens(tmp_path, rule, rare):
    rows = corpus(rule)
    path = written(tmp_path / "records.parquet", rows, 3, TRAINING if rare else None)
    found, hits = demand(path), hits_by_loop(rows, rare)
    assert (found.documents, found.tokens, found.hits) == (len(set(rows["document"])), rows["token"].size, len(hits))
    recent = recent_by_loop(rows, hits)
    windows: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for document, start, p, i in hits:
        windows.setdefault((document, start), []).append((p, i))
    for row in found.table([0, 1, 2, 5, 30, 1000]).to_pylist():
        size = row["size"]
        assert row["window"] == sum(i - p <= size for _, _, p, i in hits)
        assert row["lru"] == np.count_nonzero(recent <= size)
        assert row["best"] == sum(greatest(parts, size) for parts in windows.values())
        assert row["best_share"] == row["best"] / len(hits)


@pytest.mark.parametrize("reach", [None, 7])
def test_bits_against_each_document_alone(reach):
    """Gains expected elsewhere, by power of two of the distance, worked out hit by hit."""
    rows = corpus(seed=1)
    hits = hits_by_loop(rows, None)
    start = {d: int(np.argmax(rows["document"] == d)) for d, *_ in hits}
    losses = [(rows["loss_less"][start[d] + i], rows["loss_whole"][start[d] + i]) for d, _, _, i in hits]
    gain = np.array([max(a - b, 0) / math.log(2) for a, b in losses])
    document, bins = np.array([h[0] for h in hits]), np.array([int(math.log2(i - p)) for _, _, p, i in hits])
    got = demand(rows, "less", reach=reach).at_states([0, 10.5, 100, 1e5])
    for at in got:
        carried = limit = 0.0
        for one in set(document):
            mine, others = document == one, document != one
            same = [others & (bins == b) for b in bins[mine]]
            expected = [gain[alike if alike.any() else others].mean() for alike in same]
            begin, end = spans([h[2] for h in hits if h[0] == one], [h[3] for h in hits if h[0] == one], reach)
            carried += carried_gain(begin, end, gain[mine], at.state_bits).bits
            cuts = carried_gain(begin, end, expected, at.state_bits).cuts
            limit += gain_limit(begin, end, gain[mine], at.state_bits, cuts)
        assert at.carried_bits == pytest.approx(carried, rel=1e-9)
        assert at.limit_bits == pytest.approx(limit, rel=1e-9) and at.limit_bits >= at.carried_bits - 1e-6
        assert at.gain_bits == pytest.approx(gain.sum(), rel=1e-12)
        assert at.memoryless_loss == pytest.approx(np.mean([a for a, _ in losses]), rel=1e-12)
        assert at.lowest_loss == pytest.approx(at.memoryless_loss - limit * math.log(2) / len(hits), rel=1e-9)
    assert got[-1].limit_bits == pytest.approx(gain.sum(), rel=1e-12), "a large state gains everything"


def test_records_in_every_form_say_the_same(tmp_path, monkeypatch):
    rows = corpus(Windowing(64, 64))
    rows["loss_whole"], rows["loss_less"] = (rows[name].astype(np.float32) for name in ("loss_whole", "loss_less"))
    path = written(tmp_path / "records.parquet", rows)
    expected, states = demand(path), [0, 30]
    forms = [tmp_path, str(path), read_records(path), expected_table(path), rows | {"count": np.full(482, 0)}]
    forms += [written(tmp_path / f"{n}.parquet", rows, n) for n in (2, 50)]
    for form in forms:
        for block in (1, 200, 1 << 18):
            monkeypatch.setattr(records_module, "_BLOCK", block)
            found = demand(form)
            assert format_demand(found) == format_demand(expected)
            for one, other in zip(found.at_states(states), expected.at_states(states), strict=True):
                assert one.limit_bits == pytest.approx(other.limit_bits, rel=1e-9)


def expected_table(path: Path) -> pa.Table:
    return pq.read_table(path)


def test_marked_hits_without_counts_or_windows():
    rows = corpus()
    chosen = {name: rows[name] for name in ("document", "position", "distance_2")}
    every = demand(chosen)
    assert every.hits == np.count_nonzero(rows["distance_2"])
    marked = demand(chosen | {"hit": rows["position"] % 2 == 0})
    assert marked.hits == np.count_nonzero((rows["distance_2"] > 0) & (rows["position"] % 2 == 0))
    assert (marked.table()["best"].to_numpy() <= every.table()["best"].to_numpy()).all()


def test_sizes_above_the_largest_memory_told_apart():
    found = demand(corpus(), most=4)
    assert found.table([4, 5]).select(["best", "best_share"]).to_pylist()[1] == {"best": None, "best_share": None}
    assert found.table([4]).to_pylist()[0]["best"] == demand(corpus()).table([4]).to_pylist()[0]["best"]
    assert found.table([10**9]).to_pylist()[0]["window"] == found.hits
    assert "-" in format_demand(found, sizes=[5]).splitlines()[-1]


def test_rows_of_evidence():
    found = demand(corpus())
    rows = demand_evidence(found, "five documents", sizes=[1, 8]).to_pylist()
    assert [(row["memory"], row["size"]) for row in rows[:4]] == [("best", 1), ("lru", 1), ("window", 1), ("best", 8)]
    assert {row["unit"] for row in rows} == {"hits"} and {row["kind"] for row in rows} == {"derived"}
    assert rows[3]["value"] == found.best[8] and rows[3]["n"] == found.hits


def test_rows_of_evidence_in_bits():
    """Worked out from the records: the mean loss on the hits, and what is left of it after the gain."""
    rows = corpus()
    found, hits = demand(rows, "less"), hits_by_loop(rows, None)
    at = [int(np.flatnonzero((rows["document"] == d) & (rows["position"] == i))[0]) for d, _, _, i in hits]
    less, whole = rows["loss_less"][at], rows["loss_whole"][at]
    table = state_evidence(found, found.at_states([8]), "five documents").to_pylist()
    got = {(row["metric"], row["bound"]): row["value"] for row in table}
    assert got["loss on hits", "memoryless"] == pytest.approx(less.mean(), rel=1e-12)
    assert got["loss on hits", "whole context"] == pytest.approx(np.minimum(less, whole).mean(), rel=1e-12)
    gain = np.maximum(less - whole, 0).mean() / math.log(2)
    assert got["gain per hit", "whole context"] == pytest.approx(gain, rel=1e-12)
    (limit,) = found.at_states([8])
    assert got["loss on hits", "limit"] == pytest.approx(limit.lowest_loss, rel=1e-12)
    assert got["gain per hit", "carried"] * len(hits) == pytest.approx(limit.carried_bits, rel=1e-12)
    assert {row["unit"] for row in table} == {"bits", "nats"} and {row["memoryless"] for row in table} == {"less"}
    assert state_evidence(found, [], "five documents").num_rows == 0


def test_figures_are_in_the_house_look():
    found = demand(corpus())
    figure: Any = served_against_size(found.table())
    assert figure.layout.template.layout == look.template().layout
    assert [len(trace.x) for trace in figure.data] == [11, 11, 11]
    assert figure.data[0].y[3] == found.best[8] / found.hits and figure.data[0].mode == "lines"
    figure = gain_against_state(found.state_table([0, 16, 64]))
    assert [list(trace.x) for trace in figure.data] == [[16, 64]] * 3
    assert all(a >= b for a, b in zip(figure.data[0].y, figure.data[2].y, strict=True))


def run(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(demand_command)
    return CliRunner().invoke(app, list(arguments))


def test_the_command(tmp_path):
    path = written(tmp_path / "records.parquet", corpus())
    result = run("--records", str(path), "--state-bits", "8,64", "--json", "--out", str(tmp_path / "demand.jsonl"))
    assert result.exit_code == 0, result.output
    said = json.loads(result.output.splitlines()[-1])
    found = demand(path)
    assert said["hits"] == found.hits and said["models"] == ["less", "whole"]
    assert [row["best"] for row in said["sizes"]] == found.table()["best"].to_pylist()
    assert [at["limit_bits"] for at in said["states"]] == [at.limit_bits for at in found.at_states([8, 64])]
    metrics = [json.loads(line)["metric"] for line in (tmp_path / "demand.jsonl").read_text().splitlines()]
    assert [metrics.count(name) for name in ("hits served", "gain per hit", "loss on hits")] == [33, 6, 6]
    assert "plotly" in (tmp_path / "demand.html").read_text(encoding="utf-8")


def test_the_command_tags_a_text(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("the old man and the old sea and the old man\n")
    result = run("--text", str(text), "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.output.splitlines()[-1])
    assert said["documents"] == 1 and said["states"] == []
    assert said["hits"] == 3, "and the, the old, old man; the first word has no space before it"
    assert isinstance(run("--text", "a", "--records", "b").exception, ValueError)


def broken(**changed: Any) -> Columns:
    return corpus() | changed


@pytest.mark.parametrize(
    ("records", "arguments", "match"),
    [
        (3, {}, "records: a path, Records, an Arrow table or a dict of arrays, got int"),
        (
            {"document": np.zeros(2, int)},
            {},
            "records: document, position, distance_2 are needed, position, distance_2",
        ),
        (broken(distance_2=np.zeros(482, int)), {}, "records: no hits among 482 tokens"),
        (broken(position=np.arange(482) // 2), {}, "position: rises by one in document 0, got 0 after 0"),
        (broken(distance_2=np.arange(482) * (np.arange(482) == 200)), {}, "distance: to a record of the same document"),
        (broken(loss_less=np.full(482, np.nan)), {}, "records: loss_less is not finite in document 0"),
        (broken(), {"memoryless": "based"}, "memoryless: one of whole, less, got 'based'"),
        (broken(), {"whole": "less", "memoryless": "less"}, "memoryless: another model than whole, .* got 'less'"),
        (broken(), {"most": 0}, "most: a finite number of at least 1, got 0"),
        (broken(), {"reach": 0}, "reach: a finite number of at least 1, got 0"),
    ],
)
def test_bad_records(records, arguments, match):
    with pytest.raises(ValueError, match=match):
        demand(records, **arguments)


def test_bad_questions(tmp_path):
    found = demand(corpus())
    with pytest.raises(ValueError, match="state_bits: a finite number of at least 0, got -1"):
        found.at_state_bits(-1)
    with pytest.raises(ValueError, match=r"sizes: whole numbers of at least 0, got \[-1\]"):
        found.table([-1])
    alone = {name: values for name, values in corpus().items() if name != "loss_less"}
    with pytest.raises(ValueError, match="records: bits need the losses of two models"):
        demand(alone).at_state_bits(8)
    with pytest.raises(ValueError, match=r"state_bits: numbers separated by commas, got '8;9'"):
        demand_command(state_bits="8;9")


def test_broken_files(tmp_path):
    with pytest.raises(ValueError, match=r"records: cannot read .*none.parquet as Parquet"):
        demand(tmp_path / "none.parquet")
    path = written(tmp_path / "records.parquet", corpus(), 4)
    data = bytearray(path.read_bytes())
    data[200 : len(data) // 2] = bytes(len(data) // 2 - 200)
    path.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=r"records: .*records.parquet, row group \d is damaged"):
        demand(path)
    missing = pa.table(corpus()).set_column(0, "document", pa.array([None] + [0] * 481, pa.int32()))
    with pytest.raises(ValueError, match="records: document has 1 missing values"):
        demand(missing)
