"""The recurrent transformer (Kausik, note of June 2025): copying, text, and what its tables count."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from recallscope.architectures.recurrent_transformer import TransformerShape, note_flops, parameters_count
from recallscope.reproduction.statements import Row, Spread, statement

SHAPE = ("block", "layers", "variant", "learned", "positions", "classes")
UNIT = "recurrent, forget, w = 1"
REGULAR = ("regular, 1 layer", "regular, 6 layers")


def recurrent_transformer_statements(rows: Iterable[dict[str, Any]]) -> list[Row]:
    """Copying, the loss on text against one and six layers, and the cells of the tables.

    `rows` are those of `recurrent_transformer.jsonl`. Intervals are from the least to the largest of the seeds.
    """
    rows = list(rows)
    own = [row for row in rows if row["kind"] == "measured"]
    printed = [row for row in rows if row["kind"] == "published"]
    found = [_copied(own, printed, task, least) for task, least in (("copy", 100.0), ("selective copy", 99.0))]
    found += [_on_text(own, printed, other) for other in REGULAR]
    return [row for row in found if row] + _cells(printed)


def _copied(own: list[Row], printed: list[Row], task: str, least: float) -> Row | None:
    ours = [row for row in own if (row["task"], row["metric"]) == (task, "accuracy")]
    values = [100 * row["value"] for row in ours]
    (cell,) = (row for row in printed if (row["task"], row["metric"]) == (task, "accuracy"))
    if not values:
        return None
    noise = " and ".join(map(str, sorted({row["noise"] for row in ours})))
    left = sum(not row["finished"] for row in ours)
    interrupted = f", {left} of {len(ours)} trainings interrupted" if left else ""
    return statement(
        f"accuracy of {task}, noise {noise} (4,096 in print){interrupted}", _range(values),
        min(values) >= least, f"at least {least:g} %, every seed",
        published=Spread(cell["value"], cell["low"], min(cell["high"], 100)), unit="%", n=len(values),
    )  # fmt: skip


def _on_text(own: list[Row], printed: list[Row], other: str) -> Row | None:
    """How far the one-layer recurrence over tokens is below a regular model, seed by seed."""
    losses = {
        (row["subject"], row["seed"]): row["value"] for row in own if (row["task"], row["metric"]) == ("text", "loss")
    }
    seeds = sorted(seed for name, seed in losses if name == UNIT and (other, seed) in losses)
    cells = {row["subject"]: row["value"] for row in printed if row["metric"] == "validation loss"}
    if not seeds:
        return None
    gaps = [losses[UNIT, seed] - losses[other, seed] for seed in seeds]
    return statement(
        f"loss of the recurrence over tokens less that of {other.replace('regular, ', 'a regular model of ')}",
        _range(gaps), max(gaps) < 0, "below 0, every seed",
        published=Spread(cells[UNIT] - cells[other]), unit="nats", n=len(seeds),
    )  # fmt: skip


def _range(values: list[float]) -> Spread:
    low, high = min(values), max(values)
    return Spread(sum(values) / len(values), *((low, high) if high > low else (None, None)))


def _cells(printed: list[Row]) -> list[Row]:
    """Which cells follow from the shapes that are printed beside them."""
    samples = {row["task"]: row["value"] for row in printed if row["metric"] == "training samples"}
    trained = lambda row: samples[row["task"]] * _flops(row)  # noqa: E731
    found = []
    for metric, rule, ours in (
        ("parameters", "all of them, rounded", _parameters),
        ("FLOPs per sample", "all of them, rounded, as the note counts", _flops),
        ("training FLOPs", "all of them: samples times FLOPs per sample", trained),
    ):
        cells = [row for row in printed if row["metric"] == metric]
        share = 100 * sum(row["low"] <= ours(row) <= row["high"] for row in cells) / len(cells)
        what = f"printed cells of {metric} that follow from the shape"
        found.append(statement(what, Spread(share), share == 100, rule, unit="%", n=len(cells), basis="print"))
    return found


def _parameters(row: Row) -> int:
    options = {name: row[name] for name in SHAPE if row.get(name) is not None}
    return parameters_count(TransformerShape(row["vocabulary"], row["width"], row["heads"], row["context"], **options))


def _flops(row: Row) -> float:
    return note_flops(row["width"], row["context"], row.get("block"), row["layers"])
