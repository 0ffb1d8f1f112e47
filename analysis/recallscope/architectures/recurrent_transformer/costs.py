"""Parameters, state and FLOPs of the models in closed form, and FLOPs as the note counts them.

`t` tokens and the batch are integers or sympy symbols. D is the width, V the vocabulary, w the block, L the layers.
"""

from __future__ import annotations

from typing import Any

from recallscope.architectures.mixers._blocks import block_pairs, two_block_pairs
from recallscope.architectures.mixers._counts import ceil_div, maximum, minimum
from recallscope.architectures.recurrent_transformer.model import TransformerShape


def parameters_count(shape: TransformerShape) -> Any:
    """L (12 D² + 2 D), the last norm D, embedding V D, positions D `places`, a head of its own D `classes`, α."""
    d, layers = shape.width, shape.layers
    tables = shape.vocabulary + shape.places + (shape.classes or 0)
    return layers * (12 * d**2 + 2 * d) + d + tables * d + shape.learned


def state_elements(shape: TransformerShape, t: Any) -> Any:
    """Elements that survive between two blocks after `t` tokens, per sequence.

    Recurrent: D min(t, w), h_i or its rows so far (the rows of an unfinished block are read once, at the end); with a
    variant that accumulates, D w more from the second block on. Regular: keys and values, 2 L D t.
    """
    d, w = shape.width, shape.block
    if w is None:
        return 2 * shape.layers * d * t
    blocks = ceil_div(t, w)
    beside = int(shape.variant != "forget") * minimum(blocks - 1, 1) * w
    return d * (t - (blocks - 1) * w + beside)


def prefill_flops(shape: TransformerShape, t: Any, batch: Any = 1) -> Any:
    """Executed FLOPs of a forward pass, head included: products only, a multiply-add is 2, masked pairs count.

    24 D² for each row that goes through a layer, 4 D a pair. Recurrent: each token is a row twice, once in a window of
    its own block and once in one of two blocks, but for the first block. Where outputs accumulate, a window of two
    blocks is one pass, with the masked pairs of its first half.
    """
    d, w, head = shape.width, shape.block, 2 * shape.width * (shape.classes or shape.vocabulary)
    if w is None:
        return batch * (t * (head + shape.layers * 24 * d**2) + shape.layers * 4 * d * t**2)
    masked = int(shape.variant == "accumulate_outputs") * w * maximum(t - w, 0)
    pairs = block_pairs(t, w) + two_block_pairs(t, w) + masked
    return batch * (t * (head + 48 * d**2) + 4 * d * pairs)


def note_flops(d: Any, n: Any, w: Any = None, layers: Any = 1) -> Any:
    """FLOPs of one sample as the note counts them: constants of products and the head are left out.

    Regular (w None): L (N² D + N D²). Recurrent: (N / w) (4 D w² + 2 w D²), which is N (4 D + 2 D²) for w = 1. What the
    variants that accumulate add, 2 a block, is left out too.
    """
    if w is None:
        return layers * (n**2 * d + n * d**2)
    return layers * n * (4 * d * w**2 + 2 * w * d**2) / w
