"""Fewer weights or fewer inputs: single weights, blocks, N of M, heads and hidden units; sparse activations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from recallscope.architectures.config import build_layer, mixer_options
from recallscope.architectures.mixers._softmax import SoftmaxMixer
from recallscope.architectures.operators._choice import (
    BLOCKS,
    Only,
    call,
    changed,
    need_dense,
    need_divisor,
    need_product,
    need_share,
)
from recallscope.architectures.operators._schedule import average
from recallscope.architectures.operators._shape import chosen_layers, ffn_width, reshaped, with_layers
from recallscope.architectures.specification import Specification, Weights


def prune(
    specification: Specification,
    density: float,
    block: tuple[int, int] = (1, 1),
    index: str = "bitmap",
    position_bits: int | None = None,
    only: Only = BLOCKS,
) -> Specification:
    """A share of each matrix's values kept, one by one or in blocks of m x n: ρ M N values, 2 ρ M N FLOPs per token.

    Kurtic et al. 2022 (Optimal BERT Surgeon), Shen et al. 2023 (blocks on CPUs). The FLOPs are those of a kernel that
    skips what is zero. Left out: how much slower such a kernel is, and which values are kept.

    Parameters
    ----------
    density : float
        ρ; the number of blocks kept is rounded. 1 changes nothing.
    block : tuple of int
        Rows m and columns n of a block, divisors of M and N.
    index : str
        `bitmap`: one bit for each block, M N / (m n); `list`: a position for each block kept; `none`: positions that
        follow from something else, such as a seed.
    position_bits : int or None
        Of one position in a list; None: ⌈log₂ of the number of blocks⌉.
    """
    need_share("density", density)
    if index not in ("bitmap", "list", "none"):
        raise ValueError(f"index: bitmap, list or none, got {index!r}")
    m, n = block

    def pruned(w: Weights) -> tuple[Weights, ...]:
        if density == 1:
            return (w,)
        need_dense("prune", w)
        need_divisor("prune", "block", m, w, w.rows)
        need_divisor("prune", "block", n, w, w.columns)
        blocks = w.rows * w.columns // (m * n)
        kept = round(density * blocks)
        position = math.ceil(math.log2(blocks)) if position_bits is None else position_bits
        bits = {"bitmap": blocks, "list": kept * position, "none": 0}[index]
        return (_thinned(w, kept * m * n, bits),)

    shape = None if block == (1, 1) else block
    label = call("prune", density=density, block=shape, index=index, position_bits=position_bits, only=only)
    return changed(specification, label, only, pruned)


def prune_pattern(
    specification: Specification, kept: int, group: int, index: str = "least", only: Only = BLOCKS
) -> Specification:
    """`kept` of every `group` consecutive inputs of each output: 2 of 4 runs on tensor cores (Mishra et al. 2021).

    Parameters
    ----------
    kept, group : int
        N and M of an N:M pattern; M divides the number of inputs. N = M changes nothing.
    index : str
        `least`: ⌈log₂ C(M, N)⌉ bits per group, 3 for 2:4; `positions`: N ⌈log₂ M⌉, as hardware stores it, 4 for 2:4.
    """
    if not 1 <= kept <= group:
        raise ValueError(f"kept: between 1 and group = {group}, got {kept}")
    if index not in ("least", "positions"):
        raise ValueError(f"index: least or positions, got {index!r}")
    least = math.ceil(math.log2(math.comb(group, kept)))
    bits = least if index == "least" else kept * math.ceil(math.log2(group))

    def pruned(w: Weights) -> tuple[Weights, ...]:
        if kept == group:
            return (w,)
        need_dense("prune_pattern", w)
        need_divisor("prune_pattern", "group", group, w, w.columns)
        groups = w.rows * w.columns // group
        return (_thinned(w, groups * kept, groups * bits),)

    label = call("prune_pattern", kept=kept, group=group, index=index, only=only)
    return changed(specification, label, only, pruned)


def _thinned(w: Weights, stored: int, index_bits: int) -> Weights:
    return replace(w, stored=stored, flops=w.flops * stored / (w.rows * w.columns), index_bits=index_bits)


_WIDTHS = ("head_width", "key_width", "value_width")


def prune_heads(specification: Specification, heads: int, layers: Sequence[int] | None = None) -> Specification:
    """Heads removed from attention, each with its rows and columns; a change of shape, so cost and state are exact.

    Ma et al. 2023 (LLM-Pruner), Nagarajan et al. 2022 (AxFormer). Heads keep their width, groups of query heads their
    size, so the cache shrinks too. For mixers whose heads are independent: softmax attention and matrix states with
    `key_width` and `value_width`.

    Parameters
    ----------
    heads : int
        Heads left in each layer, at most those there.
    layers : sequence of int or None
        Layers that lose heads; None: all.
    """
    config, new = specification.architecture.config, {}
    for i in chosen_layers(config, layers):
        layer = config.layers[i]
        mixer, options = build_layer(config, layer)[0], mixer_options(layer["mixer"])
        if not (isinstance(mixer, SoftmaxMixer) or {"heads", "key_width", "value_width"} <= options.keys()):
            raise ValueError(f"layers: mixers with independent heads of a given width, got {layer['mixer']} in {i}")
        before = int(mixer.heads)  # type: ignore[arg-type]
        if not 1 <= heads <= before:
            raise ValueError(f"heads: between 1 and {before}, got {heads}")
        changes = {"heads": heads}
        for name in ("kv_heads", "key_heads", "value_heads"):
            if name in options:
                count = int(getattr(mixer, name))
                if count * heads % before:
                    raise ValueError(f"heads: must leave whole groups of {name} = {count} of {before}, got {heads}")
                changes[name] = count * heads // before
        widths = {name: int(getattr(mixer, name)) for name in _WIDTHS if name in options}
        new[i] = layer if heads == before else layer | changes | widths
    label = call("prune_heads", heads=heads, layers=layers)
    return reshaped(specification, label, with_layers(config, new))


def prune_ffn(specification: Specification, hidden: int, layers: Sequence[int] | None = None) -> Specification:
    """Hidden units removed from the feed-forward layers, or from each of their experts; a change of shape.

    Parameters
    ----------
    hidden : int
        Units left, at most those there.
    layers : sequence of int or None
        Layers that lose units; None: all that have a feed-forward layer.
    """
    config, new = specification.architecture.config, {}
    for i in chosen_layers(config, layers):
        layer, before = config.layers[i], ffn_width(config, config.layers[i])
        if layers is None and not before:
            continue
        if not 1 <= hidden <= before:
            raise ValueError(f"hidden: between 1 and {before} in layer {i}, got {hidden}")
        new[i] = layer if hidden == before else layer | {"ffn_width": hidden}
    label = call("prune_ffn", hidden=hidden, layers=layers)
    return reshaped(specification, label, with_layers(config, new))


def average_parameters(schedule: Sequence[tuple[float, float]]) -> float:
    """Parameters averaged over the tokens of training, `∫₀¹ N(s) ds`: what the loss of a model depends on that is
    pruned (or grown) in the course of it (Jin et al. 2025).

    Parameters
    ----------
    schedule : sequence of (float, float)
        Share of the training tokens seen and the parameters then, linear in between; a jump is the same share twice.
    """
    return average(schedule)


def sparse_activations(specification: Specification, kept: float, only: Only = BLOCKS) -> Specification:
    """Products with the largest inputs only: a share of FLOPs and, for one sequence, of the weights read.

    Wang et al. 2024 (Q-Sparse). Every sequence of a batch has its own mask, taken as independent and even, so a batch
    reads `1 − (1 − kept)^B` of each matrix: at half of the inputs almost nothing is saved from four sequences on. FLOPs
    are counted as saved in prefill too, where kernels seldom do. Stored weights stay.

    Parameters
    ----------
    kept : float
        Share of the inputs kept, K / N; 1 changes nothing.
    """
    need_share("kept", kept)

    def sparser(w: Weights) -> tuple[Weights, ...]:
        need_product("sparse_activations", w)
        return (w if kept == 1 else replace(w, flops=w.flops * kept, read=w.read * kept),)

    return changed(specification, call("sparse_activations", kept=kept, only=only), only, sparser)
