"""What is called best of a sweep: chosen on validation examples, reported on tests."""

import subprocess
import sys

import pytest
from recallscope.evidence import evidence
from recallscope.training.sweeps.best import best_of
from recallscope.training.sweeps.command import format_sweep


def row(subject: str, rate: float, seed: int, pairs: int, value: float, validation: float) -> dict:
    shape = {"mixer": subject, "width": 16, "layers": 2, "parameters": 5, "state_elements_longest": 7, "can_bind": True}
    return {
        "subject": subject, "metric": "accuracy", "value": value, "unit": "1", "kind": "measured", "rate": rate,
        "seed": seed, "pairs": pairs, "validation": validation, "chance": 1 / pairs, **shape,
    }  # fmt: skip


def test_the_best_rate_is_chosen_on_validation_and_reported_on_tests():
    rows = [
        row("a", 0.1, 0, 2, 0.6, 0.9), row("a", 0.1, 0, 4, 0.4, 0.9), row("a", 0.1, 1, 2, 0.8, 0.7),
        row("a", 0.1, 1, 4, 0.6, 0.7), row("a", 0.2, 0, 2, 1.0, 0.5), row("a", 0.2, 0, 4, 1.0, 0.5),
        row("a", 0.2, 1, 2, float("nan"), float("nan")), row("a", 0.2, 1, 4, float("nan"), float("nan")),
    ]  # fmt: skip
    (best,) = best_of(evidence(rows)).to_pylist()
    assert (best["rate"], best["n"]) == (0.1, 2)
    assert [best[k] for k in ("value", "low", "high")] == pytest.approx([0.6, 0.5, 0.7])
    assert [best[k] for k in ("rate_low", "rate_high", "maximum")] == pytest.approx([0.5, 0.6, 1.0])
    assert "0.600" in format_sweep(evidence(rows))


def test_errors_are_best_when_they_are_small():
    rows = [
        row("a", rate, 0, 2, value, value) | {"metric": "mean squared error"} for rate, value in ((0.1, 3), (0.2, 2))
    ]
    (best,) = best_of(evidence(rows), "mean squared error").to_pylist()
    assert best["rate"] == 0.2 and best["maximum"] == 2


def test_total_variation_is_reported_at_the_rate_of_the_best_accuracy():
    """The validation score of such tasks is an accuracy, whatever metric is asked for."""
    rows = [
        row("a", rate, 0, 2, value, accuracy) | {"metric": "total variation"}
        for rate, value, accuracy in ((0.1, 0.3, 0.9), (0.2, 0.2, 0.5), (0.3, float("nan"), float("nan")))
    ]
    (best,) = best_of(evidence(rows), "total variation").to_pylist()
    assert (best["rate"], best["value"], best["maximum"]) == (0.1, 0.3, 0.2)


def test_published_rows_and_seeds_that_are_missing():
    rows = [row("a", 0.1, 0, 2, 0.4, 0.4), row("a", 0.1, 1, 2, 0.6, 0.6), row("a", 0.2, 0, 2, 0.7, 0.7)]
    known = {"subject": "a", "metric": "accuracy", "value": 0.9, "unit": "1", "kind": "published"}
    (best,) = best_of(evidence([*rows, known])).to_pylist()
    assert (best["rate"], best["value"], best["n"], best["rate_low"]) == (0.2, 0.7, 1, 0.5)


def test_the_best_needs_no_torch():
    code = "import sys, recallscope.training.sweeps.best; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
