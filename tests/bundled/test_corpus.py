"""The installation's own text: same for everyone, never both trained on and evaluated on."""

from __future__ import annotations

import hashlib
import json
from itertools import islice

import pytest
from recallscope.bundled import (
    HELD_OUT_PACKAGES,
    TRAINING_PACKAGES,
    bundled_counts_path,
    documents,
    files,
    held_out_documents,
)
from recallscope.bundled.corpus import LARGEST, SMALLEST, package_folder
from recallscope.slicing.tagging import Counts
from recallscope.text import digest


@pytest.fixture(scope="module")
def held_out():
    return list(held_out_documents())


def test_every_installation_has_the_same_held_out_text(held_out):
    assert len(held_out) > 1500
    assert {d.id.split("/")[0] for d in held_out} == set(HELD_OUT_PACKAGES)
    assert all(SMALLEST <= len(d.text.encode()) <= LARGEST for d in held_out)
    order = [hashlib.sha256(d.id.encode()).digest() for d in held_out]
    assert order == sorted(order)


def test_no_held_out_document_is_trained_on(held_out):
    assert not set(HELD_OUT_PACKAGES) & set(TRAINING_PACKAGES)
    trained = {digest(d.text) for d in documents(TRAINING_PACKAGES)}
    assert not trained & {digest(d.text) for d in held_out}


def test_a_file_that_differs_is_refused(tmp_path, monkeypatch):
    manifest = json.loads((files.FOLDER / "held_out.json").read_text())
    manifest["documents"][3]["sha256"] = "0" * 64
    (tmp_path / "held_out.json").write_text(json.dumps(manifest))
    monkeypatch.setattr(files, "FOLDER", tmp_path)
    assert len(list(islice(held_out_documents(), 3))) == 3
    with pytest.raises(
        ValueError, match=r"the installed .* differs from the manifest; install the versions of constraints"
    ):
        list(held_out_documents())


def test_packages_that_are_not_there():
    with pytest.raises(ValueError, match="package: 'no_such_package' is not installed"):
        package_folder("no_such_package")


def test_counts_of_the_training_text(bundled):
    counts = Counts.load(bundled_counts_path())
    assert counts.complete and counts.n == 2 and counts.vocabulary == bundled.vocabulary
    # Each document of m tokens holds m - 1 bigrams, and about 3,700 documents were used.
    assert 0 < counts.tokens - int(counts.counts.sum()) < 5_000
    assert counts.tokens == pytest.approx(20_070_400, rel=1e-3)
