"""The demand of a corpus as tables, as rows of evidence and as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

    from recallscope.bounds.demand.corpus import Demand
    from recallscope.bounds.demand.states import AtState

MEMORIES = {
    "best": "best possible memory of C associations",
    "lru": "C most recently used associations",
    "window": "window of C tokens",
}
SIZES = tuple(2**k for k in range(11))


def table_of_sizes(found: Demand, sizes: Iterable[int] = SIZES) -> pa.Table:
    """One row per size C: `size`, hits served by `best`, `lru`, `window`, and `best_share`, ... of all hits.

    `best` is null above the largest size told apart. Raises `ValueError` for sizes that are no whole numbers from 0.
    """
    import pyarrow as pa

    size = np.array(list(sizes))
    if not size.size or size.dtype.kind not in "iu" or size.min() < 0:
        raise ValueError(f"sizes: whole numbers of at least 0, got {size.tolist()}")
    served = {name: curve[np.minimum(size, curve.size - 1)] for name in MEMORIES for curve in [getattr(found, name)]}
    unknown = size >= found.best.size
    columns = {"size": pa.array(size)}
    columns |= {name: pa.array(hits, mask=unknown if name == "best" else None) for name, hits in served.items()}
    shares = {f"{name}_share": hits / found.hits for name, hits in served.items()}
    columns |= {name: pa.array(share, mask=unknown if name == "best_share" else None) for name, share in shares.items()}
    return pa.table(columns)


def state_table(states: Sequence[AtState]) -> pa.Table:
    """One row per state in bits, one column per attribute of `AtState`."""
    import pyarrow as pa

    return pa.Table.from_pylist([asdict(state) for state in states])


def demand_evidence(found: Demand, subject: str, sizes: Iterable[int] = SIZES, source: str | None = None) -> pa.Table:
    """Rows of evidence of the text `subject`: `hits served` of each memory and size, unit hits, n all hits, derived."""
    from recallscope.evidence import evidence, origin

    made = origin() | {"source": source, "kind": "derived", "unit": "hits", "subject": subject, "n": found.hits}
    return evidence(
        made
        | {"metric": "hits served", "memory": name, "size": row["size"], "value": row[name], "tokens": found.tokens}
        for row in table_of_sizes(found, sizes).to_pylist()
        for name in MEMORIES
    )


def state_evidence(found: Demand, states: Sequence[AtState], subject: str, source: str | None = None) -> pa.Table:
    """Rows of evidence of the text `subject`: `gain per hit` in bits and `loss on hits` in nats, by `bound` and state.

    `bound` is "limit" (`AtState.limit_bits`), "carried", and once each, without a state, "whole context" and, for the
    loss, "memoryless"; n is all hits. Empty without states.
    """
    from recallscope.evidence import evidence, origin

    models = dict(zip(("memoryless", "whole"), found.models, strict=False))
    made = origin() | {"source": source, "kind": "derived", "subject": subject, "n": found.hits} | models
    made |= {"tokens": found.tokens, "reach": found.reach}
    gains: list[tuple[str, float | None, float]] = []
    for at in states:
        gains += [("limit", at.state_bits, at.limit_bits), ("carried", at.state_bits, at.carried_bits)]
    if states:
        gains += [("whole context", None, states[0].gain_bits), ("memoryless", None, 0.0)]
    rows: list[dict[str, Any]] = []
    for bound, state, bits in gains:
        per_hit, row = bits / found.hits, made | {"bound": bound, "state_bits": state}
        loss = states[0].memoryless_loss - per_hit * float(np.log(2))
        rows.append(row | {"metric": "gain per hit", "unit": "bits", "value": per_hit})
        rows.append(row | {"metric": "loss on hits", "unit": "nats", "value": loss})
    return evidence(rows)


def format_demand(found: Demand, states: Sequence[AtState] = (), sizes: Iterable[int] = SIZES) -> str:
    """The table of sizes, and that of states, as text of fixed width."""
    share = found.hits / found.tokens
    lines = [f"{found.documents:,} documents, {found.tokens:,} tokens, {found.hits:,} hits ({share:.1%})", ""]
    lines.append(f"{'C':>8}{'best':>18}{'LRU':>18}{'window':>18}")
    for row in table_of_sizes(found, sizes).to_pylist():
        cells = [_cell(row[name], row[f"{name}_share"]) for name in MEMORIES]
        lines.append(f"{row['size']:>8,}" + "".join(f"{cell:>18}" for cell in cells))
    if states:
        lines += ["", f"{'state bits':>12}{'carried bits':>16}{'limit bits':>16}{'lowest loss':>14}"]
    for at in states:
        lines.append(f"{at.state_bits:>12,.0f}{at.carried_bits:>16,.0f}{at.limit_bits:>16,.0f}{at.lowest_loss:>14.3f}")
    if states:
        at = states[0]
        lines.append(f"{'no limit':>12}{at.gain_bits:>16,.0f}{at.gain_bits:>16,.0f}{_unlimited(at):>14.3f}")
    return "\n".join(lines)


def _cell(hits: int | None, share: float | None) -> str:
    return "-" if hits is None else f"{hits:,} {share:6.1%}"


def _unlimited(at: AtState) -> float:
    """Mean loss on hits, in nats, if all of the gain is carried."""
    return at.memoryless_loss - at.gain_bits * float(np.log(2)) / at.hits
