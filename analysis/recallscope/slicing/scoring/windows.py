"""Which tokens a model sees when it predicts each token of a document."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BOS_RULES = ("first", "each-window", "none")


@dataclass(frozen=True)
class Windowing:
    """How documents are cut into windows.

    Attributes
    ----------
    window : int
        Input tokens of the model at most, a BOS among them.
    stride : int
        New tokens scored per window. `stride == window` gives disjoint windows: every window after the first reads one
        token of the one before, so that no token stays unscored (the protocol of lm-evaluation-harness's rolling
        log-likelihood). A smaller stride gives each scored token at least `window - stride` tokens of context.
    bos : {"first", "each-window", "none"}
        Where the beginning-of-text token stands: before the document's first window, before every window, nowhere
        (the first token of a document is then not scored).
    """

    window: int = 1024
    stride: int = 1024
    bos: str = "first"

    def __post_init__(self) -> None:
        if self.window < 2:
            raise ValueError(f"window: at least 2 tokens, got {self.window}")
        if not 1 <= self.stride <= self.window:
            raise ValueError(f"stride: 1 to the window ({self.window}), got {self.stride}")
        if self.bos not in BOS_RULES:
            raise ValueError(f"bos: one of {', '.join(BOS_RULES)}, got {self.bos!r}")


@dataclass(frozen=True)
class Windows:
    """Windows over a shard's token array, all int64 arrays of one entry per window.

    Attributes
    ----------
    begin, end : first and one past the last token of the shard that the window covers (the last is only predicted).
    scored : first token whose loss counts; tokens from here to `end` are scored in this window.
    bos : 1 where a BOS stands before `begin`, else 0.
    """

    begin: np.ndarray
    end: np.ndarray
    scored: np.ndarray
    bos: np.ndarray

    @property
    def inputs(self) -> np.ndarray:
        """Input tokens per window: BOS and all covered tokens but the last."""
        return self.bos + self.end - self.begin - 1


def cut_windows(starts: np.ndarray, total: int, rule: Windowing, given: np.ndarray | None = None) -> Windows:
    """The windows of all documents of a shard, in order; documents too short to score anything give none.

    Parameters
    ----------
    starts : int64[K]
        First token of each document; `total` tokens in all.
    given : int64[K], optional
        Tokens at the start of each document that are not scored. The first window then ends with the document, or with
        the first `stride` scored tokens if there are more, and reads as much before as it holds: the protocol of
        lm-evaluation-harness for continuations.
    """
    ends = np.append(starts[1:], total)
    bos_first, bos_later = int(rule.bos != "none"), int(rule.bos == "each-window")
    first = starts + np.maximum(0 if given is None else given, 1 - bos_first)
    # The first window covers, with its BOS, `window` inputs, and predicts one token more than it reads of the document.
    whole = starts + rule.window + 1 - bos_first
    first_end = np.minimum(ends, np.maximum(whole, first + rule.stride))
    cut = first_end > whole  # a given context that is too long loses its beginning, and the BOS that stood there
    first_begin = np.where(cut, first_end - rule.window - 1 + bos_later, starts)
    more = np.maximum(-(-(ends - first_end) // rule.stride), 0)
    document = np.repeat(np.arange(len(starts)), 1 + more)
    index = np.arange(len(document)) - np.repeat(np.cumsum(1 + more) - (1 + more), 1 + more)
    end = np.minimum(first_end[document] + index * rule.stride, ends[document])
    previous_end = first_end[document] + (index - 1) * rule.stride
    later = index > 0
    begin = np.where(later, np.maximum(end - rule.window - 1 + bos_later, starts[document]), first_begin[document])
    begin = np.where(later & (rule.stride == rule.window), previous_end - 1 + bos_later, begin)
    bos = np.where(later | cut[document], bos_later, bos_first)
    scored = np.where(later, previous_end, first[document])
    keep = end > scored
    return Windows(begin[keep], end[keep], scored[keep], bos[keep])


def visible_context(windows: Windows, total: int) -> tuple[np.ndarray, np.ndarray]:
    """Which tokens are scored and how much of the document each one sees.

    Returns
    -------
    (scored, context) : (bool[total], int32[total])
        `context` is the number of document tokens before the token in its window (a BOS is not counted).
    """
    lengths = windows.end - windows.scored
    where = np.repeat(windows.scored - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
    scored = np.zeros(total, dtype=bool)
    context = np.zeros(total, dtype=np.int32)
    scored[where] = True
    context[where] = where - np.repeat(windows.begin, lengths)
    return scored, context
