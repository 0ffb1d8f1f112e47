"""What stands on an axis: a metric in one unit and one test, and whether more or less of it is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Row = Mapping[str, Any]
Better = Literal["higher", "lower"]

QUALITIES: dict[str, Better] = {
    "accuracy": "higher", "average accuracy": "higher", "F1": "higher", "gap closed": "higher",
    "perplexity": "lower", "loss": "lower", "total variation": "lower", "mean squared error": "lower",
}  # fmt: skip
"""Metrics whose better direction is beyond doubt. The share of a gap is none: it may be what recall explains."""

COSTS: dict[str, Better] = {
    "throughput": "higher", "latency": "lower", "parameters": "lower", "active_parameters": "lower",
    "state_elements": "lower", "state_bytes": "lower", "read_elements": "lower", "read_bytes": "lower",
    "training_flops": "lower", "prefill_flops": "lower", "decode_flops": "lower",
    "training_bytes": "lower", "prefill_bytes": "lower", "decode_bytes": "lower", "cost": "lower", "budget": "lower",
}  # fmt: skip

COLUMNS = {
    "state_bytes": "bytes", "state_elements": "elements", "parameters": "parameters",
    "active_parameters": "parameters", "training_tokens": "tokens", "training_flops": "FLOPs",
    "pretraining_gpu_hours": "GPU hours", "width": "elements",
}  # fmt: skip
"""Costs that stand in a column of the row of quality itself, and their units; less is better."""

TEST = (
    "setting", "task", "slice", "corpus", "data", "prompt", "shots", "mode", "padding", "phase", "vocabulary", "length",
    "pairs", "power", "passes", "random_filler", "t", "batch", "dtype", "state_dtype", "specialisation_tokens",
    "training_examples",
)  # fmt: skip
"""Columns that say what was tested or timed, not on which model; `device` too, for costs."""

_BARE = ("setting", "task", "corpus", "phase", "prompt", "mode", "device")  # values that need no name of their column


@dataclass(frozen=True)
class Axis:
    """One axis: `metric`, its `unit`, the better direction, and the `setting` in words (empty where there is none).

    `tests` are (pairs, vocabulary) of the MQAR tests that a recall accuracy is a mean over: those have an information
    limit.
    """

    metric: str
    unit: str
    better: Better
    setting: str = ""
    tests: tuple[tuple[int, int], ...] = ()

    @property
    def label(self) -> str:
        """Metric, setting and unit in words."""
        said = self.unit in ("1", "") or self.metric.endswith(self.unit)
        unit = "" if said else f" ({self.unit})"
        return self.metric.replace("_", " ") + unit + (f", {self.setting}" if self.setting else "")


def direction(name: str, metric: str, given: str | None, known: Mapping[str, Better]) -> Better:
    """The better direction, as it was said or as it is known of the metric; `name` is that of the axis, for errors."""
    if given is not None:
        if given not in ("higher", "lower"):
            raise ValueError(f"{name} better: higher or lower, got {given!r}")
        return given
    if metric not in known:
        raise ValueError(f"{name}: whether more or less of {metric!r} is better is not known; say higher or lower")
    return known[metric]


def setting(row: Row, device: bool = False) -> str:
    """The test of a row in words, column by column in the order of `TEST`."""
    names = (*TEST, "device") if device else TEST
    return ", ".join(_words(name, row[name]) for name in names if row.get(name) is not None)


def _words(name: str, value: Any) -> str:
    word = name.replace("_", " ")
    if isinstance(value, bool):
        return word if value else f"no {word}"
    if isinstance(value, int | float):
        return f"{word} {value:,}"
    return str(value) if name in _BARE else f"{word} {value}"


def asked(name: str, text: str) -> tuple[str, str]:
    """`METRIC` or `METRIC:column=value,column=value`, as metric and conditions for `recallscope.published.matching`."""
    metric, colon, conditions = text.partition(":")
    parts = [part for part in conditions.split(",") if part.strip()]
    if not metric.strip() or (colon and not parts) or not all("=" in part for part in parts):
        raise ValueError(f"{name}: METRIC or METRIC:column=value,column=value, got {text!r}")
    return metric.strip(), ";".join(parts)
