"""The effective state of a linear recurrence, without its operator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from recallscope.bounds.effective_state.spectrum import EffectiveState, _cuts, from_spectra


def effective_state_from_recurrence(
    transition: ArrayLike,
    write: ArrayLike,
    read: ArrayLike,
    t: Sequence[int] | None = None,
    *,
    absolute: float = 0.0,
    relative: float | None = None,
) -> EffectiveState:
    """The effective state of `s_{i+1} = A_i s_i + B_i u_i`, `y_i = C_i s_i + D_i u_i`, `s_0 = 0`; D never matters.

    The block that maps the first t inputs to later outputs is H_t = 𝒪_t 𝒞_t: 𝒞_t = [A_{t-1} … A_1 B_0, …, B_{t-1}]
    writes the past into s_t, 𝒪_t = [C_t; C_{t+1} A_t; …] reads the future from it. The squares of its singular values
    are the eigenvalues of the product of two N × N Gramians, (𝒞 𝒞ᵀ)(𝒪ᵀ 𝒪). Roots of eigenvalues have only half of all
    digits where the state is not full; so triangular factors of the Gramians are carried instead (square-root form,
    Laub, Heath, Paige & Ward 1987): with 𝒪 = Q R and 𝒞ᵀ = P S, the singular values of H_t are those of R Sᵀ, to the
    last digits of the largest. O(T N² (N + M + P)) and no T × T matrix.

    A layer whose output reads the state *after* its own token (`S_t = A_t S_{t-1} + k_t v_tᵀ`, `o_t = S_tᵀ q_t`, the
    convention of our mixers) has `read` q_tᵀ A_t here.

    Parameters
    ----------
    transition : array
        A `[T, N, N]`, or its diagonals `[T, N]`; the last is not used.
    write : array
        B `[T, N, M]`, or `[T, N]` for M = 1.
    read : array
        C `[T, P, N]`, or `[T, N]` for P = 1.
    t, absolute, relative
        As in `effective_state`; `relative` None is machine precision times the larger of N and T.
    """
    a, b, c = _matrices(transition, write, read)
    cuts = _cuts(t, len(b))
    written, wanted = _written(a, b), _wanted(a, c)
    values = [np.linalg.svd(wanted[cut] @ written[cut].T, compute_uv=False) for cut in cuts]
    precision = np.full(len(cuts), max(b.shape[:2]) * np.finfo(np.float64).eps)
    return from_spectra(cuts, values, precision, absolute, relative)


def _apply(a: np.ndarray, m: np.ndarray) -> np.ndarray:
    """A M, for A as a matrix or as its diagonal."""
    return a @ m if a.ndim == 2 else a[:, None] * m


def _written(a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    """Triangular S with SᵀS = 𝒞 𝒞ᵀ after each number of tokens, 0 included: `[≤ N, N]`."""
    factors = [np.zeros((0, b.shape[1]))]
    for a_i, b_i in zip(a, b, strict=True):
        stacked = np.concatenate([_apply(a_i, factors[-1].T), b_i], 1).T
        factors.append(np.asarray(np.linalg.qr(stacked, mode="r")))
    return factors


def _wanted(a: np.ndarray, c: np.ndarray) -> list[np.ndarray]:
    """Triangular R with RᵀR = 𝒪ᵀ 𝒪 before each position: `[≤ N, N]`."""
    factors = [np.zeros((0, c.shape[2]))]
    for a_i, c_i in zip(a[::-1], c[::-1], strict=True):
        transposed = a_i.T if a_i.ndim == 2 else a_i
        stacked = np.concatenate([c_i, _apply(transposed, factors[-1].T).T])
        factors.append(np.asarray(np.linalg.qr(stacked, mode="r")))
    return factors[::-1]


def _matrices(transition: ArrayLike, write: ArrayLike, read: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    a, b, c = (np.asarray(one, dtype=np.float64) for one in (transition, write, read))
    b = b[..., None] if b.ndim == 2 else b
    c = c[..., None, :] if c.ndim == 2 else c
    if a.ndim not in (2, 3) or b.ndim != 3 or c.ndim != 3:
        raise ValueError(
            f"transition, write, read: [T, N(, N)], [T, N(, M)], [T, (P,) N], got {a.ndim}-, {b.ndim}-, "
            f"{c.ndim}-dimensional arrays"
        )
    length, state = b.shape[:2]
    wanted = (length, *(state,) * (a.ndim - 1))
    if a.shape != wanted:
        raise ValueError(f"transition: {wanted} for write {b.shape}, got {a.shape}")
    if c.shape[::2] != (length, state):
        raise ValueError(f"read: ({length}, P, {state}) for write {b.shape}, got {c.shape}")
    if length < 2:
        raise ValueError(f"write: at least 2 positions, got {length}")
    for name, array in (("transition", a), ("write", b), ("read", c)):
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: finite numbers, got others")
    return a, b, c
