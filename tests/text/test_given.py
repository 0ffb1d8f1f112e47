"""Documents with a given context: which tokens are the context's, by the rule of lm-evaluation-harness."""

from __future__ import annotations

import pytest
from recallscope.text import Document, tokenize


def test_a_context_keeps_its_own_tokens_and_the_rest_are_those_of_the_whole(bundled):
    documents = [
        Document("plain", "the house"),
        Document("inside", "installation again", 1),
        Document("after", "the cat", 3),
    ]
    (shard,) = tokenize(documents, bundled)
    parts = [shard.tokens[begin:end].tolist() for begin, end in shard.spans()]
    encoded = {
        text: bundled.encode([text])[0].tolist() for text in ("the house", "installation again", "i", "the cat", "the")
    }
    cut = len(encoded["i"])
    assert shard.given is not None and shard.given.tolist() == [0, cut, len(encoded["the"])]
    assert parts[0] == encoded["the house"] and parts[2] == encoded["the cat"]
    assert parts[1] == encoded["i"] + encoded["installation again"][cut:]
    assert parts[1] != encoded["installation again"]  # the border lies inside a token


def test_without_contexts_nothing_is_said_of_them(bundled):
    (shard,) = tokenize([Document("a", "the cat")], bundled)
    assert shard.given is None


def test_shards_keep_the_contexts_of_their_own_documents(bundled):
    documents = [Document(str(k), "the cat sat on the mat" + " again" * k, 7 * (k % 2)) for k in range(6)]
    shards = list(tokenize(documents, bundled, size=10))
    assert len(shards) > 2
    given = [0 if shard.given is None else int(shard.given[k]) for shard in shards for k in range(len(shard.ids))]
    assert given == [len(bundled.encode(["the cat"])[0]) if k % 2 else 0 for k in range(6)]


def test_a_continuation_without_tokens_is_refused(bundled):
    with pytest.raises(ValueError, match=r"^text: what follows the context of document 'x' adds no token to it"):
        list(tokenize([Document("x", "the cat", 7)], bundled))
