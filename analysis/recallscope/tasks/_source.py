"""Random numbers for the generators: seeded, vectorised, made on the device that uses them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_SPARSE = 8  # `distinct` redraws repeats when at most 1/8 of the range is taken, and ranks the range otherwise


class Source:
    """A stream of random tables of `rows` examples, from a seed (an integer or several).

    On the CPU the bits are numpy's SFC64, elsewhere torch's generator of the device: the distributions are the same, the
    numbers are not. Integers are drawn by multiplying 32 random bits, so that a value is off its probability by less than
    `high / 2^32` of it.
    """

    def __init__(self, seed: int | Sequence[int], device: str | torch.device = "cpu"):
        self.device = torch.device(device)
        words = np.random.SeedSequence(seed)
        if self.device.type == "cpu":
            self._numpy = np.random.Generator(np.random.SFC64(words))
        else:
            self._torch = torch.Generator(self.device).manual_seed(int(words.generate_state(1, np.uint64)[0] >> 1))

    def _bits(self, rows: int, columns: int) -> Tensor:
        """`[rows, columns]` of 32 random bits as int32."""
        count = rows * columns
        if self.device.type == "cpu":
            words = self._numpy.integers(0, 2**64 - 1, (count + 1) // 2, np.uint64, endpoint=True)
            return torch.from_numpy(words.view(np.int32)[:count].reshape(rows, columns))
        bits = torch.randint(-(2**31), 2**31, (count,), device=self.device, generator=self._torch)
        return bits.view(rows, columns).int()

    def integers(self, rows: int, columns: int, high: int) -> Tensor:
        """`[rows, columns]` uniform on 0 .. high - 1, int32."""
        return _scaled(self._bits(rows, columns), high)

    def tokens(self, rows: int, columns: int, high: int) -> Tensor:
        """As `integers`, in the narrowest dtype that holds `high - 1`."""
        dtype = narrow(high)
        if self.device.type == "cpu" and dtype == torch.int16 and high & (high - 1) == 0:  # 16 bits a token are exact
            return self._bits(rows, (columns + 1) // 2).view(torch.int16)[:, :columns].bitwise_and_(high - 1)
        return self.integers(rows, columns, high).to(dtype)

    def uniform(self, rows: int, columns: int) -> Tensor:
        """`[rows, columns]` uniform on (0, 1], float32."""
        return self._bits(rows, columns).float().add_(2**31 + 1).mul_(2**-32)

    def normal(self, rows: int, columns: int) -> Tensor:
        """`[rows, columns]` standard normal, float32."""
        if self.device.type == "cpu":
            return torch.from_numpy(self._numpy.standard_normal((rows, columns), np.float32))
        return torch.randn(rows, columns, device=self.device, generator=self._torch)

    def permutations(self, rows: int, count: int, taken: int | None = None) -> Tensor:
        """`[rows, taken or count]`: the first of a uniform permutation of 0 .. count - 1 per row, int32."""
        order = _order(self.uniform(rows, count))
        return order if taken is None else order[:, :taken]

    def distinct(self, rows: int, count: int, high: int) -> Tensor:
        """`[rows, count]` of 0 .. high - 1 without repetition within a row, every sequence equally likely; int32.

        Repeats are drawn again, all but the first, until none is left. That treats all values alike, and whatever does is
        uniform on the sequences without repetition.
        """
        if count > high:
            raise ValueError(f"count: at most high = {high} distinct values, got {count}")
        if count * _SPARSE > high:
            return self.permutations(rows, high, count)
        drawn = self.integers(rows, count, high)
        shift = count.bit_length()
        columns = torch.arange(count, dtype=torch.int32, device=self.device)
        flat, part, chosen = drawn.view(-1), drawn, None
        while True:
            ranked = _sorted((part.to(_wide(high, shift)) << shift) | columns)
            again = ((ranked[:, 1:] ^ ranked[:, :-1]) < (1 << shift)).flatten().nonzero()[:, 0]
            if not len(again):
                return drawn
            row = torch.div(again, count - 1, rounding_mode="floor")
            column = ranked.flatten()[again + row + 1] & ((1 << shift) - 1)
            row = row if chosen is None else chosen[row]
            flat[row * count + column] = self.integers(len(row), 1, high)[:, 0]
            chosen = torch.unique_consecutive(row)
            part = drawn[chosen]

    def successive(self, rows: int, count: int, weights: Tensor) -> Tensor:
        """`[rows, count]`: indices drawn one after another without replacement, by `weights`, in the order drawn; int32.

        The index of the j-th smallest of exponential times with rates `weights` is the j-th drawn (Efraimidis and
        Spirakis 2006). Times closer than one part in 2^22 to 2^14 (more indices, fewer bits) count as equal, the
        smaller index first.
        """
        if count > len(weights):
            raise ValueError(f"count: at most {len(weights)} indices without replacement, got {count}")
        rate = (-weights.sum() / weights).to(self.device, torch.float32)
        return _order(self.uniform(rows, len(weights)).log_().mul_(rate))[:, :count]


def _scaled(bits: Tensor, high: int) -> Tensor:
    """32 random bits to 0 .. high - 1: the upper half of the product with `high`."""
    if bits.device.type != "cpu":
        return (((bits.long() & 0xFFFFFFFF) * high) >> 32).int()
    words = np.ascontiguousarray(bits.numpy()).view(np.uint32)
    if words.size % 2:  # numpy multiplies 64-bit words in place: two draws of each
        return torch.from_numpy(((words.astype(np.uint64) * np.uint64(high)) >> np.uint64(32)).astype(np.int32))
    pairs = words.reshape(-1).view(np.uint64)
    upper = (pairs >> np.uint64(32)) * np.uint64(high)
    lower = (pairs & np.uint64(0xFFFFFFFF)) * np.uint64(high)
    both = (lower >> np.uint64(32)) | (upper & ~np.uint64(0xFFFFFFFF))
    return torch.from_numpy(both.view(np.int32).reshape(words.shape))


def _order(times: Tensor) -> Tensor:
    """`argsort` of positive float32 rows: index and leading bits of the time sorted as one integer."""
    count = times.shape[1]
    mask = (1 << max(count - 1, 1).bit_length()) - 1
    packed = times.view(torch.int32).bitwise_and_(~mask)
    packed |= torch.arange(count, dtype=torch.int32, device=times.device)
    return _sorted(packed) & mask


def _sorted(rows: Tensor) -> Tensor:
    """Rows sorted, in place on the CPU: numpy's sort has vector instructions, torch's has not."""
    if rows.device.type != "cpu":
        return rows.sort(dim=1).values
    rows.numpy().sort(axis=1)
    return rows


def _wide(high: int, shift: int) -> torch.dtype:
    return torch.int32 if high << shift < 2**31 else torch.int64


def narrow(vocabulary: int) -> torch.dtype:
    """The narrowest dtype in which tasks keep ids below `vocabulary` (and -100)."""
    return torch.int16 if vocabulary <= 2**15 else torch.int32
