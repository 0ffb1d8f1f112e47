"""Where models stand against the demand of a text: loss on its hits, state, and the state that closes the gap.

The gap of a model is its loss on the hits above the reference's. A memory of S bits beside the model closes at most
what `gain_limit` allows: the theorem of `gains`, given what the model keeps by itself. It needs that the model, without
that memory, predicts the hits as well as anything could, and that the reference is the best that sees all; trained
models stand for both, so the limit is an estimate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recallscope.bounds.demand.corpus import Demand, demand
from recallscope.bounds.demand.records import blocks, open_source
from recallscope.bounds.demand.sample import Sample
from recallscope.bounds.demand.states import AtState

_LARGEST = 2**40  # bits; no window of text asks for more


def standings(sample: Sample, models: Mapping[str, Any], dtype: str | None = None) -> list[dict[str, Any]]:
    """One row per model, the reference first: `loss` on the hits in nats, and its state where it is known.

    `models` are the names of the records and what they name; `dtype` is that of Hugging Face models. `state_elements`
    and `element_bits` are None for models whose architecture is unknown; `state_bits` is their product.
    """
    source = open_source(sample.rows, 1.0)
    losses = np.concatenate([block.losses for block in blocks(source, tuple(models))], axis=1).mean(axis=1)
    rows = []
    for (name, model), loss in zip(models.items(), losses.tolist(), strict=True):
        elements, bits = known_state(model, sample.length, dtype) or (None, None)
        product = None if elements is None or bits is None else elements * bits
        rows.append(
            {"model": name, "loss": loss, "state_elements": elements, "element_bits": bits, "state_bits": product}
        )
    return rows


def known_state(model: Any, length: int, dtype: str | None = None) -> tuple[int, int] | None:
    """Elements kept after `length` tokens and bits of each; None if the architecture of `model` is not known.

    Known are bundled models and folders of this toolkit (scored in float32), and folders of Hugging Face families that
    `recallscope state` knows, in `dtype`, else in that of their config, else in float32.
    """
    from recallscope.bundled import bundled_folder, bundled_names

    if not isinstance(model, str | Path):
        return None
    folder = bundled_folder(str(model)) if str(model) in bundled_names() else Path(model)
    if not (folder / "config.json").is_file():
        return None
    from recallscope.architectures.names import architecture  # torch: not for files of losses
    from recallscope.architectures.tables import BITS
    from recallscope.slicing.scoring.models import is_recallscope_folder

    try:
        elements = int(architecture(str(folder)).state_elements(length))
    except ValueError:  # a family of which only the weights are known
        return None
    return elements, 32 if is_recallscope_folder(folder) else BITS.get(dtype or _dtype_of(folder), 32)


def closing(rows: Any, model: str, reference: str) -> dict[str, Any]:
    """What state closes the gap of a model to the reference on the hits.

    Parameters
    ----------
    rows : records with both losses, in any form that `demand` reads; in a run it is `Sample.rows`

    Returns
    -------
    dict: `model`, `reference`; `gap`, nats per hit; `more_than`, bits: the largest power of two at which the limit
    leaves a part of the gap, 0 if none does; `enough`, bits: the least power of two that carries the whole gap if it
    knows the gains in advance; `states`, one row per power of two: `state_bits`, `lowest_loss` (the limit) and
    `carried_loss`, in nats per hit. Without a gap `more_than` and `enough` are None and `states` is empty.
    """
    found = demand(rows, model, reference, most=1)
    pairs = np.concatenate([block.losses for block in blocks(found._source, (model, reference))], axis=1)
    gap = float((pairs[0] - pairs[1]).mean())
    row = {"model": model, "reference": reference, "gap": gap, "more_than": None, "enough": None, "states": []}
    if gap <= 0:
        return row
    states = _doubled(found)
    wanted = gap * found.hits / math.log(2) * (1 - 1e-9)  # sums in another order differ in their last bits
    short = [at.state_bits for at in states if min(at.limit_bits, at.gain_bits) < wanted]
    carry = [at.state_bits for at in states if at.carried_bits >= wanted]
    return row | {"more_than": max(short, default=0), "enough": min(carry), "states": [_losses(at) for at in states]}


def _doubled(found: Demand) -> list[AtState]:
    """States of 1, 2, 4, ... bits, until all of the gain is carried."""
    states: Sequence[AtState] = ()
    first = 1
    while not states or (states[-1].carried_bits < states[-1].gain_bits * (1 - 1e-9) and first < _LARGEST):
        states = [*states, *found.at_states([first, 2 * first, 4 * first, 8 * first])]
        first *= 16
    return list(states)


def _losses(at: AtState) -> dict[str, float]:
    nats = math.log(2) / at.hits
    lowest = at.memoryless_loss - min(at.limit_bits, at.gain_bits) * nats
    carried = at.memoryless_loss - at.carried_bits * nats
    return {"state_bits": at.state_bits, "lowest_loss": lowest, "carried_loss": carried}


def _dtype_of(folder: Path) -> str:
    import json

    found = json.loads((folder / "config.json").read_text())
    return str(found.get("dtype") or found.get("torch_dtype") or "float32")
