"""A tokenizer with an identity: encoding in batches, the text of each token, and a hash to compare two of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from recallscope.checks import parsed


class Encoder(Protocol):
    """What gives texts their tokens: a `Tokenizer`, or something else with ids of its own."""

    @property
    def bos(self) -> int | None: ...
    @property
    def hash(self) -> str: ...
    @property
    def vocabulary(self) -> int: ...
    def encode(self, texts: Sequence[str]) -> list[np.ndarray]: ...


@dataclass(frozen=True)
class Spans:
    """The tokens of one text: ids uint32[T]; where each ends, in characters, int64[T], never decreasing; after which of
    them all characters so far are complete, bool[T] (one character can take several tokens); and whether the text comes
    back from the ids, so that the model saw all of it."""

    ids: np.ndarray
    ends: np.ndarray
    complete: np.ndarray
    faithful: bool


@dataclass(frozen=True)
class Tokenizer:
    """A `tokenizers.Tokenizer`, the id that opens a document (None: there is none), and a hash of the vocabulary."""

    backend: Any
    bos: int | None
    hash: str

    @property
    def vocabulary(self) -> int:
        """Number of ids."""
        return self.backend.get_vocab_size()

    @cached_property
    def _plain(self) -> Any:
        """The backend without post-processing: byte-level post-processors take white space off the offsets."""
        whole = json.loads(self.backend.to_str())
        try:
            return type(self.backend).from_str(json.dumps(whole | {"post_processor": None}))
        except Exception as error:  # two tokens of one id: one of them is lost when it is written
            raise ValueError(f"tokenizer: contradicts itself ({error})") from None

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Token ids of each text, uint32, without special tokens."""
        found = self.backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(one.ids, dtype=np.uint32) for one in found]

    def spans(self, texts: Sequence[str]) -> list[Spans]:
        """Token ids of each text with the characters that they cover."""
        plain = self._plain
        found = plain.encode_batch(list(texts), add_special_tokens=False)
        decoded = plain.decode_batch([one.ids for one in found], skip_special_tokens=False)
        return [
            _spans(one.ids, one.offsets, text, again) for one, text, again in zip(found, texts, decoded, strict=True)
        ]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Text of each token; bytes that are not UTF-8 by themselves (part of a character) come as U+FFFD."""
        return self.backend.decode_batch([[int(one)] for one in ids], skip_special_tokens=False)


def load_tokenizer(source: str | Path) -> Tokenizer:
    """The tokenizer of a model folder, a `tokenizer.json` file, or (through transformers) a hub name.

    Raises `ValueError` when there is none. `bos` is the beginning-of-text token, or the end-of-text token where models
    use that one for both, as GPT-2 does.
    """
    path = Path(source)
    file = path / "tokenizer.json" if path.is_dir() else path
    if file.is_file():
        return _from_file(file)
    if path.exists() and not (path.is_dir() and (path / "tokenizer_config.json").exists()):
        raise ValueError(f"tokenizer: {path} holds no tokenizer.json; name one")
    return _from_transformers(str(source))


def _from_file(file: Path) -> Tokenizer:
    from tokenizers import Tokenizer as Backend

    try:
        backend = Backend.from_file(str(file))
    except Exception as error:  # tokenizers raises bare Exception
        raise ValueError(f"tokenizer: {file} is not a tokenizer.json ({error})") from None
    backend.no_truncation()
    backend.no_padding()
    return _identified(backend, _declared_bos(file.parent))


def _declared_bos(folder: Path) -> str | None:
    """The bos (else eos) token that `tokenizer_config.json` beside the tokenizer names."""
    file = folder / "tokenizer_config.json"
    declared = parsed(file.read_bytes(), f"tokenizer: {file}") if file.is_file() else {}
    if not isinstance(declared, dict):
        raise ValueError(f"tokenizer: {file} must hold an object, got {declared!r:.40}")
    token = declared.get("bos_token") or declared.get("eos_token")
    return token["content"] if isinstance(token, dict) else token


def _from_transformers(name: str) -> Tokenizer:
    from transformers import AutoTokenizer

    try:
        slow_or_fast = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"tokenizer: none found for {name!r} ({str(error).splitlines()[0]})") from None
    backend = getattr(slow_or_fast, "backend_tokenizer", None)
    if backend is None:
        raise ValueError(f"tokenizer: {name!r} has no fast tokenizer (tokenizer.json); convert it first")
    return _identified(backend, slow_or_fast.bos_token or slow_or_fast.eos_token)


def _identified(backend: Any, bos_token: str | None) -> Tokenizer:
    for candidate in (bos_token, "<|endoftext|>", "<s>", "<|begin_of_text|>"):
        bos = backend.token_to_id(candidate) if candidate else None
        if bos is not None:
            break
    return Tokenizer(backend, bos, hashlib.sha256(_content(backend)).hexdigest())


def _content(backend: Any) -> bytes:
    """What decides the ids: everything in the tokenizer's JSON but its version and post-processing."""
    whole = json.loads(backend.to_str())
    kept = {name: whole.get(name) for name in ("normalizer", "pre_tokenizer", "model", "added_tokens")}
    return json.dumps(kept, sort_keys=True).encode()


def _spans(ids: Sequence[int], offsets: Sequence[tuple[int, int]], text: str, decoded: str) -> Spans:
    begins, ends = np.array(offsets, dtype=np.int64).reshape(-1, 2).T
    complete = np.append(begins[1:] >= ends[:-1], True)[: len(ends)]
    # Many tokenizers put a blank before the text and leave it there when they decode.
    same = (
        decoded in (text, f" {text}")
        and (ends[1:] >= ends[:-1]).all()
        and int(ends[-1] if len(ends) else 0) == len(text)
    )
    return Spans(np.array(ids, dtype=np.uint32), ends, complete, bool(same))
