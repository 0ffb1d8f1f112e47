"""What every operator refuses, in one line that names the argument, what is accepted and what came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def check_operands(q: Tensor, k: Tensor, v: Tensor) -> None:
    """q, k `[B, T, H, K]` and v `[B, T, H, V]`: T at least 1, one floating dtype, one device."""
    for name, u in (("q", q), ("k", k), ("v", v)):
        if u.dim() != 4 or 0 in u.shape:
            raise ValueError(f"{name}: [B, T, H, width], none of them 0, got {list(u.shape)}")
        if u.dtype not in DTYPES:
            raise ValueError(f"{name}: float16, bfloat16, float32 or float64, got {u.dtype}")
        if u.dtype != q.dtype or u.device != q.device:
            raise ValueError(f"{name}: {q.dtype} on {q.device} as q is, got {u.dtype} on {u.device}")
    if k.shape != q.shape:
        raise ValueError(f"k: {list(q.shape)} as q is, got {list(k.shape)}")
    if v.shape[:3] != q.shape[:3]:
        raise ValueError(f"v: [{', '.join(map(str, q.shape[:3]))}, V] to go with q, got {list(v.shape)}")


def check_scale(scale: float | None, width: int) -> float:
    """The factor of q·k: K^-½ if None; positive and finite."""
    factor: float = width**-0.5 if scale is None else float(scale)
    if not 0 < factor < float("inf"):
        raise ValueError(f"scale: a positive finite number, got {factor}")
    return factor


def check_state(state: Tensor | None, shape: Sequence[int], q: Tensor, name: str = "initial_state") -> None:
    """A state of the given shape in the precision of the sums, on the device of q."""
    if state is None:
        return
    if list(state.shape) != list(shape):
        raise ValueError(f"{name}: {list(shape)}, got {list(state.shape)}")
    if state.dtype != sum_dtype(q) or state.device != q.device:
        raise ValueError(f"{name}: {sum_dtype(q)} on {q.device}, got {state.dtype} on {state.device}")


def check_decode(q: Tensor, k: Tensor, v: Tensor, state: Tensor, shape: Sequence[int], scale: float | None) -> float:
    """One token, and a contiguous state `[B, H, *shape]` that can be updated in place; returns the scale."""
    check_operands(q, k, v)
    if q.shape[1] != 1:
        raise ValueError(f"q: one token, [B, 1, H, K], got {list(q.shape)}")
    check_state(state, (q.shape[0], q.shape[2], *shape), q, "state")
    if not state.is_contiguous():
        raise ValueError(f"state: contiguous, as it is updated in place, got strides {list(state.stride())}")
    return check_scale(scale, q.shape[-1])


def check_gates(q: Tensor, gates: Mapping[str, Tensor], channels: bool = False) -> None:
    """Gates `[B, T, H]`, a number a token and head, or one a channel too, `[B, T, H, K]`, on the device of q."""
    shape = list(q.shape if channels else q.shape[:3])
    for name, gate in gates.items():
        if list(gate.shape) != shape or gate.device != q.device or gate.dtype not in DTYPES:
            got = f"{list(gate.shape)} of {gate.dtype} on {gate.device}"
            raise ValueError(f"{name}: {shape} of a floating dtype on {q.device}, got {got}")


def check_matrix_state(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    gates: Mapping[str, Tensor],
    scale: float | None,
    state: Tensor | None,
    implementation: str | None,
    chunk: int,
    known: Sequence[str] = ("chunked", "fla"),
) -> float:
    """What an operator with a state `[B, H, K, V]`, in chunks or by a library, is called with; returns the scale."""
    check_operands(q, k, v)
    check_gates(q, gates)
    check_chunk(chunk)
    check_implementation(implementation, known)
    check_state(state, (q.shape[0], q.shape[2], q.shape[3], v.shape[3]), q)
    return check_scale(scale, q.shape[-1])


def check_chunk(chunk: int, halved: bool = False) -> None:
    if not isinstance(chunk, int) or chunk < 1:
        raise ValueError(f"chunk: a whole number of tokens, at least 1, got {chunk!r}")
    if halved and chunk & (chunk - 1):
        raise ValueError(f"chunk: a power of two, got {chunk}")


def check_implementation(name: str | None, known: Sequence[str]) -> None:
    if name is not None and name not in known:
        raise ValueError(f"implementation: one of {', '.join(known)}, got {name!r}")


def sum_dtype(u: Tensor) -> torch.dtype:
    """float64 for float64, float32 for all else: what sums and states are kept in."""
    return torch.float64 if u.dtype == torch.float64 else torch.float32


def widened(q: Tensor, scale: float, *others: Tensor) -> tuple[Tensor, ...]:
    """`scale q` and the others in the precision of the sums; half precision is widened before it is scaled."""
    sums = sum_dtype(q)
    return q.to(sums) * scale, *(u.to(sums) for u in others)
