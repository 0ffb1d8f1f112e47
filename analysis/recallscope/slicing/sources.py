"""What the arguments of a slicing run name: text, models, tokenizer, training counts."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from recallscope.bundled import (
    bundled_counts_path,
    bundled_names,
    held_out_documents,
)
from recallscope.slicing.model_tokenizers import ModelLike as ModelLike
from recallscope.slicing.model_tokenizers import resolve_tokenizers, vocabulary_of
from recallscope.slicing.scoring.losses_file import LossesFile, check_chunks, open_losses
from recallscope.slicing.scoring.models import resolve_model
from recallscope.slicing.scoring.score import Scorer
from recallscope.slicing.segments.units import Units
from recallscope.slicing.settings import SliceSettings, text_identity
from recallscope.slicing.tagging.counts import Counts
from recallscope.text import Document, Encoder, Tokenizer, read_documents

MOST_TOKENS = 1 << 20  # in a batch: two shards
TOKEN_SUFFIXES = (".npy", ".bin", ".kld")
LOSSES_SUFFIXES = (".parquet", ".kld")
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

    `open` makes each model anew, by its name, wherever it is to run; those in `models` never score.
    `mixed` holds the tokenizer of each model, by its name, if they differ; `tokenizer` then gives neutral units.
    """

    models: list[Scorer | LossesFile]
    open: Mapping[str, Callable[[], Scorer | LossesFile]]
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
    away: bool = False,
) -> Inputs:
    """Find everything the arguments of `slice_text` name; nothing is scored or written yet.

    `away`: the models will run on other machines, and `device` is one of theirs.
    """
    found = resolve_models(models, "cpu" if away else device, settings.dtype, batch_tokens)
    openers = {
        one.name: partial(open_model, model, device, settings.dtype, batch_tokens, one.identity)
        for model, one in zip(models, found, strict=True)
    }
    source = resolve_text(text)
    own = resolve_tokenizers(models, found, tokenizer)
    different = len({one.hash for one in own.values()}) > 1
    encoder = Units() if different else next(iter(own.values()), None)
    if encoder is None and not isinstance(source.open(), Path):
        raise ValueError("tokenizer: the models bring none; name a tokenizer.json or a folder that holds one")
    if different and isinstance(source.open(), Path):
        raise ValueError("text: the models have different tokenizers and need text, got an array of tokens")
    if different and not isinstance(text, (str, Path)) and any(getattr(one, "given", 0) for one in text or ()):
        raise ValueError("text: models with different tokenizers cannot be given a context; name one --tokenizer")
    if isinstance(text, (str, Path)) and Path(text).suffix == ".kld":
        check_chunks(Path(text), settings.windowing)
        if encoder is None and any(isinstance(one, Scorer) for one in found):
            raise ValueError(f"tokenizer: name one, to know whether the chunks of {text} open with a BOS")
    given, training = resolve_counts(counts, training_text, models, settings.ngram)
    known = vocabulary_of(found, own)
    vocabulary = Units.vocabulary if different else known
    if given is not None and given.vocabulary != vocabulary:
        raise ValueError(f"counts: made for {given.vocabulary} token ids, the models have {vocabulary}")
    return Inputs(found, openers, source, encoder, own if different else {}, given, training, vocabulary)


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
    if not 1 <= batch_tokens <= MOST_TOKENS:
        raise ValueError(f"batch_tokens: 1 to {MOST_TOKENS:,}, got {batch_tokens}")
    if len(models) < 2:
        raise ValueError(f"models: at least two, the reference first, got {len(models)}")
    found = [open_model(model, device, dtype, batch_tokens) for model in models]
    names = [one.name for one in found]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"models: names must differ, got {', '.join(repeated)} more than once")
    return found


def open_model(
    model: ModelLike, device: str, dtype: str | None, batch_tokens: int, identity: str | None = None
) -> Scorer | LossesFile:
    """The scorer or the losses file that an argument names; `ValueError` if it is not the one with this `identity`."""
    name, separator, file = str(model).partition("=")
    found: Scorer | LossesFile
    if isinstance(model, str) and separator and file.endswith(LOSSES_SUFFIXES):
        found = open_losses(name, file)
    else:
        found = resolve_model(model, device, dtype)
        found.batch_tokens = batch_tokens
    if identity is not None and found.identity != identity:
        raise ValueError(f"models: {found.name} on {platform.node()} is not the same as where the run was started")
    return found


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
