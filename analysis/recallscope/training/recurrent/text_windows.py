"""Windows of bytes of real text, as a task: every next byte is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import torch

from recallscope.bundled import HELD_OUT_PACKAGES, TRAINING_PACKAGES, documents
from recallscope.tasks._source import Source
from recallscope.tasks.task import Examples, Task, check

TEXTS = {"training": TRAINING_PACKAGES, "held-out": HELD_OUT_PACKAGES}


@dataclass(frozen=True)
class TextWindows(Task):
    """T bytes from a uniform place in the installed packages' source and documentation; after each the next is asked.

    Documents stand in the order of the hash of their names, with a zero byte between them. Those of `held-out` are from
    packages of their own.

    Attributes
    ----------
    text : str
        `training` or `held-out`.
    length : int
        T.
    size : int
        Bytes of text, from its beginning.
    """

    vocabulary: int = field(init=False, default=256)
    length: int = 128
    text: str = "training"
    size: int = 16_000_000

    def __post_init__(self) -> None:
        check(self.text in TEXTS, "text", f"one of {', '.join(TEXTS)}", repr(self.text))
        check(self.length >= 1, "length", "at least 1", self.length)
        check(self.size > self.length, "size", f"at least {self.length + 1} bytes, a window and one more", self.size)

    def draw(self, source: Source, examples: int) -> Examples:
        text = _bytes(self.text, self.size)
        starts = source.integers(examples, 1, len(text) - self.length).cpu()
        windows = text[starts + torch.arange(self.length + 1)].to(source.device)
        positions = torch.arange(self.length, device=source.device, dtype=torch.int32).repeat(examples, 1)
        return Examples(windows[:, :-1], positions, windows[:, 1:])

    def chance(self) -> float:
        """1 / 256: a guess that knows nothing of text."""
        return 1 / self.vocabulary

    def demand_bits(self) -> float:
        """Not known for text."""
        return float("nan")


@cache
def _bytes(text: str, size: int) -> torch.Tensor:
    """The first bytes of a text, `[size]` uint8; fewer if it is shorter."""
    gathered = bytearray()
    for document in documents(TEXTS[text]):
        gathered += document.text.encode() + b"\0"
        if len(gathered) >= size:
            break
    return torch.frombuffer(gathered[:size], dtype=torch.uint8)
