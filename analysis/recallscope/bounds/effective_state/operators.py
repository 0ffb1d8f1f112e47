"""The operator of a mixer at a given input: its Jacobian, or the matrices that it applies to its values."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from recallscope.architectures.mixers import Mixer

_LARGEST = 4096
_ROWS = 256


def layer_operator(mixer: Mixer, x: Tensor) -> np.ndarray:
    """The Jacobian of a mixer's outputs by its inputs at `x`, `[T · D, T · D]`, float64; rows are outputs.

    It is the linear map that is nearest to the layer at this input. It is *not* the T(u) of `y = T(u) u`: it also holds
    how T changes with u, so it also sees what keys, queries and gates take of the past. Every mixer has one. With
    `effective_state(..., width=D)`, rank(H_t) ≤ min(t D, (T - t) D, state_elements(t)): outputs after t are a function
    of the state after t tokens and of later inputs, so H_t = (∂ outputs / ∂ state) (∂ state / ∂ inputs) by the chain
    rule, and the state has `state_elements(t)` entries. It may have fewer: RG-LRU's recurrent element and the oldest
    input of its convolution count by their sum alone, so a quarter of the state with four taps is spare.

    Parameters
    ----------
    mixer : Mixer
        Run on a copy in float64 and evaluation mode.
    x : Tensor
        `[T, D]`, what the mixer reads: normed, in a model. T D at most 4,096.
    """
    x = _input(mixer, x)
    if x.numel() > _LARGEST:
        raise ValueError(f"x: at most {_LARGEST:,} elements for a Jacobian, got {tuple(x.shape)}")
    mixer, rows = _double(mixer), []
    for first in range(0, x.numel(), _ROWS):  # sequences of a batch are independent: one backward pass, many rows
        chosen = torch.arange(first, min(first + _ROWS, x.numel()))
        u = x.expand(len(chosen), -1, -1).clone().requires_grad_()
        outputs = mixer(u).flatten(1).gather(1, chosen[:, None]).sum()
        rows.append(torch.autograd.grad(outputs, u)[0].flatten(1))
    return _causal(torch.cat(rows).numpy(), x.shape[1])


def value_operators(mixer: Mixer, x: Tensor) -> np.ndarray:
    """The T(u) that a mixer applies to its values, one `[T, T]` for each value channel: `[channels, T, T]`, float64.

    Keys, queries, gates and filters are those of the input `x`, and held: `o_ic = Σ_j T_c,ij v_jc`, with v what the
    value projection puts out and o what the output projection reads. This is the operator of the paper (Parnichkun et
    al. 2025, arXiv 2504.19561): scores of a head for each of its channels in attention and linear attention, gates
    around filters in Hyena. A constant (Hyena's short convolution has a bias) is left out. Found exactly, by a unit
    impulse at each position, and checked: the matrices applied to the true values must give the true outputs. Mixers
    that are not of this form are refused: those that norm each head's outputs, share value heads among queries, or have
    no projection of values of their own; use `layer_operator`.

    The keys are state as well, and here they are held: of `state_elements` of softmax attention, 2 H K t, at most the
    H K t of the values can be in use.

    Parameters
    ----------
    mixer : Mixer
        Run on a copy in float64 and evaluation mode, on a batch of T sequences.
    x : Tensor
        `[T, D]`, what the mixer reads: normed, in a model.
    """
    x = _input(mixer, x)
    mixer = _double(mixer)
    with torch.no_grad(), _probe(mixer) as probe:
        mixer(x[None])
        values, outputs = probe["values"][0], probe["outputs"][0]
        length, channels = outputs.shape
        if values.shape != outputs.shape:
            raise _unlike(mixer)
        impulses = torch.eye(length + 1, length, dtype=x.dtype)  # the last: no values at all
        probe["impulses"] = impulses[..., None].expand(-1, -1, channels)
        mixer(x.expand(length + 1, -1, -1))
        *answers, constant = probe["outputs"]
    operators = (torch.stack(answers) - constant).permute(2, 1, 0)  # channel, output, impulse
    again = torch.einsum("cij,jc->ic", operators, values) + constant
    if not (again - outputs).abs().max() <= 1e-8 * outputs.abs().max():
        raise _unlike(mixer)
    return _causal(operators.numpy(), 1)


@contextmanager
def _probe(mixer: Any) -> Iterator[dict[str, Tensor]]:
    """Catches `values` and `outputs` of each run; `impulses`, once set, are put in the place of the values.

    Our mixers have a projection `value`, or one `qkv` whose last channels are the values.
    """
    projection, out = getattr(mixer, "value", None) or getattr(mixer, "qkv", None), getattr(mixer, "out", None)
    if not isinstance(projection, nn.Linear) or not isinstance(out, nn.Linear):
        raise _unlike(mixer)
    channels, probe = out.in_features, {}

    def on_values(module: nn.Module, inputs: Any, projected: Tensor) -> Tensor | None:
        probe["values"] = projected[..., -channels:]
        if "impulses" not in probe:
            return None
        return torch.cat([projected[..., :-channels], probe["impulses"]], -1)

    def on_outputs(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        probe["outputs"] = inputs[0]

    hooks = [projection.register_forward_hook(on_values), out.register_forward_pre_hook(on_outputs)]
    try:
        yield probe
    finally:
        for hook in hooks:
            hook.remove()


def _unlike(mixer: Any) -> ValueError:
    name = type(mixer).__name__
    return ValueError(f"mixer: outputs linear in the values, channel by channel, got {name}; use layer_operator")


def _double(mixer: Mixer) -> Mixer:
    return copy.deepcopy(mixer).double().eval()


def _input(mixer: Mixer, x: Tensor) -> Tensor:
    if x.ndim != 2 or x.shape[0] < 2:
        raise ValueError(f"x: [T, D] with at least 2 positions, got {tuple(x.shape)}")
    return x.detach().double()


def _causal(operator: np.ndarray, width: int) -> np.ndarray:
    """Zeros where an output precedes the input; a transform leaves rounding errors there."""
    position = np.arange(operator.shape[-1]) // width
    future = position[:, None] < position
    if np.abs(operator[..., future]).max(initial=0) > 1e-8 * np.abs(operator).max():
        raise ValueError("mixer: a causal one, got one whose outputs depend on later inputs")
    return np.where(future, 0.0, operator)
