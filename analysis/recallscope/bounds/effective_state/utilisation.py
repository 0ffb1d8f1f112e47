"""How much of the state that a model's layers have is in use: effective ÷ allocated, as evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from recallscope.bounds.effective_state.operators import layer_operator, value_operators
from recallscope.bounds.effective_state.spectrum import effective_state
from recallscope.evidence import evidence, origin

if TYPE_CHECKING:
    import pyarrow as pa

    from recallscope.architectures.mixers import Mixer
    from recallscope.architectures.model import LanguageModel

Form = Literal["values", "jacobian"]


def state_utilisation(
    model: LanguageModel,
    ids: Tensor,
    t: Sequence[int],
    *,
    name: str = "model",
    form: Form = "values",
    relative: float | None = None,
    absolute: float = 0.0,
) -> pa.Table:
    """Effective against allocated state of every layer of a language model on one text, as rows of evidence.

    For each layer (as they run, from 0) and each t: `effective_state` and `effective_state_entropy`, in elements, and
    `state_utilisation` and `state_utilisation_entropy`, these divided by the mixer's `state_elements(t)`, which is in
    the column of that name. With `values`, elements are the sum over value channels c of the rank of H_t of T_c
    (`value_operators`); with `jacobian`, the rank of the Jacobian's H_t (`layer_operator`).

    A utilisation near 1 says that the state is full; far below, that it has room which this text at these weights
    does not use; neither says that more would help. It is cut off by the text: give at least 2 t tokens, and see that
    rank ≤ min(t, T - t) for each value channel. Softmax attention has at most 1/2 with `values`, as its keys are held.

    Parameters
    ----------
    model : LanguageModel
        Ours, for instance `load_model(bundled_folder("based"))`.
    ids : Tensor
        `[T]` token ids.
    t : sequence of int
        Tokens before each cut, from 1 to T - 1.
    name : str
        The rows' subject.
    form : "values" or "jacobian"
        Mixers that are not linear in values are refused with the first; the second takes T D up to 4,096.
    relative, absolute : float
        Tolerance, as in `effective_state`.
    """
    if form not in ("values", "jacobian"):
        raise ValueError(f"form: values or jacobian, got {form!r}")
    if ids.ndim != 1 or len(ids) < 2:
        raise ValueError(f"ids: [T], at least 2 tokens, got {tuple(ids.shape)}")
    setting = {"form": form, "length": len(ids), "relative": relative, "absolute": absolute}
    made = {"kind": "measured", "source": "recallscope.bounds.effective_state", **origin()}
    rows = []
    for layer, (mixer, x) in enumerate(_mixer_inputs(model, ids)):
        rank, entropy = _elements(mixer, x, t, form, absolute, relative)
        kind = type(mixer).__name__
        for at, exact, soft in zip(t, rank, entropy, strict=True):
            kept = int(mixer.state_elements(at))
            for metric, value, unit in (
                ("effective_state", float(exact), "elements"),
                ("effective_state_entropy", float(soft), "elements"),
                ("state_utilisation", float(exact) / kept if kept else None, "1"),
                ("state_utilisation_entropy", float(soft) / kept if kept else None, "1"),
            ):
                row = {"subject": name, "metric": metric, "value": value, "unit": unit, **made, **setting}
                rows.append(row | {"layer": layer, "mixer": kind, "t": int(at), "state_elements": kept})
    return evidence(rows)


def _mixer_inputs(model: LanguageModel, ids: Tensor) -> list[tuple[Mixer, Tensor]]:
    """Each mixer and what it reads, `[T, D]`, in the order in which they run."""
    seen: list[tuple[Any, Tensor]] = []
    mixers: list[Any] = [block.mixer for block in model.blocks]
    hooks = [one.register_forward_pre_hook(lambda mixer, inputs: seen.append((mixer, inputs[0][0]))) for one in mixers]
    try:
        with torch.no_grad():
            model.hidden(ids[None])
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _elements(
    mixer: Mixer, x: Tensor, t: Sequence[int], form: Form, absolute: float, relative: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Rank and entropy form in elements, `[n]` each."""
    if form == "jacobian":
        found = effective_state(layer_operator(mixer, x), t, width=x.shape[1], absolute=absolute, relative=relative)
        return found.rank, found.entropy
    operators, count = _distinct(value_operators(mixer, x))
    found = effective_state(operators, t, absolute=absolute, relative=relative)
    return count @ found.rank, count @ found.entropy


def _distinct(operators: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Operators that differ, and how many channels have each: those of a head are often alike, up to rounding."""
    rounded = np.round(operators / max(np.abs(operators).max(), 1e-300) * 1e12) + 0.0  # -0 is 0
    keys = [one.tobytes() for one in rounded]
    count, first = Counter(keys), {key: i for i, key in enumerate(keys)}
    return operators[list(first.values())], np.array([count[key] for key in first])
