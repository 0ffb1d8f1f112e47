"""The command that rows of evidence were made with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

_ARGUMENTS: ContextVar[tuple[str, ...] | None] = ContextVar("arguments", default=None)


@contextmanager
def invoked(arguments: Sequence[str]) -> Iterator[None]:
    """While the command line runs with these arguments."""
    token = _ARGUMENTS.set(tuple(arguments))
    try:
        yield
    finally:
        _ARGUMENTS.reset(token)


def invocation() -> str | None:
    """The command line that gives the same rows anywhere: without the folder that they go to. None in Python."""
    arguments = _ARGUMENTS.get()
    if arguments is None:
        return None
    words = [word for word in arguments if not word.startswith("--out=")]
    if "--out" in words:
        del words[words.index("--out") : words.index("--out") + 2]
    return " ".join(["recallscope", *words])
