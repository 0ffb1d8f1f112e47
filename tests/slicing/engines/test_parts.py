"""What needs neither Daft nor Ray: shares of a cluster, parts of a training text, a worker's answers, bad input."""

from __future__ import annotations

import json
import os
from collections import Counter
from functools import partial
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from recallscope import disk
from recallscope.slicing import steps
from recallscope.slicing.engines import Engine, engine_of
from recallscope.slicing.engines.cluster import Shares, divided
from recallscope.slicing.engines.worker import Worker
from recallscope.slicing.job import Job, tokenize_text
from recallscope.slicing.run import slice_text
from recallscope.slicing.settings import SliceSettings
from recallscope.slicing.sources import open_model
from recallscope.slicing.tagging.counts import ngram_keys
from recallscope.text import Document

from .scenarios import forgetful, steady, text


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("nodes", [[(2, 0)], [(8, 2), (3, 1)], [(5, 4), (0, 0), (16, 0)]])
def test_shares_are_the_largest_that_fit(nodes, gpu):
    """Against every way of placing equal workers on the machines."""

    def fits(workers: int, cpus: int) -> bool:
        ways = product(*(range(workers + 1) for _ in nodes))
        return any(
            sum(way) == workers
            and all(n * cpus <= c and (not gpu or n <= g) for n, (c, g) in zip(way, nodes, strict=True))
            for way in ways
        )

    possible = [w for w in range(1, 12) if fits(w, 1)]
    for workers in possible:
        found = divided(nodes, workers, gpu)
        assert (found.workers, found.gpus) == (workers, int(gpu))
        assert fits(workers, found.cpus) and not fits(workers, found.cpus + 1)
    most = sum(min(c, g) if gpu else c for c, g in nodes)
    with pytest.raises(
        ValueError, match=f"workers: this cluster has {'GPUs' if gpu else 'CPUs'} for {most}, got {most + 1}"
    ):
        divided(nodes, most + 1, gpu)


def test_shares_by_default():
    assert divided([(8, 2), (4, 1), (4, 0)], None, gpu=True) == Shares(3, 4, 1)
    assert divided([(8, 2), (4, 1), (4, 0)], None, gpu=False) == Shares(3, 4, 0)
    with pytest.raises(ValueError, match="this cluster has GPUs for 0"):
        divided([(8, 0)], None, gpu=True)


def job_of(folder: Path, bundled, documents: list[Document]) -> Job:
    job = Job(folder, SliceSettings(shard_tokens=300), bundled.bos, bundled.vocabulary)
    tokenize_text(job, documents, bundled, lambda n: None)
    return job


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_parts_of_the_training_text_add_up(bundled, tmp_path, monkeypatch, parts):
    """Counted in any number of parts, the bigrams are those that a dictionary counts."""
    monkeypatch.setattr(Engine, "parts", lambda self: parts)
    asked, training = text(6, 5), text(300, 9)
    job = job_of(tmp_path, bundled, asked)
    done: list[int] = []
    counts = steps.count_training(job, job.shard_count(), lambda: training, bundled, "here", done.append)
    tokens = [one.tolist() for one in bundled.encode([d.text for d in training])]
    every = Counter(pair for one in tokens for pair in pairwise(one))
    assert counts.tokens == sum(done) == sum(map(len, tokens)) and counts.source == "here"
    for one in bundled.encode([d.text for d in asked]):
        keys, valid = ngram_keys(one, np.array([0]), 2, bundled.vocabulary)
        assert counts.lookup(keys, valid)[1:].tolist() == [every[pair] for pair in pairwise(one.tolist())]


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_parts_of_a_token_array_hold_every_document_once(tmp_path, monkeypatch, parts):
    monkeypatch.setattr(steps, "read_token_array", partial(steps.read_token_array, size=40))
    tokens = np.random.default_rng(3).integers(0, 9, 2000).astype(np.uint16)
    np.save(tmp_path / "tokens.npy", tokens)
    found = [
        shard for part in range(parts) for shard in steps.training_part(tmp_path / "tokens.npy", None, 0, part, parts)
    ]
    found.sort(key=lambda one: one.first)
    assert len(found) > 10 and min(len(one.tokens) for one in found[:-1]) >= 40
    assert np.array_equal(np.concatenate([one.tokens for one in found]), tokens)


def test_another_number_of_workers_goes_on_with_the_parts_begun(bundled, tmp_path, monkeypatch):
    job = job_of(tmp_path, bundled, text(6, 5))
    training = text(300, 9)
    monkeypatch.setattr(Engine, "parts", lambda self: 3)
    whole = steps.count_training(job, job.shard_count(), lambda: training, bundled, "here", lambda n: None)
    (tmp_path / "counts.parquet").unlink()
    job.part_path(1, 3).unlink()
    monkeypatch.setattr(Engine, "parts", lambda self: 2)
    done: list[int] = []
    again = steps.count_training(job, job.shard_count(), lambda: training, bundled, "here", done.append)
    assert 0 < sum(done) < whole.tokens == again.tokens
    assert np.array_equal(whole.counts, again.counts) and np.array_equal(whole.keys, again.keys)
    assert not list(tmp_path.glob("counts-*-of-00002.parquet"))


def a_step(fail: Exception | None):
    def step(shard, advance):
        advance(10 * shard)
        advance(1)
        if fail:
            raise fail
        return ["a line"]

    return lambda: step


def answer(monkeypatch, tmp_path, fail: Exception | None) -> dict:
    monkeypatch.setattr(disk, "_mark", "")
    monkeypatch.chdir(tmp_path)
    worker = Worker(b"", str(tmp_path), 1)
    monkeypatch.setattr(worker, "_opened", a_step(fail))
    return json.loads(worker.work(3))


def test_what_a_worker_answers(monkeypatch, tmp_path):
    assert answer(monkeypatch, tmp_path, None) == {"done": 31, "lines": ["a line"]}
    assert answer(monkeypatch, tmp_path, ValueError("model x: bad")) == {"refused": "model x: bad"}
    said = answer(monkeypatch, tmp_path, OSError(28, "No space left on device", str(tmp_path / "x.npy")))
    assert said["failed"][0] == 28 and said["failed"][1].startswith("No space left on device (on ")
    assert said["failed"][2] == str(tmp_path / "x.npy")
    with pytest.raises(RuntimeError, match="a bug"):
        answer(monkeypatch, tmp_path, RuntimeError("a bug"))


def test_temporary_names_of_workers_are_their_own(monkeypatch, tmp_path):
    monkeypatch.setattr(disk, "_mark", "")
    with disk.replaced(tmp_path / "a") as ours:
        ours.write_text("")
    disk.own_temporary_names()
    with disk.replaced(tmp_path / "a") as theirs:
        theirs.write_text("")
    assert ours.name == "a.tmp" and str(os.getpid()) in theirs.name and os.listdir(tmp_path) == ["a"]


def test_another_model_than_where_the_run_began_is_refused():
    model = open_model(steady, "cpu", None, 64)
    assert open_model(steady, "cpu", None, 64, model.identity).name == "steady"
    with pytest.raises(ValueError, match=r"models: steady on .* is not the same as where the run was started"):
        open_model(steady, "cpu", None, 64, "another")


def test_bad_input(bundled, tmp_path, monkeypatch):
    run = partial(slice_text, [steady, forgetful], text(3, 1), tmp_path / "out", tokenizer=bundled)
    found = {"daft": object(), "ray": None}.get  # Daft is installed and Ray is not
    monkeypatch.setattr("recallscope.slicing.engines.engine.find_spec", found)
    for options, message in [
        ({"engine": "spark"}, "engine: one of local, daft, ray, got 'spark'"),
        ({"engine": "daft", "workers": 0}, "workers: at least 1, got 0"),
        ({"engine": "daft", "device": "cuda:1"}, "device: cpu or cuda, one GPU for each worker, with engine daft, got"),
        ({"workers": 3}, "workers: the local engine is this process alone; engine daft or ray for 3 workers"),
    ]:
        with pytest.raises(ValueError, match=message):
            run(**options)
    with pytest.raises(ValueError, match=r"engine: ray needs the extra \[scale\] \(ray not installed\); pip install"):
        run(engine="ray")
    assert engine_of("daft", 4) == Engine("daft", 4)
    assert not (tmp_path / "out").exists()
