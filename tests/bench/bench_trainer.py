"""Our trainer beside zoology's own loop: attention on MQAR to 99 %, the same data, batch, depth, width and rate.

    python tests/bench/bench_trainer.py --zoology CHECKOUT [--site DIR] [--batch 128] [--rate 0.01] [--steps-only]

CHECKOUT is a clone of HazyResearch/zoology at a commit whose language model returns logits (dbcb60d; the next one
returns embeddings, and its loss fails). DIR holds what it imports beyond torch (einops, pandas); torchvision and wandb,
which it imports but does not need here, are replaced by stubs. Both loops run in this process, on the same tensors;
theirs evaluates once an epoch, and so does ours. Prints seconds per step (medians, alternating) and seconds to 99 %.
"""

from __future__ import annotations

import argparse
import sys
import time
import types
from contextlib import redirect_stderr
from io import StringIO
from statistics import median

import torch
from recallscope.allocator import keep_freed_memory
from recallscope.tasks import MQAR
from recallscope.training.members.members import Member, Members
from recallscope.training.members.mix import Batches, single
from recallscope.training.members.readouts import build_model
from recallscope.training.members.recipe import Recipe
from recallscope.training.members.trainer import train_members
from recallscope.training.sweeps.subjects import recall_subject

TASK = MQAR(vocabulary=8192, length=64, pairs=4, random_filler=False)


class Identity(torch.nn.Module):
    """In place of torchvision's StochasticDepth at rate 0."""

    def __init__(self, *args: object, **kwargs: object):
        super().__init__()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def import_zoology(checkout: str, site: str | None) -> None:
    stubs = {"torchvision": {}, "torchvision.ops": {"StochasticDepth": Identity}, "wandb": {}}
    for name, contents in stubs.items():
        module = types.ModuleType(name)
        vars(module).update(contents)
        sys.modules[name] = module
    sys.path[:0] = [path for path in (checkout, site) if path]


class Silent:
    """In place of their logger."""

    def log(self, *args: object) -> None: ...


def their_model() -> torch.nn.Module:
    from zoology.config import ModelConfig, ModuleConfig  # type: ignore[import-not-found]
    from zoology.model import LanguageModel  # type: ignore[import-not-found]

    convolution = {"name": "zoology.mixers.base_conv.BaseConv", "kwargs": {"l_max": TASK.length, "kernel_size": 3}}
    attention = {"name": "zoology.mixers.attention.MHA", "kwargs": {"dropout": 0.1, "num_heads": 1}}
    mixer = ModuleConfig(name="zoology.mixers.hybrid.Hybrid", kwargs={"configs": [convolution, attention]})
    nothing = ModuleConfig(name="torch.nn.Identity", kwargs={})
    config = ModelConfig(
        sequence_mixer=mixer, state_mixer=nothing, d_model=64, n_layers=2, max_position_embeddings=0,
        vocab_size=TASK.vocabulary,
    )  # fmt: skip
    torch.manual_seed(0)
    return LanguageModel(config)


def loader(inputs: torch.Tensor, targets: torch.Tensor, batch: int) -> list:
    """Batches in order, as theirs come: inputs, labels, and one dictionary of slices for each example."""
    parts = zip(inputs.split(batch), targets.split(batch), strict=True)
    return [(x, y, [{"num_kv_pairs": TASK.pairs}] * len(x)) for x, y in parts]


def their_trainer(train: list, test: list, rate: float, epochs: int) -> object:
    from zoology.train import Trainer  # type: ignore[import-not-found]

    return Trainer(
        their_model(), train, test, max_epochs=epochs, learning_rate=rate, weight_decay=0.1, device="cpu",
        early_stopping_metric="valid/accuracy", early_stopping_threshold=0.99, logger=Silent(),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--zoology", required=True)
    parser.add_argument("--site")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--examples", type=int, default=25_600)
    parser.add_argument("--rate", type=float, default=1e-2)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--steps-only", action="store_true")
    given = parser.parse_args()
    import_zoology(given.zoology, given.site)
    keep_freed_memory()

    mix, epoch = single(TASK), given.examples // given.batch
    config = recall_subject("attention:heads=1,rope_base=None,qk_norm=False,tied=True", 64).config
    recipe = Recipe(
        steps=given.epochs * epoch, batch=given.batch, examples=given.examples, schedule="cosine by epoch",
        evaluate_every=epoch, validation=1000,
    )  # fmt: skip
    batches = Batches(mix, 0, given.batch, given.examples, "cpu")
    (data,) = batches._sets or []
    held_out = next(iter(mix.held_out(1000, False, "cpu")))
    train = loader(data.inputs.long(), data.targets(), given.batch)
    theirs = their_trainer(train, loader(held_out.inputs.long(), held_out.targets(), 32), given.rate, given.epochs)
    ours = Members(lambda: build_model(config, mix), [Member(given.rate, 0)], 0.1)
    one = batches(0)
    inputs, positions, answers = one.inputs.long()[None], one.positions.long()[None], one.answers.long()[None]

    model = theirs.model.train()  # type: ignore[attr-defined]
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0)
    loss_of = torch.nn.CrossEntropyLoss()
    their_seconds, our_seconds = [], []
    for _ in range(6):
        started = time.perf_counter()
        optimizer.zero_grad()  # the lines of their `train_epoch`
        logits = model(train[0][0])
        loss_of(logits.flatten(0, 1), train[0][1].flatten()).backward()
        optimizer.step()
        middle = time.perf_counter()
        ours.step(inputs, positions, answers, [0.0])
        their_seconds.append(middle - started)
        our_seconds.append(time.perf_counter() - middle)
    a, b = median(their_seconds[1:]), median(our_seconds[1:])
    print(f"a step of {given.batch}: theirs {a * 1e3:.0f} ms, ours {b * 1e3:.1f} ms, {a / b:.1f} x", flush=True)
    if given.steps_only:
        return

    started = time.perf_counter()
    (outcome,) = train_members(config, mix, recipe, [Member(given.rate, 0)])
    ours_to = time.perf_counter() - started
    curve = [f"{accuracy:.3f}" for _, _, accuracy in outcome.curve]
    print(f"ours: {ours_to:.1f} s, {outcome.steps} steps, accuracy by epoch {curve}", flush=True)
    started = time.perf_counter()
    fresh = their_trainer(train, loader(held_out.inputs.long(), held_out.targets(), 32), given.rate, given.epochs)
    with redirect_stderr(StringIO()):  # their progress bars
        fresh.fit()  # type: ignore[attr-defined]
    theirs_to = time.perf_counter() - started
    print(f"theirs: {theirs_to:.1f} s; ratio {theirs_to / ours_to:.1f}")


if __name__ == "__main__":
    main()
