"""Published points: their states follow from closed forms, their tests are those of the released configuration."""

from __future__ import annotations

from typing import Any

import pytest
from recallscope.published import published_table
from recallscope.training.sweeps.plans import based_figure2

FIGURES = ("based_figure2", "zoology_tradeoff")
LENGTH = 1024  # of the longest test, at which the figure counts states


def rows(name: str, metric: str = "accuracy") -> list[dict[str, Any]]:
    return [row for row in published_table(name).to_pylist() if row["metric"] == metric]


@pytest.mark.parametrize("name", FIGURES)
def test_points_carry_their_error_and_their_source(name: str):
    points = rows(name)
    assert len(points) > 30
    for row in points:
        assert row["kind"] == "published" and "zoology" in row["source"] and row["trust"].startswith("digitised")
        assert row["low"] == pytest.approx(max(row["value"] - 0.01, 0))
        assert row["high"] == pytest.approx(min(row["value"] + 0.01, 1))
        assert 0.02 <= row["state_error"] < 0.03 and row["state_bytes"] == 4 * row["state_elements"]
        assert "memory" not in row["trust"]


@pytest.mark.parametrize("name", FIGURES)
def test_tests_are_those_of_the_released_configuration(name: str):
    (sweep,) = based_figure2()
    planned = [(task.vocabulary, task.length, task.pairs) for task in sweep.mix.test]  # type: ignore[attr-defined]
    tests = rows(name, "examples")
    assert [(row["vocabulary"], row["length"], row["pairs"]) for row in tests] == planned
    assert {row["value"] for row in tests} == {sweep.recipe.test} and {row["task"] for row in tests} == {"MQAR"}


def bytes_of(row: dict[str, Any]) -> int:
    """Four bytes for every number that the mixers keep: one layer of attention and Based, two of the others."""
    width, key = row["width"], row["key_width"]
    match row["subject"]:
        case "Based":
            features = 1 + key + key * (key + 1) // 2
            return 4 * (features * width + features)
        case "Sliding window":
            return 4 * 2 * row["window"] * 128
        case "Attention":
            return 4 * 2 * LENGTH * width
        case "Mamba":
            return 4 * 2 * 2 * width * row["state_size"]
        case "H3":
            return 4 * 2 * width * (width // 4)
    assert row["subject"] == "Hyena"
    return 4 * 2 * LENGTH * width


def test_states_of_based_figure_2_follow_from_the_shapes():
    known = [row for row in rows("based_figure2") if row["shape"]]
    assert {row["subject"] for row in known} == {row["subject"] for row in rows("based_figure2")}
    assert len(known) == 30 and [row["state_bytes"] for row in known] == [bytes_of(row) for row in known]
