"""What texts demand of a memory, derived for `evidence/demand_texts.jsonl` and `evidence/demand_bits.jsonl`.

    python paper_figures/demand_rows.py texts peps=FILE rust-rfcs=FILE pepys=FILE
    python paper_figures/demand_rows.py bits RUN     # from `recallscope slice attention hyena --limit 240 --out RUN`

The texts are public; each file has one document a line, {"id": ..., "text": ...}. All documents are tagged whole with
the bundled tokenizer, and every repeat is a hit. In bits it is the AR hits of the held-out text.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from recallscope.bounds.demand import demand, demand_evidence, state_evidence
from recallscope.bounds.demand.standing import closing
from recallscope.evidence import evidence, write_evidence
from recallscope.slicing.tag_text import tag_text

EVIDENCE = Path(__file__).parent / "evidence"
TEXTS = {
    "peps": ("Python Enhancement Proposals", "github python/peps at ba4deeb79695"),
    "rust-rfcs": ("Rust RFCs", "github rust-lang/rfcs at 354518a8c902"),
    "pepys": ("The diary of Samuel Pepys", "github standardebooks/samuel-pepys_the-diary at a3031890b10b"),
}
STATES = [2.0**k for k in range(13)]


def of_text(name: str, path: str) -> list[dict[str, Any]]:
    """Hits served in one of the public texts."""
    subject, origin = TEXTS[name]
    with TemporaryDirectory() as folder:
        tag_text(path, Path(folder) / "tags.parquet")
        found = demand(Path(folder) / "tags.parquet")
    source = f"{origin}; python paper_figures/demand_rows.py texts {name}"
    return [row | {"documents": found.documents} for row in demand_evidence(found, subject, source=source).to_pylist()]


def in_bits(run: str) -> list[dict[str, Any]]:
    """Hits served and bits of the AR hits of a run whose models are attention and hyena."""
    found, source = demand(run, "hyena", "attention"), "python paper_figures/demand_rows.py bits"
    subject, more = "held-out packages, AR hits", {"documents": found.documents}
    rows = demand_evidence(found, subject, source=source).to_pylist()
    rows += state_evidence(found, found.at_states(STATES), subject, source=source).to_pylist()
    return [row | more for row in rows + closed(run, rows[-1])]


def closed(run: str, like: dict[str, Any]) -> list[dict[str, Any]]:
    """The gap on the hits, and the state that closes it: above `limit`, with `carried` enough (`closing`)."""
    found = closing(run, "hyena", "attention")
    plain = like | {"bound": None, "state_bits": None}
    state = plain | {"metric": "state that closes the gap", "unit": "bits"}
    return [
        plain | {"metric": "gap on hits", "unit": "nats", "value": found["gap"]},
        state | {"bound": "limit", "value": found["more_than"]},
        state | {"bound": "carried", "value": found["enough"]},
    ]


def main(what: str, *arguments: str) -> None:
    if what == "bits":
        rows = in_bits(*arguments)
    else:
        rows = [row for argument in arguments for row in of_text(*argument.split("=", 1))]
    write_evidence(evidence(rows), EVIDENCE / f"demand_{what}.jsonl")


if __name__ == "__main__":
    main(*sys.argv[1:])
