"""Loss laws in print, by name, from the stored tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from recallscope.scaling.law import LossLaw

LAWS = {
    "hoffmann": "Hoffmann et al., as printed",
    "hoffmann-tex": "Hoffmann et al., TeX source",
    "besiroglu": "Besiroglu et al., refit",
}
ROWS = {
    "hoffmann": "Hoffmann et al., approach 3",
    "hoffmann-tex": "Hoffmann et al., approach 3, TeX source",
    "besiroglu": "Besiroglu et al., 240 points",
}


def published_law(name: str) -> LossLaw:
    """One of `LAWS`, by its short name.

    The constants of Hoffmann et al. 2022 (Appendix D.2) as printed, those of its TeX source (second-hand, as the
    refit's notebook states them), and the refit of Besiroglu et al. 2024 (arXiv 2404.10102) to 240 digitised runs. The
    refit is stated as published, from a joint fit with the scale of the errors; the optimum of the plain objective on
    the same runs is near it, A = 477.83 and B = 2143.4. Raises `ValueError` for other names.
    """
    if name not in LAWS:
        raise ValueError(f"law: one of {', '.join(LAWS)}, got {name!r}")
    own = [row for row in _cells() if row["row"] == ROWS[name]]
    value = {row["metric"]: row["value"] for row in own}
    e, a, b = (value[one] if one in value else math.exp(value[f"ln {one}"]) for one in ("E", "A", "B"))
    source = next(row["source"] for row in own if row["metric"] in ("E", "ln E")).rsplit(", ", 1)[0]
    return LossLaw(e, (a, b), (value["alpha"], value["beta"]), ("N", "D"), source)


def published_intervals(name: str) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals of the constants of a published law; empty where none are in print."""
    found = [row for row in _cells() if row["row"] == f"{ROWS[name]}, interval"]
    return {row["metric"]: (row["low"], row["high"]) for row in found}


def published_exponent() -> list[dict[str, Any]]:
    """Rows of what Kausik states of γ and of the growth of a corpus, in the abstracts of arXiv 2402.14746."""
    from recallscope.evidence import read_evidence

    return read_evidence(Path(__file__).parent / "kausik_exponent.jsonl").to_pylist()


@cache
def _cells() -> list[Mapping[str, Any]]:
    from recallscope.evidence import read_evidence
    from recallscope.published import published_table

    further = read_evidence(Path(__file__).parent / "chinchilla_constants.jsonl").to_pylist()
    return [*published_table("chinchilla_fits").to_pylist(), *further]
