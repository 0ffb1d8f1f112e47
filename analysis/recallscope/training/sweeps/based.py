"""Sweeps of Based's figures (Arora et al. 2024, arXiv 2402.18668) as published, and at a size for two cores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recallscope.tasks.mqar import MQAR
from recallscope.training.members.mix import Mix
from recallscope.training.members.recipe import Recipe
from recallscope.training.sweeps.subjects import stacked_subject, subjects, tied
from recallscope.training.sweeps.sweep import Sweep

BASED_RATES = tuple(float(f"{rate:.4g}") for rate in np.logspace(-3, -1.5, 4))
PLAIN = "heads=1,rope_base=None,qk_norm=False"  # attention as in these papers: one head, no positions


def _published_mix() -> Mix:
    sizes = {(64, 4): 100_000, (128, 8): 20_000, (256, 16): 20_000, (256, 32): 20_000, (256, 64): 20_000}
    train = tuple((_mqar(8192, *size), float(examples)) for size, examples in sizes.items())
    test = tuple(_mqar(8192, *s) for s in ((64, 4), (64, 8), (64, 16), (128, 32), (256, 64), (512, 128), (1024, 256)))
    return Mix(train, test)


def _small_mix() -> Mix:
    train = ((_mqar(512, 32, 4), 2.0), (_mqar(512, 64, 8), 1.0), (_mqar(512, 64, 16), 1.0))
    test = tuple(_mqar(512, *size) for size in ((32, 4), (64, 8), (64, 16), (128, 32), (256, 64)))
    return Mix(train, test)


def _smaller_mix() -> Mix:
    """Half of the vocabulary, the lengths and the pairs of `_small_mix`."""
    train = ((_mqar(256, 16, 2), 2.0), (_mqar(256, 32, 4), 1.0), (_mqar(256, 32, 8), 1.0))
    test = tuple(_mqar(256, *size) for size in ((16, 2), (32, 4), (32, 8), (64, 16), (128, 32)))
    return Mix(train, test)


def _mqar(vocabulary: int, length: int, pairs: int) -> MQAR:
    return MQAR(vocabulary, length, pairs)


PUBLISHED = Recipe(
    steps=32 * (180_000 // 256), batch=256, examples=180_000, schedule="cosine by epoch", evaluate_every=703,
    validation=256, test=1000,
)  # fmt: skip
SMALL = Recipe(steps=1200, batch=32, evaluate_every=200, validation=64, test=256)
SMALLER = replace(SMALL, steps=1000, evaluate_every=125, validation=32)


def recall_vs_state() -> tuple[Sweep, ...]:
    """Ten mixers and more at a size for two cores: vocabulary 512, trained to 64 tokens, tested to 256.

    As Based's Figure 2 in rates, depth, first layer and the ratio of 4 between the longest tests and the longest
    training examples; a sixteenth of its vocabulary, a quarter of its lengths, and far fewer examples, which are new in
    every step. The committed rows are those of the subjects that two cores had finished.
    """
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
    return (Sweep("recall-vs-state", subjects(names), _small_mix(), BASED_RATES, (0, 1, 2), SMALL, about),)


def based_figure1() -> tuple[Sweep, ...]:
    """MQAR accuracy against the window: windows alone, Taylor linear attention alone, and both (Figure 1, centre).

    The released code has no configuration of this figure: tests, recipe and widths are those of Figure 2. All models
    have three layers, a BaseConv of 3 taps and two mixers, so that both together have no layer more than one alone;
    together they stand in Based's order, linear attention first. Attention in their place is the most that is possible.
    """
    models = tuple(stacked_subject(stack, width=128) for stack in _windows(16, 128, [2**p for p in range(3, 11)]))
    about = "Arora et al. 2024 (arXiv 2402.18668), Figure 1 centre, in the setting of Figure 2"
    return (Sweep("based-figure1", tied(models), _published_mix(), BASED_RATES, (0,), PUBLISHED, about),)


def based_figure1_small() -> tuple[Sweep, ...]:
    """The same at a size for minutes on a core: width 32, vocabulary 256, 1,000 steps of 32 examples.

    Trained to 32 tokens with up to 8 pairs, tested to 128 with 32; three seeds of one rate, that of Based's four at
    which more subjects of `recall_vs_state` were best than at any other.
    """
    models = tuple(stacked_subject(stack, width=32) for stack in _windows(8, 64, (8, 32, 16, 4, 64)))
    about = "Arora et al. 2024 (arXiv 2402.18668), Figure 1 centre, at a reduced size"
    return (Sweep("based-figure1-small", models, _smaller_mix(), (1e-2,), (0, 1, 2), SMALLER, about),)


def _windows(key_width: int, chunk: int, windows: Sequence[int]) -> list[tuple[str, ...]]:
    linear, attention = f"based:heads=1,key_width={key_width},chunk={chunk}", f"attention:{PLAIN}"
    alone = [f"sliding_window:window={window},{PLAIN}" for window in windows]
    return [
        ("base_conv", linear, linear),
        ("base_conv", attention, attention),
        *(("base_conv", mixer, one) for one in alone for mixer in (linear, one)),
    ]


def based_figure2() -> tuple[Sweep, ...]:
    """MQAR accuracy against state size (Figure 2), as the released configuration.

    One training set of 180,000 examples in five kinds, 32 epochs in batches of 256, two layers without feed-forward
    layers: BaseConv of 3 taps, then the mixer; Mamba, Hyena and H3 in both. Different here: batches are shuffled, the
    validation examples choose the rate, RMSNorm as in all models of this toolkit, no dropout. As there, the embedding
    is the head too.
    """
    names = [
        *(f"attention:width={width},{PLAIN}" for width in (64, 128)),
        *(f"based:width={width},heads=1,key_width={key}" for width in (48, 64, 128) for key in (8, 16, 24)),
        *(f"sliding_window:width=128,window={2**power},{PLAIN}" for power in range(3, 11)),
        *(f"{m}:width={w},state_size={n}" for m in ("mamba", "mamba2") for w in (64, 128, 256) for n in (8, 16, 24)),
        *(f"hyena:width={width},length=1024" for width in (64, 128, 256)),
        *(f"h3:width={width},state_size={width // 4}" for width in (64, 128, 256)),
    ]
    about = "Arora et al. 2024 (arXiv 2402.18668), Figure 2, released configuration"
    return (Sweep("based-figure2", tied(subjects(names)), _published_mix(), BASED_RATES, (0,), PUBLISHED, about),)


def based_figure3() -> tuple[Sweep, ...]:
    """MQAR accuracy by feature map, against state and parameters (Figure 3), as the released configuration.

    Eight widths, one head; Taylor features of keys of width 16 and 24, else of the model's width; the other recipe is
    that of Figure 2. The figure shows the test of 256 pairs alone. Not here: the maps that square each coordinate, and
    all its powers, which no mixer of this toolkit has.
    """
    names = _feature_maps(tuple(range(64, 513, 64)), (16, 24), 1024, 128)
    about = "Arora et al. 2024 (arXiv 2402.18668), Figure 3, released configuration"
    return (Sweep("based-figure3", tied(subjects(names)), _published_mix(), BASED_RATES, (0,), PUBLISHED, about),)


def based_figure3_small() -> tuple[Sweep, ...]:
    """The same at the size of `based_figure1_small`: widths of 16, 32 and 64, Taylor features of keys of 4 and 8."""
    names = _feature_maps((32, 16, 64), (4, 8), 128, 64)
    about = "Arora et al. 2024 (arXiv 2402.18668), Figure 3, at a reduced size"
    return (Sweep("based-figure3-small", subjects(names), _smaller_mix(), (1e-2,), (0, 1, 2), SMALLER, about),)


def _feature_maps(widths: Sequence[int], keys: Sequence[int], length: int, chunk: int) -> list[str]:
    others = ("elu", "relu", "identity,normalised=False", f"cosformer,length={length}", "performer,features={width}")
    names = []
    for width in widths:
        shape = f"width={width},heads=1,chunk={chunk}"
        names += [f"based:{shape},key_width={key}" for key in keys]
        names += [f"linear_attention:{shape},feature_map={name.format(width=width)}" for name in others]
    return names
