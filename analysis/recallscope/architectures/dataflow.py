"""What the output of a mixer at one position may read, as data: the edges of an unrolled model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """Past positions that are kept one by one and read directly.

    Attributes
    ----------
    first, last : int or None
        The first `first` positions of the sequence and the last `last` positions, the current one among them, can be
        read; None: all of them. `Span(0, 4)` is a window of 4, `Span(None, None)` the whole past.
    elements : int
        Elements kept for each such position.
    """

    first: int | None
    last: int | None
    elements: int

    def visible(self, t: int) -> set[int]:
        """The positions, counted from 0, that the output at position `t` can read."""
        if self.first is None or self.last is None:
            return set(range(t + 1))
        return set(range(min(self.first, t + 1))) | set(range(max(0, t + 1 - self.last), t + 1))


@dataclass(frozen=True)
class Dataflow:
    """How the past reaches the output of one layer.

    Attributes
    ----------
    spans : tuple of Span
        Positions that are read directly, from a cache or a shift buffer.
    state : int
        Elements of the state through which everything else of the past must pass; 0 if there is none.
    """

    spans: tuple[Span, ...] = ()
    state: int = 0

    def visible(self, t: int) -> set[int]:
        """Positions, counted from 0, that can influence the output at position `t`."""
        if self.state:
            return set(range(t + 1))
        return {t}.union(*(span.visible(t) for span in self.spans))
