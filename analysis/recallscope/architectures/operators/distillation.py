"""What it costs to teach a model by another, or to turn its attention into something cheaper, and when it is repaid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from recallscope.architectures.feed_forward import FFN_OPTIONS
from recallscope.architectures.operators._choice import call
from recallscope.architectures.operators._layers import keeps_all, layers_with
from recallscope.architectures.operators._shape import reshaped, with_layers
from recallscope.architectures.specification import Specification


def distillation_flops(student: Specification, teacher: Specification | None, tokens: int, t: int) -> float:
    """Training FLOPs of the student and a forward pass of the teacher, on so many tokens in sequences of t.

    About 6 N_S D + 2 N_T D without the pairs of attention. Nothing for a loss on logits: it has no products.

    Parameters
    ----------
    student : Specification
        What is trained, all of it.
    teacher : Specification or None
        Read at each token; None: no teacher (conversion by further training), or one whose outputs were stored.
    tokens, t : int
        Tokens D, and tokens of a sequence.
    """
    if t < 1 or tokens < 0:
        raise ValueError(f"tokens, t: at least 0 and 1, got {tokens} and {t}")
    once = student.training_flops(t) + (teacher.prefill_flops(t) if teacher else 0)
    return tokens / t * once


def relation_flops(width: int, t: int, batch: int = 1) -> int:
    """FLOPs of the relations that one model has to give in MiniLM: QKᵀ and VVᵀ of one layer, 4 t² H K.

    Wang et al. 2020 compare softmax(QKᵀ/√K) and softmax(VVᵀ/√K) of the last layers, head by head, so widths may differ.
    Forward, of teacher or student; that the kernel of attention computed scores before does not help. The student's
    backward pass takes twice as many.

    Parameters
    ----------
    width : int
        H K, all heads together.
    t, batch : int
        Tokens of a sequence, and sequences.
    """
    return 4 * batch * t * t * width


def convert(
    specification: Specification, mixer: Mapping[str, Any], layers: Sequence[int] | None = None
) -> Specification:
    """Layers with a cache of all tokens replaced by another mixer, the rest of each layer kept.

    Kasai et al. 2021 (T2R) and Van Nguyen et al. 2025 (Lizard) train the result briefly: `distillation_flops` with
    far fewer tokens than the pre-training had. The state stops growing if the mixer's does not grow.

    Parameters
    ----------
    mixer : mapping
        `{"mixer": ..., ...}` as in `ModelConfig`, without options of the feed-forward layer.
    layers : sequence of int or None
        Layers to change; None: all that keep something of every token.
    """
    config = specification.architecture.config
    if set(mixer) & set(FFN_OPTIONS):
        raise ValueError(f"mixer: a mixer and its options, got {dict(mixer)}")
    chosen = layers_with(config, layers, keeps_all, "a cache of all tokens")
    new = {
        i: dict(mixer) | {name: config.layers[i][name] for name in FFN_OPTIONS if name in config.layers[i]}
        for i in chosen
    }
    return reshaped(specification, call("convert", mixer=dict(mixer), layers=layers), with_layers(config, new))


def repaid_after(flops: float, before: Specification, after: Specification, t: int) -> float:
    """Tokens to be decoded at length t until a cheaper step has saved so many FLOPs; infinite if it is not cheaper."""
    saved = before.decode_flops(t) - after.decode_flops(t)
    return flops / saved if saved > 0 else math.inf
