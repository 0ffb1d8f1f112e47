"""The stored tables, by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recallscope.published.where import matching

if TYPE_CHECKING:
    import pyarrow as pa

_FOLDER = Path(__file__).parent


def published_names() -> list[str]:
    """What `published_table` knows."""
    return sorted(path.stem for path in _FOLDER.glob("*.jsonl"))


def published_table(*names: str, where: Sequence[str] = ()) -> pa.Table:
    """Rows of evidence of the named tables and figures (none named: all), all of kind `published`.

    One row is one cell as it is printed: `value`, `unit`, where it stands (`source`), its setting in further columns
    (`scale`, `training_tokens`, `slice`, `task`, `length`, ...), and three columns of this reader's: `table`, the name;
    `row`, which cells belong together in print; `reference`, the subject that a gap is taken to. `low` and `high` are
    the rounding of a printed number (2.01 is in [2.005, 2.015]), or the error of a digitised one. A cell that is there
    without a number has a null, and `flag` says why; `flag` also says what is inconsistent in print. Nothing is
    corrected. Claims in running text are rows with `claim` (`recallscope.audit` recomputes them).

    `trust` is `read` (in the paper's own text), `second-hand` (as somebody else copied it from the paper), `digitised`
    with its error, `exact` (in released code) or `medium`. Numbers that nobody could read again are left out: Zoology's
    70M rows and FLOPs, Based's appendices other than Table 6, the curves behind JRT's figures.

    In `based_figure2` and `zoology_tradeoff` the accuracy is a mean over seven test sets, the rows of the metric
    `examples`; `state_bytes` is the state of one sequence of 1,024 tokens as the figure counts it, 4 bytes an element,
    and `flag` says what that leaves out; `state_error` is its relative error.

    `where` keeps the rows that match all of its conditions (`matching`). Raises `ValueError` for unknown names and
    columns.
    """
    from recallscope.evidence import evidence, read_evidence

    known = published_names()
    for name in names:
        if name not in known:
            raise ValueError(f"names: some of {', '.join(known)}, got {name!r}")
    rows = [
        row | {"table": name} for name in names or known for row in read_evidence(_FOLDER / f"{name}.jsonl").to_pylist()
    ]
    return evidence(matching(rows, where))
