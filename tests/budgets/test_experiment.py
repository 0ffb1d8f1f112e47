"""Every method on a world of seconds: what is measured, what it cost, and that a killed run goes on."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.model import LanguageModel
from recallscope.budgets import METHODS, experiment, run_budgets
from recallscope.budgets.cells import measured_grids
from recallscope.budgets.flops import forward_flops, low_rank_step_flops, projected_step_flops, step_flops
from recallscope.budgets.specialise import perplexity
from recallscope.budgets.starts import domain_weights, mixture, projected, resampled
from recallscope.budgets.text import Windows
from recallscope.budgets.training import Trainer, distilled, drawn, losses, next_token, passes
from recallscope.evidence import read_evidence
from torch.nn import functional as F


@pytest.fixture(scope="module")
def found(run):
    return read_evidence(run / "rows.jsonl").to_pylist()


def test_every_method_domain_and_size_is_there_once(found):
    rows = [row for row in found if row["metric"] == "perplexity" and row["data"] == "specialised"]
    count = Counter(row["subject"] for row in rows)
    both = {
        name: 2 * 3 * 2 for name in ("SLM", "SLM-mix", "SLM-pn", "SLM-is", "LLM")
    }  # starts, sets with none, domains
    assert count == both | {name: 2 * 2 for name in ("SLM-nopt", "SLM-d", "LLM-lora")}
    places = [(row["subject"], row["domain"], row["generic_tokens"], row["specialisation_tokens"]) for row in rows]
    assert len(set(places)) == len(places)
    assert all(row["low"] <= row["value"] <= row["high"] and row["n"] == 4 for row in rows)


def test_a_run_that_goes_on_finds_the_same_numbers(run, found, protocol, world, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "load_world", lambda *arguments: world)
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "seed0-LLM.jsonl").unlink()
    again = run_budgets(tmp_path / "run", protocol=protocol).to_pylist()
    assert [(row["subject"], row["value"]) for row in again] == [(row["subject"], row["value"]) for row in found]
    with pytest.raises(ValueError, match="holds another comparison"):
        run_budgets(tmp_path / "run", protocol=replace(protocol, rank=3))


def test_measured_training_flops_are_the_closed_forms(found, protocol):
    small, large = step_flops(protocol.small, 2), step_flops(protocol.large, 2)
    steps = {0: 0, **{tokens: tokens // 16 // 2 * times for tokens, times in protocol.sizes}}
    for row in found:
        if row["metric"] != "perplexity" or row["data"] != "specialised":
            continue
        generic, tuning = row["generic_tokens"] // 32, steps[row["specialisation_tokens"]]
        once, own = {
            "SLM": (generic * small, tuning * small),
            "SLM-nopt": (0, tuning * small),
            "SLM-is": (0, (generic + tuning) * small),
            "SLM-mix": (generic * small, tuning * small),
            "SLM-pn": (generic * projected_step_flops(protocol.small, 2, *protocol.projected[1:]), tuning * small),
            "SLM-d": (generic * (small + large), tuning * (small + large + forward_flops(protocol.large, 2))),
            "LLM": (generic * large, tuning * large),
            "LLM-lora": (generic * large, tuning * low_rank_step_flops(protocol.large, 2, protocol.rank)),
        }[row["subject"]]
        assert (row["generic_flops"], row["specialise_flops"]) == (once, own), row["subject"]
        final = protocol.large if row["subject"].startswith("LLM") else protocol.small
        assert row["inference_parameters"] == Architecture("", final).parameters()


def test_own_rows_become_grids_of_the_four_budgets(found, protocol):
    grids = measured_grids(found)
    assert list(grids) == list(METHODS)
    step = step_flops(protocol.small, 2)
    assert [cell.spent for cell in grids["SLM-is"].column(64)] == [2 * step, 4 * step]
    assert [cell.tuning for cell in grids["SLM-is"].column(128)] == [4 * step] * 2
    assert [cell.spent for cell in grids["SLM-nopt"].column(64)] == [0]


def test_sampling_by_importance_draws_the_domains_clusters(world, protocol):
    clusters = world.clusters(protocol.resampling)
    weights = domain_weights(clusters, world.domains[0].specialisation(64, 0))
    drawn_ids = np.concatenate(list(drawn(world.pool.ids, 2, 200, 0, weights[clusters.of_pool])))
    assert (drawn_ids < 32).all()  # the first domain is of the lower half of the vocabulary, as 70 of 120 windows are
    assert weights[clusters.of_pool].mean() == pytest.approx(1, abs=1e-12)
    starts = list(resampled(world, clusters, world.domains[0], protocol, 0))
    assert [start.generic for start in starts] == [0, 0] and starts[0].before < starts[1].before


def test_the_expert_of_the_most_frequent_cluster_is_tuned(world, protocol):
    clusters = world.clusters(2)
    ids = world.domains[1].specialisation(128, 0)
    cluster = clusters.most_frequent(ids)
    assert cluster == np.bincount(clusters.of(ids)).argmax() != clusters.most_frequent(world.domains[0].train.ids)
    for start in (list(mixture(world, clusters, protocol, 0))[-1], list(projected(world, clusters, protocol, 0))[-1]):
        one, two = (start.choose(domain.train.ids) for domain in world.domains[:2])
        assert not torch.equal(one.blocks[0].ffn.up.weight, two.blocks[0].ffn.up.weight)  # type: ignore[union-attr]
        assert start.test is not None
        routed = start.test(np.concatenate([world.domains[0].test.ids, world.domains[1].test.ids]))
        expected = [losses(model, domain.test.ids) for model, domain in zip((one, two), world.domains, strict=False)]
        np.testing.assert_allclose(routed, np.concatenate(expected), rtol=1e-6)


def test_losses_are_sums_of_negative_log_probabilities(protocol, world):
    model = LanguageModel(protocol.small).double()
    ids = world.domains[0].test.ids[:3].astype(np.int64)
    logp = F.log_softmax(model(torch.from_numpy(ids[:, :-1])), -1).detach().numpy()
    brute = [-sum(logp[n, t, ids[n, t + 1]] for t in range(16)) for n in range(3)]
    np.testing.assert_allclose(losses(model, ids, batch=2), brute, rtol=1e-6)


def test_a_student_of_itself_minimises_its_entropy_and_pays_for_the_teacher(protocol):
    model = LanguageModel(protocol.small)
    ids = torch.randint(0, 64, (2, 16))
    log = F.log_softmax(model(ids).flatten(0, 1), -1).detach()
    entropy, text = -(log.exp() * log).sum(1).mean(), F.nll_loss(log, ids.flatten())
    assert distilled(model, model)(ids, ids).item() == pytest.approx((entropy + text).item() / 2, rel=1e-5)


def test_the_rate_warms_up_and_falls_to_zero(protocol):
    model, rates = LanguageModel(protocol.small), []
    trainer = Trainer(model, 1e-3, decay_over=10)
    for ids in passes(np.zeros((4, 17), np.uint16), 2, 5, 0):
        trainer.step(ids, next_token(model))
        rates.append(trainer.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([1e-3 * min((i + 1) / 10, 1 - i / 10) for i in range(10)])


def test_passes_and_draws_use_what_they_say():
    ids = np.arange(10)[:, None]
    seen = np.concatenate(list(passes(ids, 5, 3, 0))).ravel()
    assert sorted(seen.tolist()) == sorted(3 * list(range(10))) and set(seen[:10]) == set(range(10))
    once = np.concatenate(list(drawn(ids, 2, 5, 0))).ravel()
    assert sorted(once.tolist()) == list(range(10))
    with pytest.raises(ValueError, match="steps: at most 5 batches of 2 windows, got 6"):
        list(drawn(ids, 2, 6, 0))


def test_perplexity_and_its_interval_over_documents():
    two = Windows(np.zeros((6, 5), np.uint16), np.array([3, 3, 3, 8, 8, 8]))
    nll = np.array([4.0, 4, 4, 8, 8, 8])
    row = perplexity(nll, two)
    assert row["n"] == 2 and row["value"] == pytest.approx(math.exp(1.5), abs=1e-5)
    assert (row["low"], row["high"]) == (pytest.approx(math.e, abs=1e-5), pytest.approx(math.e**2, abs=1e-5))
