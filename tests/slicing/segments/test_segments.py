"""Cutting a text where the tokens of several tokenizers end, against prefixes decoded one by one; neutral units."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recallscope.slicing.segments import Units, borders, byte_lengths, segment_of, unit_ends

from .tokenizers_here import EVERY, LARGE, SMALL, TEXTS, lowering


def prefixes(tokenizer, text: str) -> set[int]:
    """Lengths of the prefixes of a text that are what some first tokens of it say, by decoding them all."""
    ids = tokenizer.encode([text])[0].tolist()
    said = [tokenizer.backend.decode(ids[:k], skip_special_tokens=False) for k in range(1, len(ids) + 1)]
    return {len(one) for word in said for one in (word, word[1:]) if one and text.startswith(one)}


@pytest.mark.parametrize("pair", [*combinations(EVERY, 2)], ids="-".join)
@pytest.mark.parametrize("name", TEXTS)
def test_segments_end_where_both_have_said_the_same_whole_characters(name: str, pair: tuple[str, str]):
    text, tokenizers = TEXTS[name], [EVERY[one] for one in pair]
    spans = [tokenizer.spans([text])[0] for tokenizer in tokenizers]
    assert all(one.faithful for one in spans)
    found = borders(spans)
    assert set(found.tolist()) == set.intersection(*(prefixes(one, text) for one in tokenizers))


@pytest.mark.parametrize("name", TEXTS)
def test_segments_tile_the_bytes(name: str):
    text = TEXTS[name]
    ends = borders([tokenizer.spans([text])[0] for tokenizer in EVERY.values()])
    pieces = [text[a:b] for a, b in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)]
    assert "".join(pieces) == text and all(pieces)
    assert byte_lengths(text, ends).tolist() == [len(piece.encode()) for piece in pieces]


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("ab the\n\r\t\u00a0é中😀.(1"), min_size=1, max_size=40))
def test_any_text_is_tiled_and_every_token_lies_in_one_segment(text: str):
    spans = [tokenizer.spans([text])[0] for tokenizer in (SMALL, LARGE)]
    ends = borders(spans)
    assert ends[-1] == len(text) and (np.diff(ends, prepend=0) > 0).all()
    for tokenizer, one in zip((SMALL, LARGE), spans, strict=True):
        segment = segment_of(ends, one.ends)
        assert (np.diff(segment) >= 0).all() and set(segment.tolist()) == set(range(len(ends)))
        for s, end in enumerate(ends.tolist()):  # tokens of a segment say its text
            ids = one.ids[segment == s].tolist()
            assert tokenizer.backend.decode(ids) == text[ends[s - 1] if s else 0 : end]


def test_one_tokenizer_alone_gives_its_tokens():
    (spans,) = LARGE.spans([TEXTS["prose"]])
    assert borders([spans, spans]).tolist() == np.unique(spans.ends[spans.complete]).tolist()
    assert np.array_equal(spans.ids, LARGE.encode([TEXTS["prose"]])[0])


def test_a_text_that_does_not_come_back_is_not_faithful():
    tokenizer = lowering(300)
    spans = tokenizer.spans(["quiet", "Loud", ""])
    assert [one.faithful for one in spans] == [True, False, True]


@pytest.mark.parametrize("name", TEXTS)
def test_units_tile_the_text_and_hold_one_word_or_sign(name: str):
    ids, ends = Units().encode([TEXTS[name]])[0], unit_ends(TEXTS[name])
    pieces = [TEXTS[name][a:b] for a, b in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)]
    assert "".join(pieces) == TEXTS[name] and len(ids) == len(pieces)
    for piece in pieces:
        assert piece.isspace() or re.fullmatch(r"[^\S\n]?(\w+|[^\w\s])", piece), piece
    same = {piece: number for piece, number in zip(pieces, ids.tolist(), strict=True)}
    assert [same[piece] for piece in pieces] == ids.tolist()  # one text, one id
    assert len(set(same.values())) == len(same)  # and another for another


def test_units_by_hand():
    def cut(text: str) -> list[str]:
        ends = unit_ends(text).tolist()
        return [text[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]

    assert cut("don't stop, x_1!") == ["don", "'", "t", " stop", ",", " x_1", "!"]
    assert cut("a\n    b\n") == ["a", "\n   ", " b", "\n"]
    assert cut("猫である cat") == ["猫", "で", "あ", "る", " cat"]
    assert Units().encode([""])[0].tolist() == unit_ends("").tolist() == []
