"""Sweeps with a name: those of published figures, and the recall-against-state sweep whose results are committed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from recallscope.tasks.mqar import MQAR
from recallscope.tasks.set_disjointness import TEST_SIZES, TRAIN_SIZES, SetDisjointness
from recallscope.training.members.mix import Mix, single
from recallscope.training.members.recipe import Recipe
from recallscope.training.sweeps.based import BASED_RATES as BASED_RATES
from recallscope.training.sweeps.based import (
    based_figure1,
    based_figure1_small,
    based_figure2,
    based_figure3,
    based_figure3_small,
    recall_vs_state,
)
from recallscope.training.sweeps.mad import mad
from recallscope.training.sweeps.subjects import subjects, tied
from recallscope.training.sweeps.sweep import Sweep

ZOOLOGY_RATES = tuple(float(f"{rate:.4g}") for rate in np.logspace(-4, -2, 4))
JRT_RATES = (1e-4, 5e-4, 8e-4)


def zoology_figure2(layers: int = 2) -> tuple[Sweep, ...]:
    """MQAR accuracy against width at four lengths (Arora et al. 2023, arXiv 2312.04927, Figure 2).

    Two readings: the code at the time of the paper gave attention 2 layers and all others 4; the present code gives 2
    to all. `layers` is that of the others. No feed-forward layers; filler is id 0; 100,000 examples, 64 epochs or until
    0.99, one seed. Different here: attention has rotary positions instead of a learned table, and what `based_figure2`
    says.
    """
    sweeps = []
    for length, pairs in ((64, 4), (128, 8), (256, 16), (512, 64)):
        batch = 512 if length <= 128 else 256 if length == 256 else 128
        epoch = 100_000 // batch
        recipe = Recipe(
            steps=64 * epoch, batch=batch, examples=100_000, schedule="cosine by epoch",
            evaluate_every=epoch, validation=1000, test=3000,
        )  # fmt: skip
        names = [f"attention:width={width},heads=1,qk_norm=False,first=None" for width in (64, 128, 256, 512)]
        for mixer in ("hyena", "rwkv4", "h3", "base_conv", "based", "mamba"):
            own = {"hyena": f",length={length}", "h3": f",state_size={length}"}.get(mixer, "")
            names += [f"{mixer}:width={width},layers={layers}{own}" for width in (64, 128, 256, 512)]
        name = f"zoology-figure2-{layers}-layers-{length}"
        about = "Arora et al. 2023 (arXiv 2312.04927), Figure 2"
        task = MQAR(8192, length, pairs, random_filler=False)
        sweeps.append(Sweep(name, tied(subjects(names)), single(task), ZOOLOGY_RATES, (0,), recipe, about))
    return tuple(sweeps)


def jrt_figure2() -> tuple[Sweep, ...]:
    """Set disjointness against state size, causal and not (Arora et al. 2024, arXiv 2407.05483, Figure 2).

    Four layers, convolutions of 3 taps and Taylor linear attention of 2 heads in turn: `based` reads in order, `jrt`
    encodes the whole input first. 20,000 examples of each of 12 pairs of sizes, 48 epochs in batches of 128. Different
    here: what `based_figure2` says, and no feed-forward layers (the paper's text has them, its code has not).
    """
    train = tuple((SetDisjointness(first=first, second=second), 1.0) for first, second in TRAIN_SIZES)
    test = tuple(SetDisjointness(first=first, second=second) for first, second in TEST_SIZES)
    examples = 20_000 * len(TRAIN_SIZES)
    epoch = examples // 128
    recipe = Recipe(
        steps=48 * epoch, batch=128, examples=examples, schedule="cosine by epoch", evaluate_every=epoch,
        validation=200, test=1000,
    )  # fmt: skip
    names = [
        f"{mixer}:width={width},layers=4,alternate=True,heads=2,key_width={key}"
        for mixer in ("based", "jrt")
        for width in (36, 48, 64, 96, 128)
        for key in (4, 8, 16, 24)
    ]
    about = "Arora et al. 2024 (arXiv 2407.05483), Figure 2"
    return (Sweep("jrt-figure2", tied(subjects(names)), Mix(train, test), JRT_RATES, (0, 1), recipe, about),)


def jrt_figure2_small() -> tuple[Sweep, ...]:
    """The same at a size for minutes on a core: width 36, vocabulary 128, three seeds of one rate.

    Trained on 1,000 batches of 64 new examples of sets of up to 16, tested on sets of up to 32.
    """
    train, test = ((2, 8), (4, 16)), ((2, 8), (4, 16), (2, 32), (4, 32))
    mix = Mix(tuple((task, 1.0) for task in _both_ways(train)), _both_ways(test))
    recipe = Recipe(steps=1000, batch=64, evaluate_every=250, validation=64, test=256)
    shape = "width=36,layers=4,alternate=True,heads=2"
    names = [f"{mixer}:{shape},key_width={key}" for key in (4, 2, 8) for mixer in ("based", "jrt")]
    about = "Arora et al. 2024 (arXiv 2407.05483), Figure 2, at a reduced size"
    return (Sweep("jrt-figure2-small", tied(subjects(names)), mix, (3.162e-3,), (0, 1, 2), recipe, about),)


def _both_ways(sizes: Sequence[tuple[int, int]]) -> tuple[SetDisjointness, ...]:
    """Each pair of sizes, the smaller set first and the larger first."""
    pairs = [pair for few, many in sizes for pair in ((few, many), (many, few))]
    return tuple(SetDisjointness(128, first=first, second=second) for first, second in pairs)


PLANS: dict[str, Callable[[], tuple[Sweep, ...]]] = {
    "recall-vs-state": recall_vs_state,
    "based-figure1": based_figure1,
    "based-figure1-small": based_figure1_small,
    "based-figure2": based_figure2,
    "based-figure3": based_figure3,
    "based-figure3-small": based_figure3_small,
    "zoology-figure2": zoology_figure2,
    "zoology-figure2-deep": lambda: zoology_figure2(layers=4),
    "jrt-figure2": jrt_figure2,
    "jrt-figure2-small": jrt_figure2_small,
    "mad": mad,
}
