"""Accuracy against pairs, predicted and simulated, as rows of evidence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from recallscope.bounds._checks import whole
from recallscope.bounds.capacity.bits import recalled_bits
from recallscope.bounds.capacity.memory import Memory, state_elements
from recallscope.bounds.capacity.prediction import predicted_accuracy
from recallscope.bounds.capacity.simulation import simulated_accuracy

if TYPE_CHECKING:
    import pyarrow as pa

SOURCE = "recallscope.bounds.capacity"
CONFIDENCE = 1.96


def capacity_curve(memory: Memory, pairs: Iterable[int], trials: int = 200, seed: int = 0) -> pa.Table:
    """Two rows of evidence for each number of pairs: the predicted accuracy and the simulated one.

    Both have the metric `accuracy` (unit 1), subject = rule, and as setting `rule`, `key_width`, `value_width`,
    `vocabulary`, `pairs`, `decay`, `places`, `bits` (null where the rule has none), `state_elements` (elements) and
    `recalled_bits` (bits, by Fano's inequality; 0 below chance). Predicted rows are of kind `derived`. Simulated rows
    are of kind `measured`, with `low` and `high` (1.96 standard errors, within [0, 1]), n = `trials`, `standard_error`
    and `seed`. With `trials` 0 nothing is simulated, and there are predicted rows only. Raises `ValueError` for no
    pairs, or as `simulated_accuracy` does.
    """
    from recallscope.evidence import evidence, origin

    counts = [whole("pairs", n, 1) for n in pairs]
    if not counts:
        raise ValueError("pairs: at least one number of pairs, got none")
    made = origin() if trials else {}
    rows: list[dict[str, Any]] = []
    for n in counts:
        predicted = float(predicted_accuracy(memory, n))
        rows.append(_row(memory, n, predicted) | {"kind": "derived", "source": f"{SOURCE}.predicted_accuracy"})
        if trials == 0:
            continue
        simulated = simulated_accuracy(memory, n, trials, seed)
        value, error = simulated.accuracy, simulated.standard_error
        interval = {"low": max(value - CONFIDENCE * error, 0.0), "high": min(value + CONFIDENCE * error, 1.0)}
        measured = {"kind": "measured", "source": f"{SOURCE}.simulated_accuracy", "n": trials, **interval}
        rows.append(_row(memory, n, value) | measured | {"standard_error": error, "seed": seed} | made)
    return evidence(rows)


def _row(memory: Memory, pairs: int, accuracy: float) -> dict[str, Any]:
    setting = asdict(memory) | {"pairs": pairs, "state_elements": state_elements(memory, pairs)}
    setting["decay"] = memory.decay if memory.rule == "decayed" else None
    setting["places"] = memory.places if memory.rule in ("slots", "window", "n-gram table") else None
    known = float(recalled_bits(max(accuracy, 1 / memory.vocabulary), pairs, memory.vocabulary))
    return {
        "subject": memory.rule,
        "metric": "accuracy",
        "value": accuracy,
        "unit": "1",
        "recalled_bits": known,
    } | setting


def largest_difference(table: pa.Table) -> dict[str, Any]:
    """Where prediction and simulation differ most in a table of `capacity_curve` (or of several, concatenated).

    Returns the setting (`rule`, `key_width`, ... `pairs`), `predicted`, `simulated`, `standard_error`, and `difference`
    = predicted - simulated. The difference has the noise of the simulation in it, and over many settings the largest
    also selects for noise. Raises `ValueError` if no setting has both kinds of rows.
    """
    names = ("rule", "key_width", "value_width", "vocabulary", "decay", "places", "bits", "pairs")
    predicted: dict[tuple[Any, ...], float] = {}
    simulated: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in table.to_pylist():
        key = tuple(row[name] for name in names)
        if row["kind"] == "derived":
            predicted[key] = row["value"]
        else:
            simulated[key] = row
    both = [key for key in predicted if key in simulated]
    if not both:
        raise ValueError(f"table: rows of kind derived and measured of one setting, got {table.num_rows} rows without")
    worst = max(both, key=lambda key: abs(predicted[key] - simulated[key]["value"]))
    value = simulated[worst]["value"]
    found = {"predicted": predicted[worst], "simulated": value, "standard_error": simulated[worst]["standard_error"]}
    return dict(zip(names, worst, strict=True)) | found | {"difference": predicted[worst] - value}
