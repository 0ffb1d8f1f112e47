"""Sweeps with a name: those of published figures, and the recall-against-state sweep whose results are committed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from recallscope.tasks.mqar import MQAR
from recallscope.tasks.set_disjointness import TEST_SIZES, TRAIN_SIZES, SetDisjointness
from recallscope.training.members.mix import Mix, single
from recallscope.training.members.recipe import Recipe
from recallscope.training.sweeps.mad import mad
from recallscope.training.sweeps.subjects import Subject, recall_subject
from recallscope.training.sweeps.sweep import Sweep

BASED_RATES = tuple(float(f"{rate:.4g}") for rate in np.logspace(-3, -1.5, 4))
ZOOLOGY_RATES = tuple(float(f"{rate:.4g}") for rate in np.logspace(-4, -2, 4))
JRT_RATES = (1e-4, 5e-4, 8e-4)
PLAIN = "heads=1,rope_base=None,qk_norm=False"  # attention as in these papers: one head, no positions


def recall_vs_state() -> tuple[Sweep, ...]:
    """Ten mixers and more at a size for two cores: vocabulary 512, trained to 64 tokens, tested to 256.

    As Based's Figure 2 in rates, depth, first layer and the ratio of 4 between the longest tests and the longest
    training examples; a sixteenth of its vocabulary, a quarter of its lengths, and far fewer examples, which are new in
    every step. The committed rows are those of the subjects that two cores had finished.
    """
    task = lambda length, pairs: MQAR(512, length, pairs)  # noqa: E731
    train = ((task(32, 4), 2.0), (task(64, 8), 1.0), (task(64, 16), 1.0))
    test = (task(32, 4), task(64, 8), task(64, 16), task(128, 32), task(256, 64))
    recipe = Recipe(steps=1200, batch=32, evaluate_every=200, validation=64, test=256)
    names = [
        f"attention:{PLAIN}",
        f"attention:layers=1,{PLAIN}",
        "pooling:chunk=32",
        *(f"based:heads=1,key_width={key}" for key in (4, 8, 16)),
        *(f"sliding_window:window={window},{PLAIN}" for window in (8, 32)),
        "linear_attention:heads=1,chunk=32",
        "gla:heads=1,chunk=32",
        "delta_net:heads=1,chunk=32",
        "gated_delta_net:heads=1,chunk=32",
        "mamba2:state_size=16,chunk=32",
        "rwkv7:heads=1",
        "hyena:length=256",
        "h3:state_size=16,chunk=32",
        "mamba:state_size=8",
        f"sliding_window:window=128,{PLAIN}",
        "base_conv",
        "retention:heads=1,chunk=32",
        *(f"{mixer}:heads=4,chunk=32" for mixer in ("linear_attention", "gla", "delta_net", "gated_delta_net")),
    ]
    about = "the setting of Arora et al. 2024 (arXiv 2402.18668), Figure 2, at a reduced size"
    return (Sweep("recall-vs-state", _subjects(names), Mix(train, test), BASED_RATES, (0, 1, 2), recipe, about),)


def based_figure2() -> tuple[Sweep, ...]:
    """MQAR accuracy against state size (Arora et al. 2024, arXiv 2402.18668, Figure 2), as the released configuration.

    One training set of 180,000 examples in five kinds, 32 epochs in batches of 256, two layers without feed-forward
    layers: BaseConv of 3 taps, then the mixer; Mamba, Hyena and H3 in both. Different here: batches are shuffled, the
    validation examples choose the rate, RMSNorm as in all models of this toolkit, no dropout. As there, the embedding
    is the head too.
    """
    task = lambda length, pairs: MQAR(8192, length, pairs)  # noqa: E731
    sizes = {(64, 4): 100_000, (128, 8): 20_000, (256, 16): 20_000, (256, 32): 20_000, (256, 64): 20_000}
    train = tuple((task(*size), float(examples)) for size, examples in sizes.items())
    test = tuple(task(*s) for s in ((64, 4), (64, 8), (64, 16), (128, 32), (256, 64), (512, 128), (1024, 256)))
    recipe = Recipe(
        steps=32 * (180_000 // 256), batch=256, examples=180_000, schedule="cosine by epoch",
        evaluate_every=703, validation=256, test=1000,
    )  # fmt: skip
    names = [
        *(f"attention:width={width},{PLAIN}" for width in (64, 128)),
        *(f"based:width={width},heads=1,key_width={key}" for width in (48, 64, 128) for key in (8, 16, 24)),
        *(f"sliding_window:width=128,window={2**power},{PLAIN}" for power in range(3, 11)),
        *(f"{m}:width={w},state_size={n}" for m in ("mamba", "mamba2") for w in (64, 128, 256) for n in (8, 16, 24)),
        *(f"hyena:width={width},length=1024" for width in (64, 128, 256)),
        *(f"h3:width={width},state_size={width // 4}" for width in (64, 128, 256)),
    ]
    about = "Arora et al. 2024 (arXiv 2402.18668), Figure 2, released configuration"
    return (Sweep("based-figure2", _tied(_subjects(names)), Mix(train, test), BASED_RATES, (0,), recipe, about),)


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
        sweeps.append(Sweep(name, _tied(_subjects(names)), single(task), ZOOLOGY_RATES, (0,), recipe, about))
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
    return (Sweep("jrt-figure2", _tied(_subjects(names)), Mix(train, test), JRT_RATES, (0, 1), recipe, about),)


PLANS: dict[str, Callable[[], tuple[Sweep, ...]]] = {
    "recall-vs-state": recall_vs_state,
    "based-figure2": based_figure2,
    "zoology-figure2": zoology_figure2,
    "zoology-figure2-deep": lambda: zoology_figure2(layers=4),
    "jrt-figure2": jrt_figure2,
    "mad": mad,
}


def _subjects(names: Sequence[str]) -> tuple[Subject, ...]:
    return tuple(recall_subject(name) for name in names)


def _tied(subjects: Sequence[Subject]) -> tuple[Subject, ...]:
    return tuple(replace(subject, config=replace(subject.config, tied=True)) for subject in subjects)
