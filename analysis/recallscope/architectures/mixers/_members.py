"""How operations with a backward pass of their own run for many models at once, under `torch.vmap`.

Each is a `torch.autograd.Function` whose `vmap` rule is one of these two. Backward passes are plain autograd: the rule
applies the function to tensors that hold all members.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def leading(function: Callable[..., Any], info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Any, Any]:
    """For functions that take any leading axes: the members are one more, before all others."""
    moved = [_in_front(x, dim, info.batch_size) for x, dim in zip(inputs, in_dims, strict=True)]
    return _first(function(*moved))


def folded(function: Callable[..., Any], info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Any, Any]:
    """For functions whose every tensor starts with the batch: members and batch become one axis."""
    moved = [_in_front(x, dim, info.batch_size) for x, dim in zip(inputs, in_dims, strict=True)]
    outputs = function(*(x.flatten(0, 1) if isinstance(x, Tensor) else x for x in moved))
    apart = lambda y: y.unflatten(0, (info.batch_size, -1))  # noqa: E731
    return _first(tuple(map(apart, outputs)) if isinstance(outputs, tuple) else apart(outputs))


def one_by_one(
    function: Callable[..., Any], info: Any, in_dims: tuple[int | None, ...], *inputs: Any
) -> tuple[Any, Any]:
    """For all others: a call for each member."""
    results = []
    for member in range(info.batch_size):
        chosen = (x if dim is None else x.select(dim, member) for x, dim in zip(inputs, in_dims, strict=True))
        results.append(function(*chosen))
    if isinstance(results[0], tuple):
        return _first(tuple(torch.stack(column) for column in zip(*results, strict=True)))
    return _first(torch.stack(results))


def _in_front(x: Any, dim: int | None, members: int) -> Any:
    if not isinstance(x, Tensor):
        return x
    return x.expand(members, *x.shape) if dim is None else x.movedim(dim, 0)


def _first(outputs: Any) -> tuple[Any, Any]:
    return outputs, (0,) * len(outputs) if isinstance(outputs, tuple) else 0
