"""Rank, tolerance and entropy forms of the effective state, from the operator of a layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class EffectiveState:
    """The effective state of one or more operators after each of n lengths.

    Attributes
    ----------
    t : ndarray
        `[n]`, tokens before the cut.
    rank : ndarray
        `[..., n]`, singular values above the tolerance: directions of the past that reach the future, in elements.
    entropy : ndarray
        `[..., n]`, exp of the entropy (in nats) of the singular values divided by their sum: the number of directions
        if all were alike, from 1 to the rank; 0 where nothing passes.
    spectrum : ndarray
        `[..., n, m]`, the singular values in falling order, zeros after the last.
    """

    t: np.ndarray
    rank: np.ndarray
    entropy: np.ndarray
    spectrum: np.ndarray


def effective_state(
    operator: ArrayLike,
    t: Sequence[int] | None = None,
    *,
    width: int = 1,
    absolute: float = 0.0,
    relative: float | None = None,
) -> EffectiveState:
    """The effective state size of a causal operator `y = T u` (Parnichkun et al. 2025, arXiv 2504.19561).

    After t tokens it is the rank of H_t, the block of T that maps the first t inputs to all outputs after them (the
    paper's H_i = T[i:, :i-1] with i = t + 1). For a fixed T this is the least state of any recurrence that computes it
    (Kronecker; the Hankel rank of a time-varying system): whatever the future takes of the past passes the state
    s_t, so H_t = (what is read of s_t) · (what the past wrote into it) has at most as many dimensions as s_t; and
    a factorisation of H_t at its rank is a state that suffices. For T = T(u), which depends on the input, it holds at
    that input: an equivalent recurrence needs at least as many elements; the paper takes it for the memory in use.

    H_t has the inputs of t positions and the outputs of T - t: a short operator cuts the rank off at the fewer of them.
    The diagonal never enters.

    Parameters
    ----------
    operator : array
        `[..., T · rows, T · width]`, real, zero above the diagonal blocks: row block i is the output at position i.
    t : sequence of int or None
        Tokens before the cut, from 1 to T - 1; None: all of these.
    width : int
        Columns for each position; 1: a scalar channel.
    absolute, relative : float
        Singular values count if they exceed `absolute` and `relative` times the largest of their block. None: the
        machine precision of the array's dtype times the longer side of the block, as in `numpy.linalg.matrix_rank`.
        (The paper's tolerance form has a threshold; whether it is absolute or relative we could not confirm.)

    Costs a singular value decomposition of each block, O(T³ width³) for each t: give few t for long operators.
    """
    operator = _operator(operator, width)
    length = operator.shape[-1] // width
    cuts = _cuts(t, length)
    rows = operator.shape[-2] // length
    blocks = [operator[..., c * rows :, : c * width] for c in cuts]
    values = [np.linalg.svd(block, compute_uv=False) for block in blocks]
    longest = np.array([max(block.shape[-2:]) for block in blocks])
    return from_spectra(cuts, values, longest * np.finfo(operator.dtype).eps, absolute, relative)


def from_spectra(
    cuts: np.ndarray, values: list[np.ndarray], precision: np.ndarray, absolute: float, relative: float | None
) -> EffectiveState:
    """The three forms, from singular values `[..., m_t]` of each cut and their relative `precision` `[n]`."""
    if not absolute >= 0:
        raise ValueError(f"absolute: at least 0, got {absolute}")
    if relative is not None and not 0 <= relative < 1:
        raise ValueError(f"relative: from 0 to below 1, got {relative}")
    most = max(one.shape[-1] for one in values)
    spectrum = np.stack([np.pad(one, [(0, 0)] * (one.ndim - 1) + [(0, most - one.shape[-1])]) for one in values], -2)
    share = precision[:, None] if relative is None else relative
    counted = spectrum > np.maximum(absolute, share * spectrum[..., :1])
    return EffectiveState(cuts, counted.sum(-1), _entropy_rank(spectrum), spectrum)


def _entropy_rank(spectrum: np.ndarray) -> np.ndarray:
    total = spectrum.sum(-1, keepdims=True)
    p = np.divide(spectrum, total, out=np.zeros_like(spectrum), where=total > 0)
    entropy = -(p * np.log(np.where(p > 0, p, 1))).sum(-1)  # 0 log 0 is 0
    return np.where(total[..., 0] > 0, np.exp(entropy), 0)


def _operator(operator: ArrayLike, width: int) -> np.ndarray:
    array = np.asarray(operator)
    array = array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
    if width < 1:
        raise ValueError(f"width: at least 1, got {width}")
    shape = array.shape
    if array.ndim < 2 or shape[-1] % width or not (length := shape[-1] // width) or shape[-2] % length:
        raise ValueError(f"operator: [..., T · rows, T · {width}], got {shape}")
    if length < 2:
        raise ValueError(f"operator: at least 2 positions, got {length}")
    if not np.isfinite(array).all():
        raise ValueError("operator: finite numbers, got others")
    rows = shape[-2] // length
    blocks = array.reshape(*shape[:-2], length, rows, length, width)
    largest = np.abs(blocks).max((*range(array.ndim - 2), -3, -1))  # [T, T]
    if largest[np.triu_indices(length, 1)].any():
        raise ValueError("operator: causal, with zeros above the diagonal, got others")
    return array


def _cuts(t: Sequence[int] | None, length: int) -> np.ndarray:
    cuts = np.arange(1, length) if t is None else np.asarray(t, dtype=int)
    if not cuts.size or cuts.min() < 1 or cuts.max() >= length:
        raise ValueError(f"t: from 1 to {length - 1} for an operator of {length} positions, got {t}")
    return cuts
