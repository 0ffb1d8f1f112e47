"""Zoology (arXiv 2312.04927), Figure 2: accuracy against width, and what of a sweep can stand beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recallscope.reproduction.statements import Row, Spread, spread, statement
from recallscope.training.sweeps.plots.points import accuracy_rows

if TYPE_CHECKING:
    import pyarrow as pa

MODELS = {"attention": "Attention", "base_conv": "BaseConv", "h3": "H3", "hyena": "Hyena"}
"""Mixers of ours that are in the figure; RWKV-4 is not in the sweep."""


def zoology_figure2_points(published: pa.Table, swept: pa.Table) -> list[Row]:
    """Published points, and own ones of two layers at the lengths of the figure, of the test with the fewest pairs.

    `model` is the name in the figure. The published number is the best of four rates with one seed; ours is the
    best of all rates, mean over seeds, from the worst to the best seed. The own vocabulary is smaller and the pairs
    are more, as `vocabulary` and `pairs` say.
    """
    rows = [row | {"model": row["subject"]} for row in published.to_pylist() if row["metric"] == "accuracy"]
    lengths = {row["length"] for row in rows}
    own = [row for row in accuracy_rows(swept, None) if row["layers"] == 2 and row["mixer"] in MODELS]
    own = [row for row in own if row["length"] in lengths]
    fewest = {
        length: min(row["pairs"] for row in own if row["length"] == length) for length in {r["length"] for r in own}
    }
    for subject in dict.fromkeys(row["subject"] for row in own):
        for length, pairs in sorted(fewest.items()):
            test = [row for row in own if (row["subject"], row["length"], row["pairs"]) == (subject, length, pairs)]
            rows.append(_best(test))
    return rows


def _best(test: list[Row]) -> Row:
    """The rate with the highest mean over seeds, on the test itself, as in the figure."""
    by_rate = {rate: [row["value"] or 0.0 for row in test if row["rate"] == rate] for rate in {r["rate"] for r in test}}
    rate = max(by_rate, key=lambda rate: sum(by_rate[rate]) / len(by_rate[rate]))
    seeds, row = by_rate[rate], test[0]
    kept = ("subject", "metric", "unit", "kind", "source", "task", "vocabulary", "length", "pairs", "width", "steps")
    return {name: row[name] for name in kept} | {
        "model": MODELS[row["mixer"]], "value": sum(seeds) / len(seeds), "low": min(seeds), "high": max(seeds),
        "n": len(seeds), "rate": rate,
    }  # fmt: skip


def zoology_figure2_statements(rows: list[Row]) -> list[Row]:
    """Attention is the best at every length; every other model at the shortest length, against the published."""
    own = [row for row in rows if row["kind"] == "measured"]
    if not own:
        raise ValueError("rows: own points beside the published ones, got none")
    lengths = sorted({row["length"] for row in own})
    tops = [max((r for r in own if r["length"] == length), key=lambda r: r["value"])["model"] for length in lengths]
    least = min(row["value"] for row in own if row["model"] == "Attention")
    known = [row for row in rows if row["kind"] == "published" and row["value"] is not None]
    printed = min(row["value"] for row in known if row["model"] == "Attention" and row["length"] in lengths)
    found = [statement(
        "attention, lowest accuracy over the lengths in both", Spread(least), set(tops) == {"Attention"},
        "attention is the best at each", published=Spread(printed), n=len(lengths),
    )]  # fmt: skip
    for row in own:
        same = [r for r in known if all(r[k] == row[k] for k in ("model", "length", "width"))]
        if row["length"] == lengths[0] and row["model"] != "Attention" and same:
            found.append(statement(
                f"{row['model']}, width {row['width']}, N = {row['length']}",
                spread(row),
                row["value"] >= same[0]["value"] / 2, "at least half of the published accuracy",
                published=spread(same[0]), n=row["n"],
            ))  # fmt: skip
    return found
