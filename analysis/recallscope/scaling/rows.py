"""Fits as rows of evidence, with their bootstrap, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recallscope.scaling.fit import LossFit
from recallscope.scaling.intervals import LEVEL, constant_intervals
from recallscope.scaling.law import Floats, LossLaw, constant_names, law_of_row
from recallscope.scaling.published import LAWS, published_law

if TYPE_CHECKING:
    import pyarrow as pa


def fit_rows(
    fit: LossFit, subject: str, *, level: float = LEVEL, source: str = "", resamples: bool = False
) -> pa.Table:
    """Evidence of a fit: a row per constant with its percentile interval; with `resamples`, the bootstrap rows too.

    `n` is the number of runs; `terms` names the sizes; rows of the bootstrap have their number in `resample`.
    """
    from recallscope.evidence import evidence, origin

    intervals = constant_intervals(fit, level)
    common: dict[str, Any] = {
        "subject": subject, "unit": "1", "kind": "derived", "source": source or fit.law.source,
        "terms": ",".join(fit.terms),
    }  # fmt: skip
    made = common | {"n": len(fit.losses), "delta": fit.delta, "objective": fit.objective, **origin()}
    rows: list[dict[str, Any]] = []
    for name, value in fit.law.constants().items():
        low, high = intervals[name] or (None, None)
        rows.append(made | {"metric": name, "value": value, "low": low, "high": high, "level": level, "resample": None})
    if resamples:
        for number, row in enumerate(fit.rows):
            pairs = zip(constant_names(fit.terms), row, strict=True)
            rows += [common | {"metric": name, "value": float(value), "resample": number} for name, value in pairs]
    return evidence(rows)


def law_and_rows(name: str | Path) -> tuple[LossLaw, Floats]:
    """A law with its bootstrap rows `[R, 1 + 2K]`: a published name (no rows), or a file that `fit_rows` went to.

    Raises `ValueError` for an unknown name, and a file that does not hold every constant of one fit.
    """
    if str(name) in LAWS:
        law = published_law(str(name))
        return law, np.empty((0, len(law.row())))
    if not Path(name).is_file():
        raise ValueError(f"law: {', '.join(LAWS)}, or a file that `scaling fit --out` wrote, got {str(name)!r}")
    from recallscope.evidence import read_evidence

    rows = read_evidence(name).to_pylist()
    terms = tuple((rows[0].get("terms") or "").split(",")) if rows else ()
    names = constant_names(terms) if terms != ("",) else ()
    by_resample: dict[int | None, dict[str, float]] = {}
    for row in rows:
        by_resample.setdefault(row.get("resample"), {})[row["metric"]] = row["value"]
    if not names or None not in by_resample or any(set(one) != set(names) for one in by_resample.values()):
        raise ValueError(f"law: {name} does not hold the constants of one fit")
    constants = {key: [one[metric] for metric in names] for key, one in by_resample.items()}
    law = law_of_row(constants.pop(None), terms, f"{rows[0]['source']}")
    return law, np.array(list(constants.values()), float).reshape(-1, len(names))
