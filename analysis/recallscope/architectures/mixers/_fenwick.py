"""Linear attention over the spans of a Fenwick tree: the past cut by the binary digits of its length."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from recallscope.architectures.mixers._counts import ceil_div, maximum, minimum
from recallscope.architectures.mixers._linear import from_chunks, into_chunks

BITS = 40
"""Binary digits of a position that the closed forms look at."""


def log_linear_attention(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, weight: Tensor, states: Tensor, position: int, chunk: int
) -> tuple[Tensor, Tensor]:
    """Outputs `[B, T, H, P]` and spans `[B, L, H, N, P]` after the last token; O(T (C + N log T)).

    `q`, `k` `[B, T, 1, N]`, `v` `[B, T, H, P]`, `log_decay` `[B, T, H, 1]`, `weight` `[B, T, H, levels]`; `states` are
    the spans before token `position`, counted from 0. Chunks are aligned with the multiples of C, a power of two, so
    that spans of whole chunks begin and end there.
    """
    last, lead = position + q.shape[1] - 1, position % chunk
    parts = (F.pad(u, (0, 0, 0, 0, lead, 0)) for u in (q, k, v, log_decay, weight))
    q, k, v, log_decay, weight = (into_chunks(u, chunk) for u in parts)
    q, k, total = q[:, :, 0], k[:, :, 0].transpose(-1, -2), log_decay.cumsum(-2)  # [B, M, C, N], ..., [B, M, H, C, 1]
    inside = torch.arange(chunk, device=q.device)
    ratio = (total - total.transpose(-1, -2)).masked_fill(inside[:, None] < inside, -torch.inf).exp()
    scores = (q @ k)[:, :, None] * ratio * _at_levels(weight, inside, inside)
    outputs = list((scores @ v).unbind(1))
    end = total[..., -1:, :]
    writes = k[:, :-1, None] @ (v * (end - total).exp())[:, :-1]  # of all chunks but the last
    spans = dict(zip(_cuts(position - 1) if position else [], states.unbind(1), strict=True))  # by their first tokens
    for n in range(len(outputs)):
        first = position - lead + n * chunk
        if spans:
            levels = _at_levels(weight[:, n] * total[:, n].exp(), inside + first, torch.tensor(list(spans)))
            outputs[n] = outputs[n] + _read(q[:, n], list(spans.values()), levels)
        if n < len(outputs) - 1:
            spans = {start: span * end[:, n].exp() for start, span in spans.items()}
            spans[first] = spans.get(first, 0) + writes[:, n]
            spans = _merge(spans, _cuts(first + chunk))
    total = total[:, -1, :, : last - first + 1]  # of the last chunk, whose tokens end on many levels
    spans = _merge({start: span * total[..., -1:, :].exp() for start, span in spans.items()}, [*_cuts(last), last + 1])
    decayed = v[:, -1, :, : last - first + 1] * (total[..., -1:, :] - total).exp()
    for start, stop in pairwise([*_cuts(last), last + 1]):
        if stop > first:
            tokens = slice(max(start - first, 0), stop - first)
            spans[start] = spans.get(start, 0) + k[:, -1, None, :, tokens] @ decayed[..., tokens, :]
    o = from_chunks(torch.stack(outputs, 1), last - position + lead + 1)
    return o[:, lead:], torch.stack([spans[start] for start in sorted(spans)], 1)


def _read(q: Tensor, spans: list[Tensor], levels: Tensor) -> Tensor:
    """`[B, C, N]`, L of `[B, H, N, P]`, `[B, H, C, L]` to `[B, H, C, P]`: the queries, shared by the heads, once."""
    stacked = torch.stack(spans, 2)  # [B, H, L, N, P]
    found = q @ stacked.permute(0, 3, 1, 2, 4).flatten(2)
    found = found.unflatten(-1, (*stacked.shape[1:3], stacked.shape[-1]))  # [B, C, H, L, P]
    return (found.transpose(1, 2) * levels[..., None]).sum(-2)


def _at_levels(weight: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
    """`[..., C, levels]` to `[..., C, S]`: the weight of each query for the level that each key is on."""
    level = torch.frexp((queries[:, None] ^ keys.to(queries.device)).double()).exponent.long()  # the bit length
    level = level.clamp(max=weight.shape[-1] - 1)
    return weight.gather(-1, level.expand(*weight.shape[:-1], -1))


def _cuts(t: int) -> list[int]:
    """Where the spans of the first `t` tokens begin, longest first, and `t`."""
    cuts = [0]
    for digit in reversed(range(t.bit_length())):
        if t >> digit & 1:
            cuts.append(cuts[-1] + (1 << digit))
    return cuts


def _merge(spans: dict[int, Any], cuts: list[int]) -> dict[int, Any]:
    """Spans added up that begin between the same cuts."""
    groups = [(a, [span for start, span in spans.items() if a <= start < b]) for a, b in pairwise(cuts)]
    return {a: sum(group[1:], group[0]) for a, group in groups if group}


def live_levels(t: Any) -> Any:
    """Spans after `t` tokens: 1 and the ones among the binary digits of t - 1; none for 0.

    These ones are `n - Σ_i ⌊n / 2^i⌋` (Legendre), with n = t - 1 and `⌊n / 2^i⌋ = ⌈t / 2^i⌉ - 1`.
    """
    return minimum(t, t + sum(1 - ceil_div(t, 1 << i) for i in range(1, BITS)))


def digits_below(n: Any) -> Any:
    """Ones among the binary digits of all numbers from 0 to n - 1: for each digit, full periods and the last one."""
    periods = ((n // (2 << i)) * (1 << i) + maximum(0, n % (2 << i) - (1 << i)) for i in range(BITS))
    return sum(periods)
