"""Random numbers for the generators: seeded, vectorised, made on the device that uses them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

_SPARSE = 8  # `distinct` redraws repeats when at most 1/8 of the range is taken, and ranks the range otherwise


class Source:
    """A stream of random tables of `rows` examples, from a seed (an integer or several).

    On the CPU the bits are numpy's SFC64, elsewhere torch's generator of the device: the distributions are the same,
    the numbers are not. Integers below a power of two are exactly uniform; others are drawn by multiplying 32 random
    bits, so that a value is off its probability by less than `high / 2^31` of it.
    """

    def __init__(self, seed: int | Sequence[int], device: str | torch.device = "cpu"):
        self.device = torch.device(device)
        words = np.random.SeedSequence(seed)
        if self.device.type == "cpu":
            self._numpy = np.random.Generator(np.random.SFC64(words))
        else:
            self._torch = torch.Generator(self.device).manual_seed(int(words.generate_state(1, np.uint64)[0] >> 1))

    def integers(self, rows: int, columns: int, high: int) -> Tensor:
        """`[rows, columns]` uniform on 0 .. high - 1, int32."""
        return self._below(rows, columns, high, torch.int32)

    def tokens(self, rows: int, columns: int, high: int) -> Tensor:
        """As `integers`, in the narrowest dtype that holds `high - 1`."""
        return self._below(rows, columns, high, narrow(high))

    def uniform(self, rows: int, columns: int) -> Tensor:
        """`[rows, columns]` uniform on (0, 1], float32."""
        if self.device.type == "cpu":
            table = torch.from_numpy(self._bits(rows, columns, np.uint32).astype(np.float32))
            return torch.add(torch.tensor(2.0**-33), table, alpha=2.0**-32, out=table)
        return 1 - torch.rand(rows, columns, device=self.device, generator=self._torch)

    def normal(self, rows: int, columns: int) -> Tensor:
        """`[rows, columns]` standard normal, float32."""
        if self.device.type == "cpu":
            return torch.from_numpy(self._numpy.standard_normal((rows, columns), np.float32))
        return torch.randn(rows, columns, device=self.device, generator=self._torch)

    def permutations(self, rows: int, count: int, taken: int | None = None) -> Tensor:
        """`[rows, taken or count]`: the first of a uniform permutation of 0 .. count - 1 per row, int32."""
        return _order(self.uniform(rows, count), count if taken is None else taken)

    def distinct(self, rows: int, count: int, high: int) -> Tensor:
        """`[rows, count]` of 0 .. high - 1 without repetition within a row, every sequence equally likely; int32."""
        return self.distinct_tokens(rows, count, high).int()

    def distinct_tokens(self, rows: int, count: int, high: int, first: int = 0) -> Tensor:
        """As `distinct`, of first .. high - 1, in the narrowest dtype that holds `high - 1`.

        What repeats a value before it, or lies below `first`, is drawn again until it does not. That treats all values
        from `first` on alike, and whatever does is uniform on the sequences without repetition.
        """
        if count > high - first:
            raise ValueError(f"count: at most {high - first} distinct values, got {count}")
        if (count + first) * _SPARSE > high:
            return self.permutations(rows, high - first, count).add_(first).to(narrow(high))
        drawn = self.tokens(rows, count, high)
        table = _array(drawn)
        flat, again = table.reshape(-1), _wrong(table, first)
        while len(again):
            flat[again] = _array(self.tokens(len(again), 1, high))[:, 0]
            value = flat[again]
            repeated = (table[again // count] == value[:, None]).sum(1) > 1
            again = again[repeated | (value < first)]
        return drawn

    def successive(self, rows: int, count: int, weights: Tensor) -> Tensor:
        """`[rows, count]`: indices drawn one by one without replacement, by `weights`, in the order drawn; int32.

        The index of the j-th smallest of exponential times with rates `weights` is the j-th drawn (Efraimidis and
        Spirakis 2006). Times closer than one part in 2^22 to 2^14 (more indices, fewer bits) count as equal, the
        smaller index first.
        """
        if count > len(weights):
            raise ValueError(f"count: at most {len(weights)} indices without replacement, got {count}")
        rate = (-weights.sum() / weights).to(self.device, torch.float32)
        return _order(self.uniform(rows, len(weights)).log_().mul_(rate), count)

    def _bits(self, rows: int, columns: int, dtype: type[np.integer]) -> np.ndarray:
        """`[rows, columns]` random words of an integer type."""
        words = self._numpy.bit_generator.random_raw(-(-rows * columns * np.dtype(dtype).itemsize // 8))
        return words.view(dtype)[: rows * columns].reshape(rows, columns)

    def _below(self, rows: int, columns: int, high: int, dtype: torch.dtype) -> Tensor:
        if self.device.type != "cpu":
            return torch.randint(high, (rows, columns), device=self.device, generator=self._torch, dtype=dtype)
        kind = np.int16 if dtype == torch.int16 else np.int32
        if high & (high - 1) == 0:
            bits = self._bits(rows, columns, kind)
            return torch.from_numpy(np.bitwise_and(bits, kind(high - 1), out=bits))
        table = np.empty((rows, columns), kind)
        np.multiply(self._bits(rows, columns, np.uint32), high * 2.0**-32, out=table, casting="unsafe")  # rounds down
        return torch.from_numpy(table)


def _wrong(table: Any, first: int) -> Any:
    """Flat places of what is below `first` or repeats a value before it in its row."""
    count = table.shape[1]
    wrong = table < first
    ordered = _array(_sorted(torch.as_tensor(table).to(torch.int32, copy=True)))  # few processors sort int16 fast
    twice = _where(ordered[:, 1:] == ordered[:, :-1])
    row = twice // max(count - 1, 1)
    place = _where(table[row] == ordered.reshape(-1)[twice + row][:, None])
    which = place // count
    again = row[which] * count + place % count
    wrong.reshape(-1)[again[1:][which[1:] == which[:-1]]] = True
    return _where(wrong)


def _where(mask: Any) -> Any:
    """Flat places of what is true."""
    return np.flatnonzero(mask) if isinstance(mask, np.ndarray) else mask.flatten().nonzero()[:, 0]


def empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """On the CPU, from numpy: it asks for huge pages, so that filling a large table faults a fiftieth as often."""
    return torch.from_numpy(np.empty(shape, torch.empty(0, dtype=dtype).numpy().dtype))


def _array(table: Tensor) -> Any:
    """On the CPU the same numbers as a numpy array, whose comparisons and indexing take half the time or less."""
    return table.numpy() if table.device.type == "cpu" else table


def _order(times: Tensor, taken: int) -> Tensor:
    """The first of `argsort` of positive float32 rows: index and leading bits of the time sorted as one integer."""
    count = times.shape[1]
    mask = (1 << max(count - 1, 1).bit_length()) - 1
    packed = times.view(torch.int32).bitwise_and_(~mask)
    packed |= torch.arange(count, dtype=torch.int32, device=times.device)
    return _sorted(packed)[:, :taken] & mask


def _sorted(rows: Tensor) -> Tensor:
    """Rows sorted, in place on the CPU: numpy's sort has vector instructions, torch's has not."""
    if rows.device.type != "cpu":
        return rows.sort(dim=1).values
    rows.numpy().sort(axis=1)
    return rows


def narrow(vocabulary: int) -> torch.dtype:
    """The narrowest dtype in which tasks keep ids below `vocabulary` (and -100)."""
    return torch.int16 if vocabulary <= 2**15 else torch.int32
