"""The rows behind Zoology's Figure 1, from records of random tokens."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from recallscope.slicing.attribution import atoms

FIGURES = Path(__file__).parents[2] / "paper_figures"


def test_rows_of_the_slices_are_sums_over_tokens():
    """Three documents of random tokens, against sums written out."""
    random, size = np.random.default_rng(0), 600
    document, count = np.repeat([0, 1, 2], size // 3), random.integers(0, 6, size)
    position = np.tile(np.arange(1, size // 3 + 1), 3)
    distance = np.minimum(random.integers(0, 5, size), position - 2).clip(0)
    loss = random.random((2, size)).astype(np.float32)
    tags = {"document": document, "position": position, "context": position, "distance_2": distance}
    columns: dict = {name: values.astype(np.int32) for name, values in tags.items()}
    columns |= {"opportunity": np.zeros(size, np.int32), "count": count, "loss_a": loss[0], "loss_b": loss[1]}
    records = pa.table(columns).replace_schema_metadata(
        {b"recallscope": json.dumps({"models": ["a", "b"], "window": 256, "training_tokens": 8_000_000}).encode()}
    )
    script, made = runpy.run_path(str(FIGURES / "bigram_slices_rows.py")), atoms(records)
    rows = script["losses"](made, ["a", "b"])
    for low, high in ((0, 0), (1, 1), (2, 3), (4, 7)):
        for name, inside in (("repeated", distance > 0), ("new", distance == 0)):
            own = inside & (count >= low) & (count <= high)
            known = {(r["subject"], r["metric"]): r for r in rows if r["slice"] == name and r["count_low"] == low}
            assert known["b", "loss"]["value"] == pytest.approx(loss[1][own].mean(), rel=1e-5)
            assert known["b", "difference in loss"]["value"] == pytest.approx((loss[1] - loss[0])[own].mean(), abs=1e-5)
            assert known["a", "loss"]["n"] == own.sum() and ("a", "difference in loss") not in known
    found = {row["distance_low"]: row["value"] for row in script["distances"](made)}
    assert found == {1: (distance == 1).sum(), 2: ((distance == 2) | (distance == 3)).sum(), 4: (distance == 4).sum()}
