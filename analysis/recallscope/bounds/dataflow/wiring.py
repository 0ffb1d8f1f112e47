"""How the layers of a model are wired, as data, and how far back that reaches."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from recallscope.architectures.dataflow import Dataflow, Span

if TYPE_CHECKING:
    from recallscope.architectures.architecture import Architecture
    from recallscope.architectures.config import ModelConfig


@dataclass(frozen=True)
class Wiring:
    """What a model keeps and where it is read; the weights do not matter.

    Attributes
    ----------
    width : int
        Elements D of the residual vector, which is all that passes from layer to layer within a position.
    layers : tuple of Dataflow
        The layers that keep something of the past, in the order in which they run.
    lenders : tuple of int
        For each layer, the layer whose caches and state it reads, and so whose it needs not keep: itself, or an
        earlier one. Empty: each its own.
    again : frozenset of int
        Layers whose input has the embedding added once more (`ModelConfig.inject`).
    """

    width: int
    layers: tuple[Dataflow, ...]
    lenders: tuple[int, ...] = ()
    again: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width: at least 1, got {self.width}")
        lenders = self.lenders or tuple(range(len(self.layers)))
        object.__setattr__(self, "lenders", lenders)
        if len(lenders) != len(self.layers):
            raise ValueError(f"lenders: one for each of {len(self.layers)} layers, got {len(lenders)}")
        for layer, lender in enumerate(lenders):
            if not 0 <= lender <= layer or lenders[lender] != lender:
                raise ValueError(f"lenders: the layer itself or an earlier one that keeps its own, got {lender}")


def wiring(model: Architecture | ModelConfig | Wiring, shared: Mapping[int, int] | None = None) -> Wiring:
    """The wiring of an architecture: every mixer's declared `dataflow`, and the token shift of RWKV's FFN.

    The suite of the mixers holds these declarations against gradients of the real layers. Six are the most that a
    layer ever keeps, not what it keeps at a given length: blocks rounded up (`compressed_attention`, `landmark`,
    `native_sparse`), 20 levels (`log_linear`), a block beside the state (`recurrent_transformer`, `ttt_linear`). `jrt`
    is wired as its decoder; a prompt read twice is a matter of `unroll`.

    Parameters
    ----------
    model : Architecture or ModelConfig or Wiring
        A `Wiring` is returned as it is.
    shared : mapping of int to int or None
        `{layer: lender}`: blocks, counted as they run from 0, that read the caches and states of an earlier block
        instead of their own (YOCO, Sun et al. 2024; CLA, Brandon et al. 2024). Both must keep the same.
    """
    if isinstance(model, Wiring):
        if shared:
            raise ValueError("shared: for an architecture; a Wiring names its lenders itself")
        return model
    config: ModelConfig = getattr(model, "config", model)  # type: ignore[assignment]
    if not hasattr(config, "loops"):
        raise ValueError(f"model: an Architecture, a ModelConfig or a Wiring, got {type(model).__name__}")
    kept = _kept(config) * config.loops
    starts = [0, *accumulate(len(block) for block in kept)]  # where each block begins among the layers
    lenders = list(range(starts[-1]))
    for block, lender in (shared or {}).items():
        if not 0 <= lender < block < len(kept) or kept[lender] != kept[block]:
            raise ValueError(
                f"shared: a block of 0 to {len(kept) - 1} and an earlier one that keeps the same, got {block}: {lender}"
            )
        for i in range(len(kept[block])):
            lenders[starts[block] + i] = starts[lender] + i
    blocks = len(config.layers)
    again = starts[blocks:-1:blocks] if config.inject else []
    layers = tuple(layer for block in kept for layer in block)
    return Wiring(config.width, layers, tuple(lenders), frozenset(again))


def _kept(config: ModelConfig) -> list[tuple[Dataflow, ...]]:
    """Of each block, the dataflow of its mixer and of its feed-forward layer, if that keeps anything."""
    import torch

    from recallscope.architectures.config import build_layer

    known: dict[str, tuple[Dataflow, ...]] = {}
    names = [json.dumps(layer, sort_keys=True) for layer in config.layers]
    with torch.device("meta"):
        for name in dict.fromkeys(names):
            mixer, ffn = build_layer(config, json.loads(name))
            shift = ffn.state_elements() if ffn else 0
            known[name] = (mixer.dataflow(), *((Dataflow((Span(0, 2, shift),)),) if shift else ()))
    return [known[name] for name in names]


def reach(model: Architecture | ModelConfig | Wiring) -> int | float:
    """The greatest distance, in positions, from which anything of a token can reach an output; `inf`: any.

    A stack of windows of w_l tokens, the current one among them, reaches Σ (w_l - 1): each layer takes one more hop,
    and the hops add up (proof: an output reads inputs of its layer at most w_l - 1 before; induction). Not Σ w_l, the
    figure often quoted. A layer with a state or an unlimited cache reaches everything. The leading tokens that a span
    holds for good (`Span.first`) are left out: they are always within reach, other tokens only by the windows.

    How much passes over that distance, and how little of it over the longest, is `recall_capacity`.
    """
    wires = wiring(model)
    before: list[int | float] = []  # how far the input of each layer reaches
    far: int | float = 0
    for lender in wires.lenders:
        before.append(far)
        far = max(far, before[lender] + _hop(wires.layers[lender]))
    return far


def _hop(layer: Dataflow) -> int | float:
    if layer.state:
        return math.inf
    lasts = [math.inf if span.first is None or span.last is None else span.last for span in layer.spans]
    return max(lasts, default=1) - 1
