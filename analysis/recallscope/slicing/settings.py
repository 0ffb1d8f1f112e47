"""What a slicing run depends on, and the manifest that says so on disk."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from recallscope.checks import check_folder, parsed
from recallscope.disk import write_text
from recallscope.slicing.attribution.thresholds import CONVENTIONS, ZOOLOGY
from recallscope.slicing.scoring.windows import Windowing
from recallscope.text import Document

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class SliceSettings:
    """Everything about a run but its models and its text.

    Attributes
    ----------
    windowing : Windowing
        Window length, stride and BOS rule.
    ngram : int
        Length of the n-grams whose repeats are recall: 2 to 4.
    per_million : float
        Headline threshold: an n-gram is rare if it occurs at most this often per million training tokens. The default
        is Zoology's 1,250 in 10 billion.
    inclusive : bool
        Whether that rate itself still counts as rare.
    scored : {"all", "last half"}
        "last half": the report counts tokens with at least half a window before them only (records keep them all).
    cap : int
        Cap of the longest match.
    limit : int or None
        Only the first so many documents.
    shard_tokens : int
        Tokens per shard: the unit of resuming.
    dtype : str or None
        Of Hugging Face models; None leaves it to the folder.
    """

    windowing: Windowing = field(default_factory=Windowing)
    ngram: int = 2
    per_million: float = ZOOLOGY.per_million
    inclusive: bool = True
    scored: str = "all"
    cap: int = 8
    limit: int | None = None
    shard_tokens: int = 500_000
    dtype: str | None = None

    def __post_init__(self) -> None:
        if self.ngram not in (2, 3, 4):
            raise ValueError(f"ngram: 2, 3 or 4, got {self.ngram}")
        if not self.per_million >= 0:
            raise ValueError(f"per_million: a rate of at least 0, got {self.per_million}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit: at least 1 document, got {self.limit}")
        if self.shard_tokens < 1:
            raise ValueError(f"shard_tokens: at least 1, got {self.shard_tokens}")


def convention_settings(name: str, limit: int | None = None, dtype: str | None = None) -> SliceSettings:
    """Settings of a published convention, "zoology" or "jrt": windows of 2,048, its threshold, its scored tokens.

    What each paper leaves open, and what is chosen here, stands in `CONVENTIONS[name].ambiguous`.
    """
    if name not in CONVENTIONS:
        raise ValueError(f"convention: one of {', '.join(CONVENTIONS)}, got {name!r}")
    chosen = CONVENTIONS[name]
    return SliceSettings(
        windowing=Windowing(2048, 2048),
        ngram=chosen.ngram,
        per_million=chosen.per_million,
        inclusive=chosen.inclusive,
        scored=chosen.scored,
        limit=limit,
        dtype=dtype,
    )


def text_identity(source: str | Path | Iterable[Document]) -> str:
    """Hash of a text source: names, sizes and times of its files; or the documents themselves when given in memory."""
    found = hashlib.sha256()
    if isinstance(source, (str, Path)):
        path = Path(source)
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            if file.exists():
                status = file.stat()
                found.update(f"{file}:{status.st_size}:{status.st_mtime_ns}\n".encode())
            else:
                found.update(str(file).encode())  # hf:NAME, or missing: the reader says so
    else:
        for document in source:
            given = f"{document.given}\0" if document.given else ""
            found.update(f"{document.id}\0{document.text}\0{given}".encode())
    return found.hexdigest()


def manifest_of(settings: SliceSettings, identities: dict[str, Any]) -> dict[str, Any]:
    """The fingerprint of a run: two runs with the same one give the same records."""
    return {"format": "recallscope-run-1", "settings": asdict(settings), **identities}


def claim_folder(out: Path, manifest: dict[str, Any]) -> None:
    """Make `out` this run's folder, or check that it already is; a folder with another run is refused untouched."""
    file = out / MANIFEST
    check_folder("out", out)
    if file.is_file():
        held = parsed(file.read_bytes(), f"out: {file}, the manifest of a run,")
        if not isinstance(held, dict):
            raise ValueError(f"out: {file} is not a manifest; choose another folder")
        differing = _differences(held, json.loads(json.dumps(manifest)))
        if differing:
            raise ValueError(f"out: {out} holds a different run (differs in {differing}); choose another folder")
        return
    for name in ("records.parquet", "atoms.parquet", "report.json", "report.html"):
        if (out / name).exists():
            raise ValueError(f"out: {out} holds a {name} of an unknown run; choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(manifest, indent=2) + "\n")


@contextmanager
def released_on_bad_input(out: Path) -> Iterator[None]:
    """Give the folder back when bad input shows before anything was scored, so that a better call may use it."""
    try:
        yield
    except ValueError:
        work = out / "work"
        if not any(work.rglob("losses-*.npy")):
            shutil.rmtree(work, ignore_errors=True)
            (out / MANIFEST).unlink(missing_ok=True)
        raise


def _differences(held: dict, wanted: dict) -> str:
    names = []
    for name in sorted(held.keys() | wanted.keys()):
        one, other = held.get(name), wanted.get(name)
        if one == other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            names.append(_differences(one, other))
        elif isinstance(one, (int, float, bool)) or isinstance(other, (int, float, bool)):
            names.append(f"{name}: there {one}, here {other}")
        else:
            names.append(name)
    return ", ".join(names)
