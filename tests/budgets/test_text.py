"""Windows within documents, domains with a test of their own, and domains without text."""

from __future__ import annotations

import json

import numpy as np
import pytest
from recallscope.budgets.text import domain, domains, windows_of
from recallscope.text import Document

CONTEXT = 16


def documents(count: int, words: int = 60) -> list[Document]:
    return [Document(str(i), " ".join(f"w{i} x{j}" for j in range(words))) for i in range(count)]


def test_windows_lie_in_one_document_and_join_to_it(bundled):
    texts = documents(3)
    found = windows_of(texts, bundled, CONTEXT, 1000)
    for number, ids in enumerate(bundled.encode([one.text for one in texts])):
        own = found.ids[found.document == number]
        joined = np.concatenate([own[:, :-1].ravel(), own[-1:, -1]])
        assert joined[0] == bundled.bos and joined.tolist() == [bundled.bos, *ids.tolist()][: len(joined)]
        assert len(ids) + 1 - len(joined) < CONTEXT
    assert len(windows_of(texts, bundled, CONTEXT, 4)) == 4
    assert len(windows_of([Document("short", "a b")], bundled, CONTEXT, 4)) == 0


def test_a_domain_tests_on_other_documents_than_it_trains_on(bundled):
    found = domain("own", documents(40), bundled, CONTEXT)
    assert not set(found.train.document) & set(found.test.document)
    assert len(found.test) == len(set(found.test.document)) == 10
    small, large = found.specialisation(64, 3), found.specialisation(256, 3)
    assert small.shape == (4, 17) and np.array_equal(small, large[:4])
    assert not np.array_equal(small, found.specialisation(64, 4))
    with pytest.raises(ValueError, match=r"tokens: 16 to .* of domain own .*, got 10000000"):
        found.specialisation(10_000_000, 0)


def test_domains_of_ones_own_and_without_text(bundled, tmp_path):
    file = tmp_path / "own.jsonl"
    file.write_text("".join(json.dumps({"text": one.text}) + "\n" for one in documents(40)))
    assert domains({"mine": str(file)}, bundled, CONTEXT)[0].name == "mine"
    (tmp_path / "few.txt").write_text("one document alone " * 50)
    with pytest.raises(ValueError, match=r"domain: few needs 29 documents or more of at least 17 tokens, got 1$"):
        domains({"few": str(tmp_path / "few.txt")}, bundled, CONTEXT)
    with pytest.raises(ValueError, match=r"domain: bare needs 29 documents .* got 0 \(no text\)"):
        domain("bare", [], bundled, CONTEXT)
    with pytest.raises(ValueError, match="does not exist"):
        domains({"none": str(tmp_path / "none.txt")}, bundled, CONTEXT)
