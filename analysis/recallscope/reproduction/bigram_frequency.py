"""Zoology (arXiv 2312.04927), Figure 1 and Appendix D: where attention leads by the frequency of a bigram; repeats."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from recallscope.look import family
from recallscope.reproduction.statements import Row, Spread, rank_correlation, spread, statement

GAP = "difference in loss"
FEWEST = 100
"""Tokens that a bin needs on either side to be compared."""


def bigram_frequency_statements(rows: Iterable[dict[str, Any]]) -> list[Row]:
    """For each model: its gap to attention falls with the training count on repeated bigrams, and is larger on them.

    Gated convolutions come first. `rows` are those of `bigram_slices.jsonl`, differences in loss by log2 bin of the
    count; bins with fewer than 100 tokens, repeated or new, are left out.
    """
    own = [row for row in rows if row["metric"] == GAP]
    found = []
    models = dict.fromkeys(row["subject"] for row in own)
    for model in sorted(models, key=lambda name: family(name) != "convolution"):
        parts = {name: _bins(own, model, name) for name in ("repeated", "new")}
        both = sorted(parts["repeated"].keys() & parts["new"].keys())
        gaps = {name: [part[low]["value"] for low in both] for name, part in parts.items()}
        fall, n = rank_correlation(both, gaps["repeated"])
        rarest = parts["repeated"][both[0]]
        larger = 100 * float(np.mean([a > b for a, b in zip(gaps["repeated"], gaps["new"], strict=True)]))
        found += [
            statement(f"{model}: gap to attention on repeated bigrams that were {_words(rarest)}",
                      spread(rarest), bool(rarest["low"] and rarest["low"] > 0),
                      "its interval is above 0", unit="nats", n=rarest["n"]),
            statement(f"{model}: rank correlation of the gap on repeated bigrams with the training count", fall,
                      fall.high is not None and fall.high < 0, "its interval is below 0", n=n),
            statement(f"{model}: bins of the count in which the gap is larger on repeated than on new bigrams",
                      Spread(larger), larger == 100, "all of them", unit="%", n=len(both)),
        ]  # fmt: skip
    return found


def _bins(rows: list[Row], model: str, part: str) -> dict[int, Row]:
    own = [row for row in rows if (row["subject"], row["slice"]) == (model, part)]
    return {row["count_low"]: row for row in own if row["n"] >= FEWEST}


def _words(row: Row) -> str:
    return (
        "never trained on" if row["count_high"] == 0 else f"trained on {row['count_low']} to {row['count_high']} times"
    )


def bigram_distance_statements(rows: Iterable[dict[str, Any]], within: int = 127) -> list[Row]:
    """How many repeats lie within `within` tokens, and how straight the density is on logarithmic axes.

    Over all bins but the last, which the end of the window thins, and from the densest bin on. `within` must be the end
    of a bin.
    """
    own = sorted((row for row in rows if row["metric"] == "repeated bigrams"), key=lambda row: row["distance_low"])
    if within not in {row["distance_high"] for row in own}:
        raise ValueError(f"within: the end of a bin, one of {[row['distance_high'] for row in own]}, got {within}")
    total = sum(row["value"] for row in own)
    share = 100 * sum(row["value"] for row in own if row["distance_high"] <= within) / total
    found = [statement(f"repeats within {within} tokens", Spread(share), share > 50, "most: above 50 %", unit="%",
                       n=int(total))]  # fmt: skip
    points = [(row["distance_low"], *_logarithms(row)) for row in own[:-1]]
    densest = max(range(len(points)), key=lambda k: points[k][2])
    for part in (points, points[densest:]):
        x, y = [point[1] for point in part], [point[2] for point in part]
        straight, slope = float(np.corrcoef(x, y)[0, 1]) ** 2, float(np.polyfit(x, y, 1)[0])
        found.append(statement(
            f"power law from {part[0][0]} tokens on, exponent {slope:.2f}: explained variance of the logarithms",
            Spread(straight), straight > 0.95 and slope < 0, "above 0.95, falling", n=len(part),
        ))  # fmt: skip
    return found


def _logarithms(row: Row) -> tuple[float, float]:
    """Middle of a bin, and repeats per token of distance."""
    width = row["distance_high"] - row["distance_low"] + 1
    return math.log(row["distance_low"] * row["distance_high"]) / 2, math.log(row["value"] / width)
