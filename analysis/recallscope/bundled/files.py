"""Paths of the bundled files, and the held-out text checked against its manifest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from recallscope.bundled.corpus import HELD_OUT_PACKAGES, documents
from recallscope.text import Document, Tokenizer, digest, load_tokenizer

FOLDER = Path(__file__).parent
NAMES = ("attention", "window", "hyena", "based")  # the reference first


def bundled_names() -> tuple[str, ...]:
    """Names of the reference models that are installed, the attention model first."""
    return tuple(name for name in NAMES if (FOLDER / "models" / name / "model.safetensors").is_file())


def bundled_folder(name: str) -> Path:
    """Folder of a reference model: `config.json`, `model.safetensors`, `card.json`."""
    if name not in bundled_names():
        raise ValueError(f"model: one of {', '.join(bundled_names()) or '(none bundled)'}, got {name!r}")
    return FOLDER / "models" / name


def bundled_tokenizer() -> Tokenizer:
    """The byte-level BPE that all reference models share; 4,096 ids, `<|endoftext|>` is 0 and opens every document."""
    return load_tokenizer(FOLDER / "tokenizer.json")


def bundled_counts_path() -> Path:
    """Complete table of bigram counts of the reference models' training text."""
    return FOLDER / "bigrams.parquet"


def held_out_documents() -> Iterator[Document]:
    """The held-out documents of the manifest, each checked against its hash.

    Raises `ValueError` when an installed file differs: the pinned versions of `constraints.txt` are needed, so that
    everyone slices the same text.
    """
    manifest = json.loads((FOLDER / "held_out.json").read_text())
    wanted = {row["id"]: row["sha256"] for row in manifest["documents"]}
    found = 0
    for document in documents(HELD_OUT_PACKAGES):
        if wanted.get(document.id) != digest(document.text):
            raise ValueError(
                f"text: the installed {document.id} differs from the manifest; install the versions of constraints.txt "
                f"({', '.join(f'{name}=={version}' for name, version in manifest['versions'].items())})"
            )
        found += 1
        yield document
    if found != len(wanted):
        raise ValueError(f"text: {len(wanted) - found} held-out files are missing; install with constraints.txt")
