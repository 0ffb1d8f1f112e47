"""Tokenizers of several kinds, trained on a few lines, and texts that are hard on them."""

from __future__ import annotations

import json
from typing import Any

from recallscope.text.tokenizer import Tokenizer, _identified
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

LINES = ["the quick brown fox jumps over the lazy dog and the dog runs\n", "def f(x):\n    return f(x) + 1\n"] * 40

TEXTS = {
    "prose": "The quick brown fox, 17 times, jumps over the dog's tail — again. The quick brown fox!",
    "code": "def f(x):\n    if x:\n        return {'a': f(x - 1)}\n\n\n# end\n",
    "crlf": "one\r\ntwo\r\n\r\n  three\t\tfour\r\n",
    "cjk": "吾輩は猫である。名前はまだ無い。どこで生れたか 中文字符 한국어",
    "emoji": "a 😀😀 b 👩‍👩‍👧‍👦 c é e\u0301 \u00a0nbsp\u00a0\u2003wide ﷽",
    "signs": "((()))...,,,;;; ##  %%%__init__ \n\n\n   \n",
    "one": "x",
    "blank": " ",
}


def byte_level(size: int, prefix: bool = False) -> Tokenizer:
    """Byte-level BPE as GPT-2's, which takes blanks off its offsets."""
    backend: Any = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=True)
    special = ["<|endoftext|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(
        LINES,
        trainers.BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    return _identified(backend, "<|endoftext|>")


def renumbered(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokens with other ids: 1, 2, ... V - 1 the other way round."""
    whole = json.loads(tokenizer.backend.to_str())
    vocabulary = whole["model"]["vocab"]
    whole["model"]["vocab"] = {token: k and len(vocabulary) - k for token, k in vocabulary.items()}
    return _identified(Backend.from_str(json.dumps(whole)), "<|endoftext|>")


def byte_fallback(size: int) -> Tokenizer:
    """BPE with a mark for blanks and bytes for what it does not know, as Llama's."""
    backend: Any = Backend(models.BPE(byte_fallback=True, unk_token="<unk>"))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = ["<unk>", "<s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    backend.train_from_iterator(
        LINES, trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False)
    )
    return _identified(backend, "<s>")


def lowering(size: int) -> Tokenizer:
    """One that forgets capitals."""
    tokenizer = byte_level(size)
    tokenizer.backend.normalizer = normalizers.Lowercase()
    return _identified(tokenizer.backend, "<|endoftext|>")


SMALL, LARGE, PREFIXED, FALLBACK = byte_level(280), byte_level(420), byte_level(350, prefix=True), byte_fallback(400)
EVERY = {"small": SMALL, "large": LARGE, "prefixed": PREFIXED, "fallback": FALLBACK}
