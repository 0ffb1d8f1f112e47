"""Token views: from a document's lists to the compact object that the page reads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

SCALE = 1000  # losses travel as integers of 0.001 nats, half the bytes of decimal fractions

LISTS = ("distance", "slice", "count")


def pack(views: Sequence[Mapping[str, Any]], report: Mapping[str, Any]) -> dict[str, Any]:
    """The token views as one JSON-ready object; see :func:`unpack` for its inverse.

    Losses are rounded to 0.001 nats, a loss that is null or not finite becomes null. Raises ``ValueError`` naming the
    view and the list when lengths differ, a model is missing, a slice index has no name or a distance points nowhere.
    """
    models = [report["reference"], *(comparison["model"] for comparison in report["comparisons"])]
    names = slice_names(report)
    return {
        "scale": SCALE,
        "models": models,
        "slices": names,
        "documents": [_document(view, models, len(names)) for view in views],
    }


def unpack(packed: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The views again, losses rounded to 0.001 nats: what a script needs that reads the data out of a page."""
    return [
        {
            "id": document["id"],
            "text_pieces": document["pieces"],
            "losses": dict(
                zip(packed["models"], (_nats(row, packed["scale"]) for row in document["losses"]), strict=True)
            ),
            **{key: document[key] for key in LISTS},
        }
        for document in packed["documents"]
    ]


def slice_names(report: Mapping[str, Any]) -> list[str]:
    """Names that the views' slice indices refer to: the recall partition, in its order."""
    for comparison in report["comparisons"]:
        if comparison["partitions"].get("recall"):
            return [row["slice"] for row in comparison["partitions"]["recall"]]
    return []


def _document(view: Mapping[str, Any], models: list[str], slices: int) -> dict[str, Any]:
    name, pieces = str(view["id"]), [str(piece) for piece in view["text_pieces"]]
    missing = [model for model in models if model not in view["losses"]]
    if missing:
        raise ValueError(f"views: document {name!r} needs losses of {', '.join(models)}; {', '.join(missing)} missing")
    columns = {f"losses[{model!r}]": view["losses"][model] for model in models} | {key: view[key] for key in LISTS}
    for key, column in columns.items():
        if len(column) != len(pieces):
            raise ValueError(f"views: document {name!r} has {len(pieces)} text_pieces but {len(column)} of {key}")
    return {
        "id": name,
        "pieces": pieces,
        "losses": [[_milli(loss) for loss in view["losses"][model]] for model in models],
        "distance": [_distance(int(d), k, name) for k, d in enumerate(view["distance"])],
        "slice": [_index(s, slices, name) for s in view["slice"]],
        "count": [None if c is None else int(c) for c in view["count"]],
    }


def _distance(distance: int, position: int, name: str) -> int:
    if not 0 <= distance <= position:
        raise ValueError(
            f"views: document {name!r} token {position}: distance must be in 0..{position}; got {distance}"
        )
    return distance


def _index(index: Any, slices: int, name: str) -> int:
    """A slice index; -1 for a token outside every slice (not scored)."""
    number = -1 if index is None else int(index)
    if not -1 <= number < slices:
        raise ValueError(
            f"views: document {name!r}: slice must be -1..{slices - 1} (the recall partition); got {number}"
        )
    return number


def _milli(loss: Any) -> int | None:
    return None if loss is None or not math.isfinite(loss) else round(float(loss) * SCALE)


def _nats(row: Sequence[int | None], scale: int) -> list[float | None]:
    return [None if value is None else value / scale for value in row]
