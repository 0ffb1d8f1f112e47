"""The section of the report on the demand of its text: sentences, two figures, two tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from recallscope.bounds.demand.standing_plot import loss_against_state
from recallscope.slicing.report import tables, words
from recallscope.slicing.report.section import Section

Row = Mapping[str, Any]

TITLE = "How much state the recall needs"
SERVED = (
    "demand-served",
    "Hits served against the size of a memory",
    "No memory of C associations serves more than the best possible one, which knows what will be asked. Keeping the C "
    "most recent associations, or a window of C tokens, needs no foresight.",
)
STANDING = (
    "demand-standing",
    "Loss on the hits against state",
    "Marks: the models, at the bits of their own state. Dotted: the lowest loss that a memory of so many bits beside "
    "the model allows; the shade above it ends where a memory arrives that knows what will be asked.",
)
SIZES_HEAD = ("C", "best, %", "most recent, %", "window, %")
MODELS_HEAD = (
    "model", "loss on hits", "gap on hits", "state, elements", "bits of each", "state, bits",
    "gap needs more than, bits", "gap is closed with, bits",
)  # fmt: skip


def section(found: Row) -> Section:
    """From the numbers (`sliced.demand_numbers`) to a section of the page; names of models are escaped."""
    if not found["hits"]:
        text = f"No {found['kind']} among {words.count(found['tokens'])} tokens: nothing to recall."
        return Section("demand", TITLE, found, _paragraph(text))
    return Section(
        "demand", TITLE, found,
        _paragraph(_sampled(found)) + _items(sentences(found)),
        (SERVED, STANDING),
        _figures(found),
        _sizes(found) + _models(found),
    )  # fmt: skip


def sentences(found: Row) -> list[str]:
    """How much state closes the gap of each model, and how much it has; then whose state is unknown."""
    rows = {row["model"]: row for row in found["models"]}
    texts = [_closed(comparison, rows[comparison["model"]], found) for comparison in found["comparisons"]]
    unknown = [row["model"] for row in found["models"] if row["state_bits"] is None]
    if unknown:
        texts.append(f"State unknown, as the architecture is not one that recallscope knows: {', '.join(unknown)}.")
    return texts


def _closed(comparison: Row, row: Row, found: Row) -> str:
    model, reference, kind = comparison["model"], comparison["reference"], found["kind"]
    if comparison["enough"] is None:
        return f"{model} loses no more than {reference} on {kind}s: there is no gap to close."
    text = (
        f"On {kind}s {model} loses {words.number(comparison['gap'], 3)} nats more than {reference}. To close this, a "
        f"memory beside it needs more than {_bits(comparison['more_than'])}; {_bits(comparison['enough'])} are enough "
        "if it knows what will be asked."
    )
    if row["state_bits"] is None:
        return text
    return f"{text} The model itself keeps {_bits(row['state_bits'])} after {words.count(found['length'])} tokens."


def _sampled(found: Row) -> str:
    documents = f"{words.count(found['documents'])} of {words.count(found['documents_of'])} documents, drawn by chance"
    if found["documents"] == found["documents_of"]:
        documents = f"all {words.count(found['documents'])} documents"
    return (
        f"What the text asks of a memory: {words.count(found['hits'])} {found['kind']}s among "
        f"{words.count(found['tokens'])} tokens of {documents}. What is said in bits is an estimate: the models stand "
        "for the best ones, and which tokens are hits is taken as told."
    )


def _figures(found: Row) -> dict[str, Any]:
    import pyarrow as pa

    from recallscope.bounds.demand.plots import served_against_size

    drawn = {SERVED[0]: served_against_size(pa.Table.from_pylist(list(found["sizes"]))).update_layout(height=380)}
    if any(row["state_bits"] is not None for row in found["models"]) or any(c["states"] for c in found["comparisons"]):
        drawn[STANDING[0]] = loss_against_state(found).update_layout(height=380)
    return drawn


def _sizes(found: Row) -> str:
    names = ("best_share", "lru_share", "window_share")
    rows = [
        [(words.count(row["size"]), "t"), *((words.percent(row[name]), "n") for name in names)]
        for row in found["sizes"]
    ]
    return _folded(f"{found['kind']}s served by memories of C associations or tokens", SIZES_HEAD, rows)


def _models(found: Row) -> str:
    closed = {comparison["model"]: comparison for comparison in found["comparisons"]}
    rows = [_model(row, closed.get(row["model"], {})) for row in found["models"]]
    caption = f"State of the models after {words.count(found['length'])} tokens, and the state that closes their gaps"
    return tables.table(caption, MODELS_HEAD, rows)


def _model(row: Row, comparison: Row) -> list[tables.Cell]:
    gap = words.number(comparison.get("gap"), 3, signed=True)
    kept = (row["state_elements"], row["element_bits"], row["state_bits"])
    wanted = (comparison.get("more_than"), comparison.get("enough"))
    numbers = [words.number(row["loss"], 3), gap, *map(words.count, (*kept, *wanted))]
    return [(row["model"], "t"), *((text, "n") for text in numbers)]


def _folded(caption: str, head: tuple[str, ...], rows: list[list[tables.Cell]]) -> str:
    table = tables.table(caption, head, rows)
    return f"<details><summary>Hits served, in numbers</summary>{table}</details>"


def _bits(value: float) -> str:
    return f"{words.count(value)} bit{'' if value == 1 else 's'}"


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>\n"


def _items(texts: Iterable[str]) -> str:
    return f'<ul class="notes">{"".join(f"<li>{escape(text)}</li>" for text in texts)}</ul>\n'
