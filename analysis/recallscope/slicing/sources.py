"""What the arguments of a slicing run name: text, models, tokenizer, training counts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from recallscope.slicing.segments.units import Units
from recallscope.slicing.settings import SliceSettings, text_identity
from recallscope.slicing.tagging.counts import Counts
from recallscope.text import Document, Encoder, Tokenizer, load_tokenizer, read_documents

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
    """Everything a run reads: models, text, tokenizer, and either counts or the training text to count in.

    `mixed` holds the tokenizer of each model, by its name, if they differ; `tokenizer` then gives neutral units.
    """

    models: list[Scorer | LossesFile]
    text: Text
    tokenizer: Encoder | None
    mixed: dict[str, Tokenizer]
    counts: Counts | None
    training: Text | None
    vocabulary: int

    def identities(self) -> dict[str, Any]:
        """What tells these inputs from others, for the manifest."""
        counts = hashlib.sha256(self.counts.keys.tobytes() + self.counts.counts.tobytes()) if self.counts else None
        return {
            "models": [[model.name, model.identity] for model in self.models],
            "tokenizer": self.tokenizer.hash if self.tokenizer else None,
            **({"tokenizers": {name: one.hash for name, one in self.mixed.items()}} if self.mixed else {}),
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
    own = resolve_tokenizers(models, found, tokenizer)
    different = len({one.hash for one in own.values()}) > 1
    encoder = Units() if different else next(iter(own.values()), None)
    if encoder is None and not isinstance(source.open(), Path):
        raise ValueError("tokenizer: the models bring none; name a tokenizer.json or a folder that holds one")
    if different and isinstance(source.open(), Path):
        raise ValueError("text: the models have different tokenizers and need text, got an array of tokens")
    given, training = resolve_counts(counts, training_text, models, settings.ngram)
    known = _vocabulary(found, own)
    vocabulary = Units.vocabulary if different else known
    if given is not None and given.vocabulary != vocabulary:
        raise ValueError(f"counts: made for {given.vocabulary} token ids, the models have {vocabulary}")
    return Inputs(found, source, encoder, own if different else {}, given, training, vocabulary)


def _vocabulary(models: Sequence[Scorer | LossesFile], tokenizers: Mapping[str, Tokenizer]) -> int:
    """Ids that tokens may have: those of a tokenizer, or without one the smallest model's, or 2³¹."""
    sizes = {m.name: m.vocabulary for m in models if isinstance(m, Scorer) and m.vocabulary is not None}
    if not tokenizers:
        return min(sizes.values(), default=2**31)
    for name, size in sizes.items():
        ids = tokenizers[name].vocabulary
        if size < ids:
            raise ValueError(f"tokenizer: has {ids} ids, but model {name} knows only {size}")
    return max(one.vocabulary for one in tokenizers.values())


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


def resolve_tokenizers(
    models: Sequence[ModelLike], found: Sequence[Scorer | LossesFile], given: str | Path | Tokenizer | None
) -> dict[str, Tokenizer]:
    """The tokenizer of each model, by its name: the given one, its own, or that of the others; empty if there is none.

    Raises `ValueError` when two models have different tokenizers and a third none of its own.
    """
    if given is not None:
        one = given if isinstance(given, Tokenizer) else load_tokenizer(given)
        return {model.name: one for model in found}
    own = {model.name: tokenizer_of(name) for name, model in zip(models, found, strict=True)}
    known = {one.hash: one for one in own.values() if one is not None}
    without = [name for name, one in own.items() if one is None]
    if len(known) > 1 and without:
        raise ValueError(
            f"models: the tokenizers differ, and {', '.join(without)} brings none: name --tokenizer, or leave it out"
        )
    return {name: one or next(iter(known.values())) for name, one in own.items()} if known else {}


def tokenizer_of(model: ModelLike) -> Tokenizer | None:
    """The tokenizer that a model brings, None if it brings none."""
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
