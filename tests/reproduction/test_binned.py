"""The rows of JRT, Figure 3, from records of random tokens, against sums written out."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from recallscope.reproduction import jrt_figure3_statements
from recallscope.reproduction.binned import recall_panels
from recallscope.reproduction.plots import loss_by_count_and_distance
from recallscope.slicing.attribution import atoms

FIGURES = Path(__file__).parents[2] / "paper_figures"
WINDOW, SIZE = 32, 960


@pytest.fixture(scope="module")
def tokens() -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    position = np.tile(np.arange(1, SIZE // 3 + 1), 3)
    context = (position - 1) % WINDOW + 1
    distance = np.minimum(random.integers(0, 30, SIZE), context - 1).clip(0)
    return {
        "document": np.repeat([0, 1, 2], SIZE // 3), "position": position, "context": context, "distance": distance,
        "count": random.integers(0, 5, SIZE), "a": random.random(SIZE), "b": random.random(SIZE),
    }  # fmt: skip


@pytest.fixture(scope="module")
def records(tokens) -> pa.Table:
    """Windows of 32 tokens; at 8 M training tokens the paper's rate is 0.39 occurrences: rare is never."""
    names = {"document": "document", "position": "position", "context": "context", "distance_2": "distance"}
    columns: dict = {name: tokens[of].astype(np.int32) for name, of in names.items()}
    columns |= {"opportunity": np.zeros(SIZE, np.int32), "count": tokens["count"]}
    columns |= {f"loss_{name}": tokens[name].astype(np.float32) for name in "ab"}
    about = {"models": ["a", "b"], "window": WINDOW, "training_tokens": 8_000_000}
    return pa.table(columns).replace_schema_metadata({b"recallscope": json.dumps(about).encode()})


def test_rows_are_those_of_the_protocol(tokens, records):
    """Appendix B.4 on half the window: the last 16 of 32 tokens; far is 16 tokens or more; other is no rare repeat."""
    rows = runpy.run_path(str(FIGURES / "jrt_slices_rows.py"))["rows_of"](records).to_pylist()
    scored = tokens["context"] >= WINDOW // 2
    hit = (tokens["distance"] > 0) & (tokens["count"] == 0)
    panels = {"recall by frequency": (tokens["distance"] >= 16, "count"), "recall by distance": (hit, "distance"),
              "other": (~hit, "count")}  # fmt: skip
    seen = 0
    for name, (inside, by) in panels.items():
        known = {(r["subject"], r["metric"], r[f"{by}_low"]): r for r in rows if r["slice"] == name}
        for low, high in ((0, 0), (1, 1), (2, 3), (4, 7), (8, 15), (16, 31)):
            own = scored & inside & (tokens[by] >= low) & (tokens[by] <= high)
            if not own.any():
                assert ("a", "loss", low) not in known
                continue
            assert known["a", "loss", low]["n"] == own.sum() and known["a", "loss", low][f"{by}_high"] == high
            assert known["b", "loss", low]["value"] == pytest.approx(tokens["b"][own].mean(), rel=1e-5)
            gap = known["b", "difference in loss", low]["value"]
            assert gap == pytest.approx((tokens["b"] - tokens["a"])[own].mean(), abs=1e-5)
            seen += 1
    assert seen >= 10 and {row["rare_count"] for row in rows} == {0} and {row["documents"] for row in rows} == {3}


def test_half_a_window_is_a_power_of_two(records):
    with pytest.raises(ValueError, match="half_window: a power of two, got 24"):
        recall_panels(atoms(records, 0), 24)


def gap(model, name, low, value, spread=0.1, n=200):
    by = "distance" if name == "recall by distance" else "count"
    return {"subject": model, "metric": "difference in loss", "slice": name, f"{by}_low": low, "n": n, "value": value,
            "low": value - spread, "high": value + spread}  # fmt: skip


def test_statements_by_hand():
    """The gap on far recall falls with the count in 5 bins of 6; bins of few tokens are left out."""
    rows = [gap("based", "recall by frequency", low, 3 - k) for k, low in enumerate((0, 1, 2, 4, 8, 16))]
    rows += [gap("based", "other", low, 0.5) for low in (0, 1, 2, 4, 8, 16)]
    near = ((8, 0.5), (32, 1.0), (64, 3.0), (128, 2.0))
    rows += [gap("based", "recall by distance", low, value) for low, value in near]
    rows += [gap("based", "recall by distance", 256, -9.0, n=99)]
    fall, larger, beyond = jrt_figure3_statements(rows)
    assert fall["value"] == pytest.approx(-1) and fall["n"] == 6
    assert larger["value"] == pytest.approx(50) and larger["holds"] is False
    assert beyond["value"] == pytest.approx(1.0) and beyond["holds"] is True and beyond["n"] == 800
    wide = [row | {"low": row["value"] - 2, "high": row["value"] + 2} for row in rows]
    assert jrt_figure3_statements(wide)[2]["holds"] is False
    with pytest.raises(ValueError, match="rows: bins of the distance on both sides of 64 tokens for 'based'"):
        jrt_figure3_statements([row for row in rows if row.get("distance_low", 0) < 64])


def test_the_committed_rows_are_drawn_as_perplexities():
    from recallscope.evidence import read_evidence

    table = read_evidence(FIGURES / "evidence" / "jrt_slices.jsonl")
    figure: Any = loss_by_count_and_distance(table)
    rows = [row for row in table.to_pylist() if row["metric"] == "loss" and row["n"] >= 30]
    drawn = sorted(round(float(y), 9) for trace in figure.data for y in trace.y)
    assert drawn == sorted(round(float(np.exp(row["value"])), 9) for row in rows)
