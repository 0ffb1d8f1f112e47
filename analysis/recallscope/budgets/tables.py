"""The paper's tables recomputed (arXiv 2402.01093v2, section 3.3 and appendix D): sizes, hours, and what they imply."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from recallscope.budgets.budgets import Cost, break_even
from recallscope.budgets.printed import FULL_TOKENS, printed_costs, printed_rows

PEAK = 312e12
"""FLOPs a second of an A100, dense bfloat16 (data sheet)."""
CONTEXT = 1024


Ends = tuple[float, float, float]
"""A value and its rounding."""


class Shape(NamedTuple):
    """A printed transformer: layers L, width D, feed-forward width F."""

    layers: int
    width: int
    hidden: int


SHAPES = {"SLM": Shape(7, 1024, 4096), "LLM": Shape(7, 2816, 11_264)}
VOCABULARY = 32_000
"""SentencePiece pieces; "32k" in print."""


class Recomputed(NamedTuple):
    """A printed number beside its recomputation, with the rounding of what both are made of.

    `holds`: whether the intervals meet; None where the paper prints nothing to compare with.
    """

    what: str
    value: float
    low: float
    high: float
    unit: str
    printed: Ends | None
    holds: bool | None


def block_parameters(shape: Shape) -> int:
    """Matrices of all blocks, L (4 D² + 2 D F); biases and norms are left out (below 0.1 %)."""
    return shape.layers * (4 * shape.width**2 + 2 * shape.width * shape.hidden)


def token_flops(shape: Shape, training: bool = True) -> float:
    """FLOPs of one token in a window of `CONTEXT`: 2 a parameter of blocks and head, 4 D a pair and layer forward.

    All T² pairs are counted, masked ones too; training takes three times as many.
    """
    products = block_parameters(shape) + VOCABULARY * shape.width
    forward = 2 * products + 4 * shape.layers * shape.width * CONTEXT
    return (3 if training else 1) * forward


def recomputed() -> list[Recomputed]:
    """Every number of the cost tables that follows from another, and what the others imply."""
    return [*_sizes(), *_tokens(), *_hours(), *_domains()]


def _compared(what: str, found: Ends, unit: str, printed: Ends | None = None) -> Recomputed:
    return Recomputed(what, *found, unit, printed, printed and found[1] <= printed[2] and printed[1] <= found[2])


def _sizes() -> Iterator[Recomputed]:
    """Parameters: the mixtures are k small models; both shapes leave the same rows of width D outside their blocks."""
    small = _of("SLM", "parameters", "pre-training")
    for row in printed_rows():
        if row["metric"] == "parameters" and row["subject"] == "SLM-mix":
            k, printed = row["experts"], (row["value"], row["low"], row["high"])
            yield _compared(f"SLM-mix, {k} experts", _scaled(small, k), "million", printed)
    rows = {
        name: _moved(_scaled(_of(name, "parameters", "pre-training"), 1e6), -block_parameters(shape), shape.width)
        for name, shape in SHAPES.items()
    }
    yield _compared("rows outside the blocks, SLM and LLM the same", rows["SLM"], "1", rows["LLM"])
    shape = SHAPES["SLM"]
    matrices = 2 * shape.layers * shape.width * shape.hidden / 1e6
    for row in printed_rows():
        if row["metric"] == "parameters" and row["subject"] == "SLM-pn":
            ends = (row["value"] - small[0], row["low"] - small[2], row["high"] - small[1])
            yield _compared(f"SLM-pn, {row['experts']} experts: h", _moved(ends, matrices, matrices), "1")


def _tokens() -> Iterator[Recomputed]:
    """Generic tokens that the largest budgets buy, and passes over the set that those of fine-tuning buy."""
    for name in ("SLM", "SLM-pn", "LLM"):
        ends = _over(_of(name, "budget", "generic training"), _of(name, "cost", "generic training"))
        yield _compared(f"{name}: tokens of the largest pre-training", ends, "billion")
    ends = _over(_of("SLM-is", "budget", "specialisation", 1_000_000), _of("SLM-is", "cost", "specialisation"))
    yield _compared("SLM-is: tokens a domain of the largest pre-training", ends, "billion")
    for name in ("SLM", "LLM"):
        for tokens, label in FULL_TOKENS.items():
            read = _over(_of(name, "budget", "specialisation", tokens), _of(name, "cost", "specialisation"))
            yield _compared(f"{name}: passes over {label} tokens", _scaled(read, 1e9 / tokens), "1")


def _hours() -> Iterator[Recomputed]:
    """Shares of the A100's peak that the hours imply, and the large model's price over the small one's."""
    for name, shape in SHAPES.items():
        for phase in ("generic training", "inference"):
            flops = token_flops(shape, training=phase != "inference") * 1e9
            value, low, high = _of(name, "cost", phase)
            at_peak = 100 * flops / (3600 * PEAK)
            yield _compared(f"{name}: share of peak, {phase}", (at_peak / value, at_peak / high, at_peak / low), "%")
    for phase in ("generic training", "inference"):
        ratio = _over(_of("LLM", "cost", phase), _of("SLM", "cost", phase))
        yield _compared(f"LLM / SLM: hours a token, {phase}", ratio, "1")


def _domains() -> Iterator[Recomputed]:
    """Domains at which sampling by importance and projected networks cost the same, both at their largest budgets."""
    costs = printed_costs()
    pn = Cost(costs["SLM-pn"]["budget generic training"], costs["SLM-pn"]["budget specialisation 1M"])
    sampled = Cost(0.0, costs["SLM-is"]["budget specialisation 1M"])
    value = break_even(sampled, pn)
    assert value is not None
    low, high = (pn.generic - 0.5) / (sampled.specialise + 0.5), (pn.generic + 0.5) / (sampled.specialise - 0.5)
    yield _compared("domains from which SLM-pn costs less than SLM-is", (value, low, high), "1")


def _of(subject: str, metric: str, phase: str, tokens: int | None = None) -> Ends:
    """Value and rounding of one printed cell."""
    from recallscope.published import published_table

    for row in published_table("grangier_costs").to_pylist():
        if (row["subject"], row["metric"], row["phase"], row["specialisation_tokens"]) == (
            subject,
            metric,
            phase,
            tokens,
        ):
            return row["value"], row["low"], row["high"]
    raise ValueError(
        f"subject, metric, phase, tokens: a cell of grangier_costs, got {subject}, {metric}, {phase}, {tokens}"
    )


def _scaled(a: Ends, by: float) -> Ends:
    return a[0] * by, a[1] * by, a[2] * by


def _moved(a: Ends, by: float, over: float) -> Ends:
    return (a[0] + by) / over, (a[1] + by) / over, (a[2] + by) / over


def _over(a: Ends, b: Ends) -> Ends:
    return a[0] / b[0], a[1] / b[2], a[2] / b[1]
