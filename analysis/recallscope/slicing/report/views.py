"""Documents for the token view of the report: which ones, and what each token shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from recallscope.slicing.attribution.atoms import metadata_of
from recallscope.slicing.records import Records
from recallscope.slicing.tagging.tags import visible

Shown = Callable[[int, np.ndarray, np.ndarray, np.ndarray], tuple[list[str], np.ndarray]]
"""From a document's number and the positions, ids and distances of some of its tokens to their texts, and how many of
the shown ones ago each was seen (0: not)."""

Given = Callable[[Sequence[int]], Mapping[int, np.ndarray]]
"""From documents' numbers to the tokens of the contexts that some of them were given."""

VIEW_TOKENS = 40_000  # in all documents of the page
LONGEST = 4_000  # of one document; the rest of it is not shown


def document_views(
    records: Records,
    atoms: pa.Table,
    names: Sequence[str],
    ids: Sequence[str],
    shown: Shown,
    given: Given | None = None,
) -> list[dict[str, Any]]:
    """The documents with the largest loss difference on AR hits per token, until 40,000 tokens are reached.

    Each is `{"id", "text_pieces", "losses", "distance", "slice", "count"}`, cut to its first 4,000 tokens. Tokens that
    were not scored (the first of a document without BOS) are left out, but for those of a `given` context. `names` are
    the slices of the recall partition, `shown` says how a token looks.
    """
    chosen = _chosen(atoms, records.models)
    contexts = given(chosen) if given else {}
    columns = ["document", "position", "token", "context", f"distance_{records.metadata['ngram']}", "count"]
    columns += [f"loss_{model}" for model in records.models]
    threshold = _threshold(atoms)
    table = records.documents(chosen, columns)
    documents = table["document"].to_numpy()
    views = []
    for document in chosen:
        rows = table.filter(pa.array(documents == document)).slice(0, LONGEST)
        view = _view(rows, document, ids[document], records, names, threshold, shown)
        views.append(_after(contexts[document], view, document, shown) if document in contexts else view)
    return views


def _after(context: np.ndarray, view: dict[str, Any], document: int, shown: Shown) -> dict[str, Any]:
    """The view with the last tokens of a context before it, which have no loss and are in no slice."""
    context = context[len(context) - min(len(context), LONGEST - len(view["distance"])) :]
    nothing = np.zeros(len(context), dtype=np.int64)
    pieces, _ = shown(document, nothing, context, nothing)
    distance = np.append(nothing, view["distance"])
    return view | {
        "text_pieces": [*pieces, *view["text_pieces"]],
        "losses": {model: [None] * len(context) + losses for model, losses in view["losses"].items()},
        "distance": np.where(distance > np.arange(len(distance)), 0, distance).tolist(),
        "slice": [-1] * len(context) + view["slice"],
        "count": [None] * len(context) + view["count"],
    }


def token_views(
    tokenizer: Any, document: int, positions: np.ndarray, tokens: np.ndarray, distance: np.ndarray
) -> tuple[list[str], np.ndarray]:
    """A token is the text that its tokenizer gives it, without one its id, and lies as far back as it says."""
    ids = tokens.tolist()
    return tokenizer.pieces(ids) if tokenizer else [f"{one} " for one in ids], distance


def _chosen(atoms: pa.Table, models: list[str]) -> list[int]:
    """Document numbers, those first whose AR hits (repeats, where counts are unknown) cost the other models most."""
    document = atoms["document"].to_numpy()
    hits = (atoms["distance_bin"].to_numpy() > 0) & (atoms["rare"].to_numpy() != 0)
    reference, *others = (atoms[f"loss_{model}"].to_numpy() for model in models)
    excess = np.where(hits, sum(others) / len(others) - reference, 0.0)
    size = int(document.max()) + 1
    tokens = np.bincount(document, atoms["tokens"].to_numpy(), size)
    # Short documents would win by chance alone: 500 tokens are added to each.
    order = np.argsort(-np.bincount(document, excess, size) / (tokens + 500), kind="stable")
    order = order[tokens[order] > 0]
    shown = np.minimum(tokens[order], LONGEST)
    return order[np.cumsum(shown) - shown < VIEW_TOKENS - LONGEST].tolist()


def _threshold(atoms: pa.Table) -> int | None:
    return metadata_of(atoms.schema)["threshold"]["count"]


def _view(
    rows: pa.Table,
    document: int,
    name: str,
    records: Records,
    names: Sequence[str],
    threshold: int | None,
    shown: Shown,
) -> dict[str, Any]:
    ngram = records.metadata["ngram"]
    distance = rows[f"distance_{ngram}"].to_numpy()
    distance = np.where(visible(distance, rows["context"].to_numpy(), ngram), distance, 0)
    pieces, ago = shown(document, rows["position"].to_numpy(), rows["token"].to_numpy(), distance)
    return {
        "id": name,
        "text_pieces": pieces,
        "losses": {model: rows[f"loss_{model}"].to_pylist() for model in records.models},
        "distance": ago.tolist(),
        "slice": _slices(distance > 0, rows["count"].to_pylist(), names, threshold),
        "count": rows["count"].to_pylist(),
    }


def _slices(repeat: np.ndarray, counts: list[int | None], names: Sequence[str], threshold: int | None) -> list[int]:
    """Index of each token's slice in the recall partition (see `slices.by_recall`)."""
    index = {name: at for at, name in enumerate(names)}

    def name_of(repeated: bool, count: int | None) -> str:
        if count is None or threshold is None:
            return "repeat" if repeated else "new"
        if count <= threshold:
            return "AR hit" if repeated else "new, rare"
        return "repeat, frequent" if repeated else "new, frequent"

    return [index.get(name_of(bool(r), c), -1) for r, c in zip(repeat, counts, strict=True)]
