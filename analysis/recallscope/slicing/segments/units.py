"""Neutral units of text, of which no tokenizer knows: in them repeats are found and training text is counted."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np

# Scripts that put no blanks between words: each character is a unit.
_ALONE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af\U00020000-\U0003ffff"

UNIT = re.compile(rf"[^\S\n]?(?:[{_ALONE}]|(?:(?![{_ALONE}])\w)+|[^\w\s])|\s+?(?=[^\S\n]?\S)|\s+")
"""A word, a number, a sign, or an ideograph, each with the one blank before it; other white space by itself."""

VOCABULARY = 2**31
"""Ids are 31 bits of a hash of the unit: two given units share one with probability 5e-10."""


def unit_ends(text: str) -> np.ndarray:
    """Ends of the units of a text, in characters, int64[U]; they tile it."""
    return np.cumsum(np.fromiter(map(len, UNIT.findall(text)), np.int64))


class Units:
    """Units in the place of tokens: `encode` as a `Tokenizer` does, so that tags and counts need not know."""

    bos = None
    vocabulary = VOCABULARY
    hash = hashlib.sha256(UNIT.pattern.encode()).hexdigest()

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Ids of the units of each text, uint32."""
        return [np.fromiter(map(self._id, UNIT.findall(text)), np.uint32) for text in texts]

    def _id(self, unit: str) -> int:
        known = self._known.get(unit)
        if known is None:
            digest = hashlib.blake2b(unit.encode("utf-8", "surrogatepass"), digest_size=4).digest()
            known = int.from_bytes(digest, "little") & (VOCABULARY - 1)
            if len(self._known) < 1_000_000:  # remembered for speed, within bounds
                self._known[unit] = known
        return known
