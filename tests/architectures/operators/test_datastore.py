"""Datastores against arrays that are built, and neighbours found one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.counting import count_flops
from recallscope.architectures.operators.datastore import Datastore, divergences, interpolate, nearest_labels
from recallscope.architectures.specification import specification
from scipy.special import rel_entr

RANDOM = np.random.default_rng(0)
STORE, QUERY = RANDOM.dirichlet(np.ones(12), 30), RANDOM.dirichlet(np.ones(12))
LABELS = RANDOM.integers(0, 3, 30)


def test_bytes_and_products_of_a_store_that_is_built():
    store = Datastore(30, 12)
    assert store.elements() == STORE.size
    assert store.bytes() == STORE.astype(np.float32).nbytes + LABELS.astype(np.int32).nbytes
    largest = np.argpartition(STORE, -4)[:, -4:].astype(np.int16)
    kept = np.take_along_axis(STORE, largest, 1).astype(np.float16)
    assert Datastore(30, 4, bits=16, index_bits=16, value_bits=8).bytes() == kept.nbytes + largest.nbytes + 30
    with count_flops() as counted:
        torch.mm(torch.tensor(STORE).log(), torch.tensor(QUERY)[:, None])
    assert store.search_flops() == counted.flops


def test_a_query_is_a_pass_and_a_search():
    spec = specification(Architecture("test", ModelConfig(12, 32, ({"mixer": "attention"},), 48)))
    store = Datastore(30, 12)
    assert store.query_flops(spec, 9) == spec.prefill_flops(9) + 2 * 30 * 12
    assert store.build_flops(spec, 9) == spec.prefill_flops(9, 30)


def test_divergences_against_the_definition():
    np.testing.assert_allclose(divergences(QUERY, STORE), rel_entr(QUERY, STORE).sum(1), atol=1e-13)
    assert divergences(STORE[4], STORE)[4] == pytest.approx(0, abs=1e-14)
    assert (divergences(QUERY, STORE) >= 0).all()
    sparse = np.array([0.5, 0.5, 0.0])
    found = divergences(sparse, np.array([[0.25, 0.25, 0.5], [1.0, 0.0, 0.0]]))
    assert found.tolist() == [math.log(2), math.inf]


def test_labels_of_the_nearest_one_by_one():
    distances = divergences(QUERY, STORE)
    for neighbours in (1, 5, 30):
        votes, left = [0.0] * 3, list(enumerate(distances))
        for _ in range(neighbours):
            best = min(left, key=lambda one: one[1])
            votes[LABELS[best[0]]] += 1 / neighbours
            left.remove(best)
        np.testing.assert_allclose(nearest_labels(distances, LABELS, neighbours, 3), votes, atol=1e-12)


def test_interpolation_one_by_one():
    model, distances = RANDOM.dirichlet(np.ones(5)), RANDOM.random(30) * 800 + 5000  # exponentials underflow
    tokens = RANDOM.integers(0, 5, 30)
    nearest = sorted(range(30), key=lambda i: distances[i])[:7]
    weights = [math.exp(distances[nearest[0]] - distances[i]) for i in nearest]
    expected = [
        0.3 * sum(w for w, i in zip(weights, nearest, strict=True) if tokens[i] == y) / sum(weights) + 0.7 * model[y]
        for y in range(5)
    ]
    np.testing.assert_allclose(interpolate(model, distances, tokens, 0.3, 7), expected, atol=1e-14)
    np.testing.assert_array_equal(interpolate(model, distances, tokens, 0.0, 7), model)
    assert interpolate(model, distances, tokens, 1.0, 30).sum() == pytest.approx(1)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Datastore(0, 5), "entries: an integer of at least 1"),
        (lambda: Datastore(5, 0), "width: an integer"),
        (lambda: divergences(QUERY, STORE[:, :5]), "query, store"),
        (lambda: nearest_labels(np.ones(4), np.zeros(4, int), 5, 2), "neighbours: between 1 and 4"),
        (lambda: interpolate(QUERY, np.ones(4), np.zeros(4, int), 1.5, 2), "share, neighbours"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
