"""Windows: every token is scored once, by the protocol; the visible context is what the model was given."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recallscope.slicing.scoring.windows import Windowing, cut_windows, visible_context


def document_windows(length: int, rule: Windowing) -> list[tuple[int, int, int, int]]:
    """(begin, end, scored, bos) of one document, one at a time, straight from the protocol's words."""
    windows = []
    first_bos = int(rule.bos != "none")
    end = min(length, rule.window + 1 - first_bos)
    windows.append((0, end, 1 - first_bos, first_bos))
    while end < length:
        scored = end
        end = min(end + rule.stride, length)
        bos = int(rule.bos == "each-window")
        begin = scored - 1 + bos if rule.stride == rule.window else max(end - rule.window - 1 + bos, 0)
        windows.append((begin, end, scored, bos))
    return [window for window in windows if window[1] > window[2]]


@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    window=st.integers(2, 12),
    data=st.data(),
    bos=st.sampled_from(["first", "each-window", "none"]),
)
def test_windows_follow_the_protocol(lengths, window, data, bos):
    rule = Windowing(window, data.draw(st.integers(1, window)), bos)
    starts = np.cumsum([0, *lengths[:-1]])
    windows = cut_windows(starts, sum(lengths), rule)
    wanted = [
        (begin + start, end + start, scored + start, bos_)
        for start, length in zip(starts.tolist(), lengths, strict=True)
        for begin, end, scored, bos_ in document_windows(length, rule)
    ]
    found = list(zip(*(getattr(windows, name).tolist() for name in ("begin", "end", "scored", "bos")), strict=True))
    assert found == wanted
    assert (windows.inputs <= window).all() and (windows.inputs >= 1).all()


@given(lengths=st.lists(st.integers(0, 40), min_size=1, max_size=6), window=st.integers(2, 12), data=st.data())
def test_each_token_is_scored_once_with_the_context_it_is_given(lengths, window, data):
    rule = Windowing(window, data.draw(st.integers(1, window)), "first")
    starts, total = np.cumsum([0, *lengths[:-1]]), sum(lengths)
    windows = cut_windows(starts, total, rule)
    times = np.zeros(total, int)
    for a, b in zip(windows.scored, windows.end, strict=True):
        times[a:b] += 1
    assert (times == 1).all()
    scored, context = visible_context(windows, total)
    assert scored.all()
    for begin, end, first in zip(windows.begin, windows.end, windows.scored, strict=True):
        np.testing.assert_array_equal(context[first:end], np.arange(first, end) - begin)


def test_without_bos_the_first_token_of_a_document_is_not_scored():
    scored, _ = visible_context(cut_windows(np.array([0, 3, 4]), 9, Windowing(4, 4, "none")), 9)
    assert scored.tolist() == [False, True, True, False, False, True, True, True, True]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((1, 1, "first"), "window: at least 2"),
        ((8, 9, "first"), r"stride: 1 to the window \(8\), got 9"),
        ((8, 8, "last"), "bos: one of first, each-window, none, got 'last'"),
    ],
)
def test_bad_rules(arguments, message):
    with pytest.raises(ValueError, match=message):
        Windowing(*arguments)


def continuation_windows(length: int, context: int, rule: Windowing) -> list[tuple[int, int, int, int]]:
    """(begin, end, scored, bos) for the tokens after a given context, straight from the protocol's words: as many of
    `stride` new tokens as there are, before them as much as a window holds; a BOS where the document begins."""
    always, once = rule.bos == "each-window", rule.bos != "none"
    at, windows = max(context, int(not once)), []
    while at < length:
        if not windows and length + once <= rule.window + 1:
            begin, end, bos = 0, length, once
        elif not windows:
            end = min(length, max(rule.window + 1 - once, at + rule.stride))
            begin, bos = (0, once) if end + once <= rule.window + 1 else (end - rule.window - 1 + always, always)
        else:
            end, bos = min(length, at + rule.stride), always
            begin = at - 1 + always if rule.stride == rule.window else max(end - rule.window - 1 + always, 0)
        windows.append((begin, end, at, int(bos)))
        at = end
    return windows


@given(
    documents=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 20)), min_size=1, max_size=5),
    window=st.integers(2, 12),
    data=st.data(),
    bos=st.sampled_from(["first", "each-window", "none"]),
)
def test_a_given_context_is_read_and_not_scored(documents, window, data, bos):
    rule = Windowing(window, data.draw(st.integers(1, window)), bos)
    lengths = [context + more for context, more in documents]
    starts = np.cumsum([0, *lengths[:-1]])
    found = cut_windows(starts, sum(lengths), rule, np.array([context for context, _ in documents]))
    wanted = [
        (begin + start, end + start, scored + start, bos_)
        for start, length, (context, _) in zip(starts.tolist(), lengths, documents, strict=True)
        for begin, end, scored, bos_ in continuation_windows(length, context, rule)
    ]
    assert list(zip(*(a.tolist() for a in (found.begin, found.end, found.scored, found.bos)), strict=True)) == wanted
    assert (found.inputs <= rule.window).all()


@pytest.mark.parametrize("bos", ["first", "each-window", "none"])
def test_a_short_continuation_sees_the_last_tokens_of_a_long_context(bos):
    """lm-evaluation-harness: inputs are `(context + continuation)[-(window + 1):][:-1]`."""
    windows = cut_windows(np.array([0]), 103, Windowing(16, 16, bos), np.array([100]))
    room = 16 - (bos == "each-window")
    assert (windows.begin.tolist(), windows.end.tolist(), windows.scored.tolist()) == ([102 - room], [103], [100])
    assert windows.bos.tolist() == [int(bos == "each-window")] and windows.inputs.tolist() == [16]
