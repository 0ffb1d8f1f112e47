"""What the arguments of a slicing run name: text, models, tokenizer, training counts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recallscope.bundled import (
    bundled_counts_path,
    bundled_names,
    bundled_tokenizer,
    held_out_documents,
)
from recallscope.slicing.scoring.losses_file import LossesFile, open_losses
from recallscope.slicing.scoring.models import resolve_model
from recallscope.slicing.scoring.score import Scorer
from recallscope.slicing.settings import SliceSettings, text_identity
from recallscope.slicing.tagging.counts import Counts
from recallscope.text import Document, Tokenizer, load_tokenizer, read_documents

TOKEN_SUFFIXES = (".npy", ".bin")
ModelLike = str | Path | Callable
TextLike = str | Path | Sequence[str] | Sequence[Document]


@dataclass(frozen=True)
class Text:
    """A text source: its name, its identity, and how to open it (its documents, or the path of a token array)."""

    name: str
    identity: str
    open: Callable[[], Iterable[Document] | Path]


@dataclass(frozen=True)
class Inputs:
    """Everything a run reads: models, text, tokenizer, and either counts or the training text to count in."""

    models: list[Scorer | LossesFile]
    text: Text
    tokenizer: Tokenizer | None
    counts: Counts | None
    training: Text | None
    vocabulary: int

    def identities(self) -> dict[str, Any]:
        """What tells these inputs from others, for the manifest."""
        counts = hashlib.sha256(self.counts.keys.tobytes() + self.counts.counts.tobytes()) if self.counts else None
        return {
            "models": [[model.name, model.identity] for model in self.models],
            "tokenizer": self.tokenizer.hash if self.tokenizer else None,
            "text": self.text.identity,
            "counts": counts.hexdigest() if counts else None,
            "training_text": self.training.identity if self.training else None,
        }


def resolve_inputs(
    models: Sequence[ModelLike],
    text: TextLike | None,
    tokenizer: str | Path | Tokenizer | None,
    counts: str | Path | Counts | None,
    training_text: TextLike | None,
    settings: SliceSettings,
    device: str,
    batch_tokens: int,
) -> Inputs:
    """Find everything the arguments of `slice_text` name; nothing is scored or written yet."""
    found = resolve_models(models, device, settings.dtype, batch_tokens)
    source = resolve_text(text)
    shared = resolve_tokenizer(models, tokenizer)
    if shared is None and not isinstance(source.open(), Path):
        raise ValueError("tokenizer: the models bring none; name a tokenizer.json or a folder that holds one")
    given, training = resolve_counts(counts, training_text, models, settings.ngram)
    vocabulary = _vocabulary(found, shared)
    if given is not None and given.vocabulary != vocabulary:
        raise ValueError(f"counts: made for {given.vocabulary} token ids, the models have {vocabulary}")
    return Inputs(found, source, shared, given, training, vocabulary)


def _vocabulary(models: Sequence[Scorer | LossesFile], tokenizer: Tokenizer | None) -> int:
    """Ids that tokens may have: the tokenizer's, or without one the smallest model's, or 2³¹."""
    sizes = {m.name: m.vocabulary for m in models if isinstance(m, Scorer) and m.vocabulary is not None}
    if tokenizer is None:
        return min(sizes.values(), default=2**31)
    for name, size in sizes.items():
        if size < tokenizer.vocabulary:
            raise ValueError(f"tokenizer: has {tokenizer.vocabulary} ids, but model {name} knows only {size}")
    return tokenizer.vocabulary


def resolve_text(text: TextLike | None) -> Text:
    """The held-out text by default, else whatever `read_documents` reads, a token array, or documents in memory."""
    if text is None:
        return Text("held-out packages", "bundled:held_out", held_out_documents)
    if isinstance(text, (str, Path)):
        path = Path(text)
        if path.suffix in TOKEN_SUFFIXES:
            return Text(path.name, text_identity(path), lambda: path)
        if not str(text).startswith("hf:") and not path.exists():
            raise ValueError(f"text: {text} does not exist")
        return Text(str(text), text_identity(text), lambda: read_documents(text))
    documents = [one if isinstance(one, Document) else Document(str(at), one) for at, one in enumerate(text)]
    if not documents:
        raise ValueError("text: at least one document, got an empty list")
    return Text("documents in memory", text_identity(documents), lambda: documents)


def resolve_models(
    models: Sequence[ModelLike], device: str, dtype: str | None, batch_tokens: int
) -> list[Scorer | LossesFile]:
    """Scorers and losses files, in the order given; `NAME=FILE.parquet` names a file of losses."""
    if len(models) < 2:
        raise ValueError(f"models: at least two, the reference first, got {len(models)}")
    found: list[Scorer | LossesFile] = []
    for model in models:
        name, separator, file = str(model).partition("=")
        if isinstance(model, str) and separator and file.endswith(".parquet"):
            found.append(open_losses(name, file))
        else:
            scorer = resolve_model(model, device, dtype)
            scorer.batch_tokens = batch_tokens
            found.append(scorer)
    names = [one.name for one in found]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"models: names must differ, got {', '.join(repeated)} more than once")
    return found


def resolve_tokenizer(models: Sequence[ModelLike], given: str | Path | Tokenizer | None) -> Tokenizer | None:
    """The tokenizer all models share, or the given one; None when neither the models nor the caller name one.

    Raises `ValueError` when two models have different tokenizers.
    """
    if isinstance(given, Tokenizer):
        return given
    if given is not None:
        return load_tokenizer(given)
    found: dict[str, tuple[str, Tokenizer]] = {}
    for model in models:
        tokenizer = _tokenizer_of(model)
        if tokenizer is not None:
            found.setdefault(tokenizer.hash, (str(model), tokenizer))
    if len(found) > 1:
        names = " and ".join(name for name, _ in found.values())
        raise ValueError(f"models: {names} have different tokenizers; their losses per token cannot be compared")
    return next((tokenizer for _, tokenizer in found.values()), None)


def _tokenizer_of(model: ModelLike) -> Tokenizer | None:
    if not isinstance(model, (str, Path)) or "=" in str(model):
        return None
    if str(model) in bundled_names():
        return bundled_tokenizer()
    path = Path(model)
    if path.is_dir() and not any((path / name).exists() for name in ("tokenizer.json", "tokenizer_config.json")):
        return None
    return load_tokenizer(model)


def resolve_counts(
    given: str | Path | Counts | None, training_text: TextLike | None, models: Sequence[ModelLike], ngram: int
) -> tuple[Counts | None, Text | None]:
    """Counts that exist, or the training text to count in, or neither.

    Bundled models bring the complete bigram counts of the text they were trained on.
    """
    if given is not None and training_text is not None:
        raise ValueError("counts: give either counts or training_text, not both")
    if training_text is not None:
        return None, resolve_text(training_text)
    if given is None and ngram == 2 and all(str(model) in bundled_names() for model in models):
        given = bundled_counts_path()
    if given is None:
        return None, None
    counts = given if isinstance(given, Counts) else Counts.load(given)
    if counts.n != ngram:
        raise ValueError(f"counts: must be of {ngram}-grams, got {counts.n}-grams")
    return counts, None
