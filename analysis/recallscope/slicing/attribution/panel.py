"""Per-document sums of the slices of a partition under two models: the one input of all attribution formulas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recallscope.slicing.attribution._intervals import Floats
from recallscope.slicing.attribution.slices import Partition, compact


@dataclass(frozen=True)
class Panel:
    """Sums of K documents (clusters of one document id, sorted by id) and S slices.

    ``tokens``, ``reference`` and ``model`` are [K, S]: number of tokens and losses in nats.
    """

    names: tuple[str, ...]
    document_ids: tuple[str, ...]
    tokens: Floats
    reference: Floats
    model: Floats

    @property
    def differences(self) -> Floats:
        """Loss of the model minus loss of the reference, [K, S] nats."""
        return self.model - self.reference

    @property
    def document_tokens(self) -> Floats:
        """Tokens of each document over all slices, [K]."""
        return self.tokens.sum(axis=1)

    @property
    def document_differences(self) -> Floats:
        """Loss difference of each document over all slices, [K] nats."""
        return self.differences.sum(axis=1)


def clusters(atoms: pa.Table) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Sorted distinct document ids and the index of each atom row's id, [rows]."""
    encoded = atoms.column("document_id").unify_dictionaries().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0) if encoded.num_chunks else pa.array([], pa.string()).dictionary_encode()
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    names = np.array(encoded.dictionary.to_pylist(), dtype=object)
    used, code = compact(encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64))
    ids, merged = np.unique(names[used].astype(str), return_inverse=True)
    return tuple(str(name) for name in ids), merged[code]


def sum_by_document(
    code: NDArray[np.int64], documents: int, index: NDArray[np.int64], slices: int, x: Floats
) -> Floats:
    """Sums of x [rows] per document and slice, [documents, slices]."""
    sums = np.bincount(code * slices + index, weights=x, minlength=documents * slices)
    return sums.astype(np.float64).reshape(documents, slices)


def panel(atoms: pa.Table, part: Partition, model: str, reference: str) -> Panel:
    """Sum the atoms of a partition per document."""
    ids, code = clusters(atoms)

    def total(name: str) -> Floats:
        return sum_by_document(code, len(ids), part.index, len(part.names), atoms.column(name).to_numpy())

    return Panel(part.names, ids, total("tokens"), total(f"loss_{reference}"), total(f"loss_{model}"))


def chosen_models(available: Sequence[str], model: str | None, reference: str | None) -> tuple[tuple[str, ...], str]:
    """The models to compare and the reference; ValueError lists what there is."""
    reference = available[0] if reference is None else reference
    for argument, name in (("reference", reference), ("model", model)):
        if name is not None and name not in available:
            raise ValueError(f"{argument} must be one of {list(available)}, got {name!r}")
    others = tuple(name for name in available if name != reference) if model is None else (model,)
    if not others or model == reference:
        raise ValueError(f"model must differ from the reference {reference!r}; available models: {list(available)}")
    return others, reference
