"""Text for specialised models: windows within documents, domains with a test of their own, the generic pool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np

from recallscope.bundled import TRAINING_PACKAGES, documents
from recallscope.text import Document, Tokenizer, read_documents

PACKAGES = ("networkx", "scipy", "jedi")
"""Domains that every installation has: graph algorithms, scientific computing, type stubs. None is generic text."""
TEST_DOCUMENTS = 32
"""Test documents of a domain at most; one window of each."""
FEWEST_TEST_DOCUMENTS = 8
POOL_WINDOWS = 4096
"""Windows of a domain that specialisation sets are drawn from, at most."""


@dataclass(frozen=True)
class Windows:
    """Stretches of text: `ids` `[n, context + 1]` (inputs and targets), and the number of the `document` of each."""

    ids: np.ndarray
    document: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Domain:
    """Text of one domain: windows that specialisation sets are drawn from, and windows of other documents to test."""

    name: str
    train: Windows
    test: Windows

    def specialisation(self, tokens: int, seed: int) -> np.ndarray:
        """`[tokens / context, context + 1]`: a random set; smaller sets of one seed lie within its larger ones."""
        context = self.train.ids.shape[1] - 1
        wanted = tokens // context
        if not 1 <= wanted <= len(self.train):
            raise ValueError(
                f"tokens: {context} to {len(self.train) * context} of domain {self.name} (windows of {context}), "
                f"got {tokens}"
            )
        order = np.random.default_rng([seed, 1]).permutation(len(self.train))
        return self.train.ids[order[:wanted]]


def windows_of(source: Iterable[Document], tokenizer: Tokenizer, context: int, most: int) -> Windows:
    """The first `most` windows of the documents; every window lies in one document, which begins with BOS.

    Consecutive windows of a document share one token: the last target of one is the first input of the next. What is
    left over at the end of a document is dropped, and so are documents of fewer than `context` + 1 tokens.
    """
    bos = [] if tokenizer.bos is None else [tokenizer.bos]
    found, owner, count, number = [], [], 0, 0
    remaining = iter(source)
    while count < most and (batch := list(islice(remaining, 64))):
        for ids in tokenizer.encode([one.text for one in batch]):
            ids = np.concatenate([np.array(bos, ids.dtype), ids])
            whole = min((len(ids) - 1) // context, most - count)
            if whole > 0:
                cut = np.lib.stride_tricks.sliding_window_view(ids, context + 1)[: whole * context : context]
                found.append(cut.astype(np.uint16 if tokenizer.vocabulary <= 1 << 16 else np.uint32))
                owner.append(np.full(whole, number))
                count += whole
                number += 1
    if not found:
        return Windows(np.zeros((0, context + 1), np.uint16), np.zeros(0, int))
    return Windows(np.concatenate(found), np.concatenate(owner))


def domain(name: str, source: Iterable[Document], tokenizer: Tokenizer, context: int) -> Domain:
    """A domain from its documents: every fourth tests, by one random window; the others are for training.

    Raises `ValueError` for a domain that has no text, or too few documents of `context` + 1 tokens.
    """
    test, train, number = [], [], 0
    every = windows_of(source, tokenizer, context, POOL_WINDOWS)
    rng = np.random.default_rng(0)
    for number in range(every.document[-1] + 1 if len(every) else 0):
        own = np.flatnonzero(every.document == number)
        if number % 4 == 0 and len(test) < TEST_DOCUMENTS:
            test.append(rng.choice(own, 1))
        else:
            train.append(own)
    if len(test) < FEWEST_TEST_DOCUMENTS:
        found = number + 1 if len(every) else 0
        raise ValueError(
            f"domain: {name} needs {4 * FEWEST_TEST_DOCUMENTS - 3} documents or more of at least {context + 1} tokens, "
            f"got {found}" + ("" if found else " (no text)")
        )
    parts = (np.concatenate(chosen) for chosen in (train, test))
    return Domain(name, *(Windows(every.ids[own], every.document[own]) for own in parts))


def domains(own: Mapping[str, str], tokenizer: Tokenizer, context: int) -> list[Domain]:
    """The domains named by their sources (`read_documents`); of none, those that every installation has."""
    sources = {name: read_documents(path) for name, path in own.items()} if own else {}
    sources = sources or {name: documents((name,)) for name in PACKAGES}
    return [domain(name, source, tokenizer, context) for name, source in sources.items()]


def generic(tokenizer: Tokenizer, context: int, most: int) -> tuple[Windows, Windows]:
    """Generic text, the bundled models' training packages: windows to train on, and windows of other documents."""
    every = windows_of(documents(TRAINING_PACKAGES), tokenizer, context, most)
    test = every.document % 32 == 0
    _, first = np.unique(every.document[test], return_index=True)
    chosen = np.flatnonzero(test)[first[: 2 * TEST_DOCUMENTS]]
    return tuple(Windows(every.ids[where], every.document[where]) for where in (~test, chosen))  # type: ignore[return-value]
