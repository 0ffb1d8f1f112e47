"""Parallel training against counted passes, a ring and a pipeline that are played through, and real states."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.counting import count_flops
from recallscope.architectures.model import LanguageModel
from recallscope.architectures.operators.cache import evict
from recallscope.architectures.operators.parallel import (
    pipeline_bubble,
    ring_all_reduce_bytes,
    sequence_parallel_messages,
    step_flops,
    tensor_parallel_bytes,
    transformer_step_flops,
)
from recallscope.architectures.operators.quantisation import quantise_state
from recallscope.architectures.operators.sparsity import prune
from recallscope.architectures.specification import specification
from torch.utils.checkpoint import checkpoint


def model(*layers, width=48, ffn=128, vocabulary=40):
    return specification(Architecture("test", ModelConfig(vocabulary, width, layers, ffn)))


GPT = model(*[{"mixer": "attention"}] * 3)  # gated FFN of 8/3 D: 16 D² per token as one of 4 D without gate


def test_published_formula_counts_the_forward_pass_three_or_four_times():
    t, batch = 10, 2
    forward = GPT.prefill_flops(t, batch)
    head = batch * t * 2 * 40 * 48
    assert transformer_step_flops(3, 48, 40, t, batch, recompute=False) == pytest.approx(3 * forward, rel=1e-12)
    assert transformer_step_flops(3, 48, 40, t, batch) == pytest.approx(4 * forward - head, rel=1e-12)
    paper = 96 * batch * t * 3 * 48**2 * (1 + t / (6 * 48) + 40 / (16 * 3 * 48))
    assert transformer_step_flops(3, 48, 40, t, batch) == pytest.approx(paper, rel=1e-12)


@pytest.mark.parametrize("recompute", [False, True])
def test_a_step_is_counted(recompute):
    spec = model({"mixer": "attention"}, {"mixer": "gla"})
    real, ids = LanguageModel(spec.architecture.config), torch.zeros(2, 130, dtype=torch.long)
    with count_flops() as counted:
        if recompute:
            x = real.embedding(ids).detach().requires_grad_() * 1.0
            for block in real.blocks:
                x = checkpoint(block, x, use_reentrant=False, preserve_rng_state=False, early_stop=False)
            real.head(real.norm(x)).sum().backward()
        else:
            real(ids).sum().backward()
    assert step_flops(spec, 130, 2, recompute) == counted.flops


def test_pruned_matrices_are_recomputed_pruned():
    half, whole = prune(GPT, 0.5), GPT
    weights = sum(w.count * w.flops for w in whole.weights if w.name.startswith(("mixer", "ffn")))
    assert step_flops(whole, 9, 2, True) - step_flops(half, 9, 2, True) == 4 * 2 * 9 * weights / 2


@pytest.mark.parametrize("devices", [1, 2, 3, 5])
def test_ring_all_reduce_is_played_through(devices):
    size = 30 * devices
    held = np.random.default_rng(0).normal(size=(devices, devices, size // devices))  # device, part, element
    wanted, sent = held.sum(0), np.zeros(devices)
    for phase in ("reduce", "gather"):
        for step in range(devices - 1):
            parts = [(d - step + (phase == "gather")) % devices for d in range(devices)]
            messages = [held[d, part].copy() for d, part in enumerate(parts)]
            for d, message in enumerate(messages):
                sent[d] += message.size * 2
                there = (d + 1) % devices
                held[there, parts[d]] = message + held[there, parts[d]] if phase == "reduce" else message
    for one in held:
        np.testing.assert_allclose(one, wanted, atol=1e-12)
    assert (sent == ring_all_reduce_bytes(size, devices)).all()


def test_tensor_parallel_messages_of_a_transformer():
    t, batch, devices = 16, 2, 4
    one = ring_all_reduce_bytes(batch * t * 48, devices)
    assert tensor_parallel_bytes(GPT, t, batch, devices) == 3 * 4 * one
    assert tensor_parallel_bytes(GPT, t, batch, devices, recompute=True) == 3 * 6 * one
    assert tensor_parallel_bytes(model({"mixer": "mamba2", "head_width": 32}, ffn=0), t, batch, devices) == 2 * one
    assert tensor_parallel_bytes(GPT, t, batch, 1) == 0


def test_a_split_matrix_needs_the_sum_that_is_sent():
    torch.manual_seed(0)
    up, down, x = torch.randn(96, 48).double(), torch.randn(48, 96).double(), torch.randn(7, 48).double()
    parts = [torch.relu(x @ u.T) @ d.T for u, d in zip(up.chunk(4), down.chunk(4, 1), strict=True)]
    assert all(part.numel() == 7 * 48 for part in parts)  # what is reduced: B T D
    torch.testing.assert_close(torch.stack(parts).sum(0), torch.relu(x @ up.T) @ down.T)


def played(order, done_before, work):
    """Time until every device has done its tasks in order, each after those it needs."""
    finished: dict[tuple, float] = {}
    left, clock = {d: list(tasks) for d, tasks in order.items()}, dict.fromkeys(order, 0.0)
    while any(left.values()):
        moved = False
        for d, tasks in left.items():
            while tasks and all(need in finished for need in done_before(tasks[0])):
                start = max([clock[d], *(finished[need] for need in done_before(tasks[0]))])
                clock[d] = finished[tasks[0]] = start + work(tasks[0])
                tasks.pop(0)
                moved = True
        assert moved, "deadlock"
    return max(clock.values())


@pytest.mark.parametrize("stages, microbatches", [(1, 3), (3, 3), (4, 9), (5, 2)])
def test_bubble_of_a_pipeline_that_is_played_through(stages, microbatches):
    order = {
        d: [("f", i, d) for i in range(microbatches)] + [("b", i, d) for i in range(microbatches)]
        for d in range(stages)
    }

    def needs(task):
        way, i, d = task
        if way == "f":
            return [("f", i, d - 1)] if d else []
        return [("b", i, d + 1)] if d < stages - 1 else [("f", i, d)]

    time = played(order, needs, lambda task: 1.0 if task[0] == "f" else 2.0)
    work = 3.0 * microbatches
    assert (time - work) / work == pytest.approx(pipeline_bubble(stages, microbatches))


@pytest.mark.parametrize("stages, microbatches, chunks", [(2, 4, 2), (4, 8, 2), (3, 3, 4)])
def test_bubble_of_an_interleaved_pass(stages, microbatches, chunks):
    """Forward alone: device d holds stages d, d + p, ...; p microbatches go through one chunk, then the next."""
    order = {
        d: [
            (i, c * stages + d)
            for group in range(0, microbatches, stages)
            for c in range(chunks)
            for i in range(group, group + stages)
        ]
        for d in range(stages)
    }
    time = played(order, lambda task: [(task[0], task[1] - 1)] if task[1] else [], lambda task: 1 / chunks)
    assert (time - microbatches) / microbatches == pytest.approx(pipeline_bubble(stages, microbatches, chunks))


@pytest.mark.parametrize(
    "layer", [{"mixer": "attention"}, {"mixer": "mamba2", "head_width": 32}, {"mixer": "sliding_window", "window": 8}]
)
def test_what_the_last_device_needs_is_the_real_state(layer):
    spec, t, devices = model(layer, layer), 32, 4
    real = LanguageModel(spec.architecture.config)
    with torch.no_grad():
        _, states = real.prefill(torch.zeros(1, 24, dtype=torch.long))
    kept = sum(u.numel() for state in states for u in state if u.ndim and u.shape[0] == 1)
    messages = sequence_parallel_messages(spec, t, devices)
    assert messages.state == 2 * kept
    assert messages.activations == 2 * torch.zeros(2, 24, 48).numel()
    assert sequence_parallel_messages(quantise_state(spec, 8), t, devices).state == kept


def test_a_recurrent_state_does_not_grow_with_the_text():
    recurrent, attention = model({"mixer": "gla"}), GPT
    sizes = [sequence_parallel_messages(recurrent, t, 4).state for t in (64, 4096)]
    assert sizes[0] == sizes[1] < sequence_parallel_messages(recurrent, 4096, 4).activations
    assert (
        sequence_parallel_messages(attention, 4096, 4).state == 64 * sequence_parallel_messages(attention, 64, 4).state
    )
    assert (
        sequence_parallel_messages(attention, 64, 1).state
        == sequence_parallel_messages(attention, 64, 1).activations
        == 0
    )
    cut = sequence_parallel_messages(evict(attention, 10), 4096, 4)
    assert cut.state == 2 * attention.state_elements(10)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: transformer_step_flops(0, 48, 40, 5, 1), "layers: an integer of at least 1"),
        (lambda: ring_all_reduce_bytes(5, 0), "devices: an integer"),
        (lambda: pipeline_bubble(4, 6, 2), "microbatches: a multiple of stages = 4"),
        (lambda: pipeline_bubble(4, 0), "microbatches: an integer"),
        (lambda: sequence_parallel_messages(GPT, 9, 4), "t: a multiple of devices = 4, got 9"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
