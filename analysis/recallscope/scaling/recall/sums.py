"""Losses of the grid's models on held-out text, as per-document sums of the slices that the law is fitted to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from recallscope.slicing.attribution import atoms
from recallscope.slicing.attribution.panel import clusters, sum_by_document
from recallscope.slicing.attribution.slices import column
from recallscope.slicing.attribution.thresholds import ZOOLOGY, threshold_count
from recallscope.slicing.job import Job, document_ids, tokenize_text
from recallscope.slicing.merge import merge
from recallscope.slicing.scoring import Scorer, Windowing
from recallscope.slicing.scoring.models import resolve_model
from recallscope.slicing.settings import SliceSettings
from recallscope.slicing.steps import count_training, score_model, tag_shards
from recallscope.text import Document, Tokenizer

NEAR = 64
"""Tokens; a repeat is near if its previous occurrence lies less than this far back."""
SLICES = (
    "AR hit, near",
    "AR hit, far",
    "repeat, frequent, near",
    "repeat, frequent, far",
    "new, rare",
    "new, frequent",
)
GROUPS = {
    "AR": SLICES[:2],
    "other": SLICES[2:],
    "all": SLICES,
    "repeat": SLICES[:4],
    "new": SLICES[4:],
    **{name: (name,) for name in SLICES},
}
"""Unions of slices: what is seen as one loss. AR hits are repeats that the training text does not hold."""


def cut(documents: Iterable[Document], count: int, characters: int) -> Iterator[Document]:
    """The beginnings of the first `count` documents: many short ones say more than few long ones of as many tokens."""
    return (Document(one.id, one.text[:characters]) for one in islice(documents, count))


def loss_sums(
    models: Mapping[str, str | Path],
    documents: Iterable[Document],
    tokenizer: Tokenizer,
    training: str | Path,
    work: str | Path,
    context: int = 512,
) -> pa.Table:
    """Score documents with every model and sum the losses by document and slice.

    `models` are folders by name; `training` is the token array (`tokens.bin`) that all were trained on parts of: a
    bigram is rare if it occurs at most Zoology's 0.125 times per million tokens there, for every model alike, whatever
    part it was trained on, so that the slices hold the same tokens. Windows are disjoint, of `context` tokens; a repeat
    counts if it is visible in the window. `work` keeps finished losses: models may be added later.

    Returns a table of one row per document and slice: `document`, `slice`, `tokens`, and for each model `loss_<name>`,
    the sum in nats.
    """
    work = Path(work)
    work.mkdir(parents=True, exist_ok=True)
    job = Job(work, SliceSettings(Windowing(context, context)), tokenizer.bos, tokenizer.vocabulary)
    shards = tokenize_text(job, documents, tokenizer, _quiet)
    tag_shards(job, shards, _quiet)
    counts = count_training(job, shards, lambda: Path(training), tokenizer, str(training), _quiet)
    for name, folder in models.items():
        score_model(job, name, partial(_named, name, folder), shards, _quiet)
    records = work / "records.parquet"
    metadata = {"format": "recallscope-records-1", "models": list(models), "window": context}
    merge(job, shards, list(models), counts, records, metadata)
    rare = threshold_count(ZOOLOGY.per_million, counts.tokens)
    return sums_of(atoms(records, rare, document_ids=document_ids(job, shards)), list(models))


def sums_of(table: pa.Table, models: list[str]) -> pa.Table:
    """Atoms to rows of one document and slice each, sorted by document; slices without tokens are left out."""
    ids, code = clusters(table)
    index = _slice_index(table)
    sums = {
        name: sum_by_document(code, len(ids), index, len(SLICES), table.column(name).to_numpy()).ravel()
        for name in ("tokens", *(f"loss_{model}" for model in models))
    }
    kept = np.flatnonzero(sums["tokens"])
    columns = {
        "document": pa.array([ids[k // len(SLICES)] for k in kept]),
        "slice": pa.array([SLICES[k % len(SLICES)] for k in kept]),
        "tokens": pa.array(sums.pop("tokens")[kept].astype(np.int64)),
    }
    return pa.table(columns | {name: pa.array(values[kept]) for name, values in sums.items()})


def _slice_index(table: pa.Table) -> np.ndarray:
    """Index into `SLICES` of each atom: a bin b of distances begins at 2^(b-1)."""
    distance, rare = column(table, "distance_bin"), column(table, "rare") == 1
    far = distance >= NEAR.bit_length()
    return np.where(distance == 0, 4 + ~rare, 2 * ~rare + far)


def _named(name: str, folder: str | Path) -> Scorer:
    return replace(resolve_model(folder), name=name)


def _quiet(tokens: int) -> None:
    """Progress is shown by whoever calls for the whole grid."""
