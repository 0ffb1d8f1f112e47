"""Fits and allocations as text."""

from __future__ import annotations

from collections.abc import Sequence

from recallscope.published.format import aligned
from recallscope.scaling.allocation import Allocation, size_exponent
from recallscope.scaling.efficient import EfficientExponent, EfficientSize
from recallscope.scaling.fit import LossFit
from recallscope.scaling.intervals import Interval, constant_intervals, percentile_interval
from recallscope.scaling.rates import Step
from recallscope.scaling.residuals import Outlier, outliers, without_outliers

SHOWN = 10
"""Outlying runs that are printed."""
NO_ENTROPY = 1e-3
"""Nats per token below which an entropy is none."""


def format_fit(fit: LossFit, level: float) -> str:
    """Constants with intervals, the objective, and the outlying runs with what they do to the constants."""
    intervals = constant_intervals(fit, level)
    far = outliers(fit)
    columns: list[dict[str, float]] = [fit.law.constants()]
    head = ["constant", "value", f"{100 * level:g} % interval"]
    mended = _mended(fit) if far else None
    if mended:
        columns.append(mended)
        head.append(f"without {len(far)} outlying")
    lines = [head]
    for name, interval in intervals.items():
        lines.append([name, f"{columns[0][name]:.6g}", _interval(interval), *(f"{c[name]:.6g}" for c in columns[1:])])
    if fit.terms == ("N", "D"):
        share = [size_exponent([list(c.values())])[0] for c in columns]
        own = percentile_interval(size_exponent(fit.rows), level)
        lines.append(["a = β/(α + β)", f"{share[0]:.6g}", _interval(own), *(f"{one:.6g}" for one in share[1:])])
    text = [
        aligned(lines),
        "",
        f"{len(fit.losses):,} runs, objective {fit.objective:.7g} (sum, δ = {fit.delta:g}), "
        f"{fit.agreeing:,} of {fit.starts:,} starts end there, {len(fit.rows):,} bootstrap refits",
    ]
    if fit.law.entropy < NO_ENTROPY:
        text.append("the runs determine no entropy: E went to 0, and the other constants lean on that")
    return "\n".join([*text, *_outlying(far)])


def _mended(fit: LossFit) -> dict[str, float] | None:
    """The constants without the outlying runs; None where the others determine no law."""
    try:
        return without_outliers(fit).law.constants()
    except ValueError:
        return None


def _outlying(far: Sequence[Outlier]) -> list[str]:
    if not far:
        return []
    names = list(far[0].sizes)
    lines = [["run", *names, "loss", "predicted", "deviations"]]
    for one in far[:SHOWN]:
        sizes = [f"{one.sizes[name]:.4g}" for name in names]
        lines.append([str(one.index + 1), *sizes, f"{one.loss:.4f}", f"{one.predicted:.4f}", f"{one.deviations:+.1f}"])
    rest = [f"and {len(far) - SHOWN} more"] if len(far) > SHOWN else []
    return ["", "far from the law, in robust standard deviations:", aligned(lines), *rest]


def format_allocations(found: Sequence[Allocation], law: str) -> str:
    """One line for each target: sizes, their ratio, the loss, and FLOPs, with intervals where there are rows."""
    lines = [["training FLOPs", "parameters", "tokens", "tokens per parameter", "loss", "inference FLOPs"]]
    for one in found:
        cells = {
            "training_flops": one.training_flops, "parameters": one.parameters, "tokens": one.tokens,
            "tokens_per_parameter": one.tokens_per_parameter, "loss": one.loss, "inference_flops": one.inference_flops,
        }  # fmt: skip
        lines.append([_cell(name, value, one.intervals.get(name)) for name, value in cells.items()])
    text = [f"law: {law}", "", aligned(lines)]
    if found and found[0].rows == 0:
        text += ["", "no interval: this law has no bootstrap rows (a fit with --out has)"]
    if any(one.lost for one in found):
        worst = max(found, key=lambda one: one.lost)
        text += ["", f"no interval: {worst.lost:,} of {worst.rows:,} bootstrap rows have no optimum"]
    return "\n".join(text)


def format_step(step: Step, level: float) -> str:
    """Rate and batch with their bands, and the range check."""
    lines = [
        ["", "value", f"{100 * level:g} % band"],
        ["peak learning rate", f"{step.learning_rate:.4g}", _interval(step.learning_rate_interval)],
        ["batch in tokens", f"{step.batch_tokens:.4g}", _interval(step.batch_tokens_interval)],
    ]
    inside = ["inside the range of the runs that the law was fitted to"]
    outside = [f"outside of the fitted range: {line}" for line in step.outside]
    return "\n".join([aligned(lines), "", *(outside or inside)])


def format_efficient(exponent: EfficientExponent, size: EfficientSize | None) -> str:
    """γ with its two ends, and sizes where there is an anchor."""
    lines = [
        ["", "from", "to"],
        ["exponent γ of N ∝ D^γ", f"{exponent.low:.4g}", f"{exponent.high:.4g}"],
    ]
    if exponent.low_interval and exponent.high_interval:
        lines.append(["  interval of each", _interval(exponent.low_interval), _interval(exponent.high_interval)])
    if size:
        lines.append([f"parameters for {size.tokens:.4g} tokens", f"{size.low:.4g}", f"{size.high:.4g}"])
    text = [
        f"β = {exponent.beta:.6g}",
        "",
        aligned(lines),
        "",
        "γ = 1 - 2β to 1 - β is a reconstruction: the proof was not read",
    ]
    if size is None:
        text.append(
            "no size without an anchor (--anchor-tokens and --anchor-parameters): the exponent has no prefactor"
        )
    return "\n".join(text)


def _interval(interval: Interval | None) -> str:
    return "–" if interval is None else f"{interval[0]:.4g} to {interval[1]:.4g}"


def _cell(name: str, value: float, interval: Interval | None) -> str:
    text = f"{value:.4f}" if name == "loss" else f"{value:.3g}"
    if interval is None or interval[1] - interval[0] < 1e-9 * interval[1]:  # given, not found
        return text
    low, high = (f"{end:.4f}" if name == "loss" else f"{end:.3g}" for end in interval)
    return f"{text} [{low}, {high}]"
