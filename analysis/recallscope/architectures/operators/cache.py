"""Caches: entries evicted, pages selected, values left out, layers that share one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from recallscope.architectures.operators._choice import call, need_dense, need_whole
from recallscope.architectures.operators._layers import (
    keeps_all,
    keeps_keys_and_values,
    layers_with,
    mixers,
    projects_plainly,
    with_rules,
)
from recallscope.architectures.specification import Specification, Weights

_KEYS_AND_VALUES = "a cache of keys and values of one width"


def evict(
    specification: Specification,
    budget: int,
    prompt: int | None = None,
    scores: bool = False,
    layers: Sequence[int] | None = None,
) -> Specification:
    """Caches of at most Bd entries: min(t, Bd) in place of t in state, reads and products of a step.

    The same for every policy: first tokens and a window (Xiao et al. 2023, Bd = sinks + window), heavy hitters (Zhang
    et al. 2023), lowest current weight (Oren et al. 2024). Prefill and training stay: what is evicted has been
    computed, and attended to. An evicted entry is lost: recall is at most the share of the needed ones that are kept.

    Parameters
    ----------
    budget : int
        Bd, in tokens.
    prompt : int or None
        Evict only once, when a prompt of so many tokens ends (Li et al. 2024, SnapKV); what follows it stays.
    scores : bool
        Whether a running score for each key head and entry is kept, read and written (Zhang et al. 2023: accumulated
        weights), one element as any other of the state.
    layers : sequence of int or None
        Layers to change; None: all that keep something of every token. Windows are small already.
    """
    need_whole("budget", budget)
    if prompt is not None:
        need_whole("prompt", prompt)
    suits, what = (keeps_keys_and_values, _KEYS_AND_VALUES) if scores else (keeps_all, "a cache of all tokens")
    chosen = layers_with(specification.architecture.config, layers, suits, what)
    label = call("evict", budget=budget, prompt=prompt, scores=scores or None, layers=layers)
    return with_rules(specification, label, chosen, budget=budget, prompt=prompt, scores=scores)


def select_pages(
    specification: Specification, page: int, pages: int, layers: Sequence[int] | None = None
) -> Specification:
    """All kept, a part read: the p pages of P tokens with the largest bounds (Tang et al. 2024, Quest).

    For each page the least and the greatest value of every key channel are kept: 2 H_kv K ⌈t / P⌉ elements more, all
    read at each step; the bound of a query's scores, `Σ max(q min, q max) = q⁺ · max + q⁻ · min`, takes 4 K products
    for each query head. Then min(t, p P) entries are read: a last page that is not full counts as a full one. A token
    also writes the bounds of its page. A group of query heads chooses together.

    Parameters
    ----------
    page, pages : int
        P, in tokens, and p.
    layers : sequence of int or None
        Layers to change; None: all that keep keys and values of all tokens. The paper spares the first two.
    """
    need_whole("page", page)
    need_whole("pages", pages)
    chosen = layers_with(specification.architecture.config, layers, keeps_keys_and_values, _KEYS_AND_VALUES)
    label = call("select_pages", page=page, pages=pages, layers=layers)
    return with_rules(specification, label, chosen, page=page, pages=pages)


def hard_attention(specification: Specification, kept: int, layers: Sequence[int] | None = None) -> Specification:
    """Only the s values with the largest scores are read by a query head: 2 H K min(t, s) products for them, not t.

    Scores need all keys as before. Heads of one group may choose apart, so up to H / H_kv · s values of a key head are
    read. Only steps change: a prefill by dense kernels executes the whole rectangle. Nagarajan et al. 2022 (AxFormer).

    Parameters
    ----------
    kept : int
        s.
    layers : sequence of int or None
        Layers to change; None: all that keep keys and values of all tokens.
    """
    need_whole("kept", kept)
    chosen = layers_with(specification.architecture.config, layers, keeps_keys_and_values, _KEYS_AND_VALUES)
    return with_rules(specification, call("hard_attention", kept=kept, layers=layers), chosen, kept=kept)


def share_caches(
    specification: Specification, factor: int | None = None, groups: Sequence[Sequence[int]] | None = None
) -> Specification:
    """Layers that attend to the keys and values of another: of each group, the first makes and keeps them.

    With `factor` s, each s neighbours among the layers with attention (Brandon et al. 2024, CLA): state ÷ s. One group
    of the upper half is the decoder of Sun et al. 2024 (YOCO). Every layer still reads the cache, so reads stay; those
    that borrow it write nothing and lose the projections of keys and values, and their norm. Left out: prefill that
    stops where the last cache is made.

    Parameters
    ----------
    factor : int or None
        s.
    groups : sequence of sequences of int or None
        Instead of a factor: layers that share, which must be alike.
    """
    config = specification.architecture.config
    if (factor is None) == (groups is None):
        raise ValueError(f"factor, groups: exactly one of them, got {factor} and {groups}")
    suitable = layers_with(config, None, projects_plainly, "plain attention")
    if factor is not None:
        need_whole("factor", factor)
        groups = [suitable[i : i + factor] for i in range(0, len(suitable), factor)]
    groups = [sorted(group) for group in groups or ()]
    members = [i for group in groups for i in group]
    if set(members) - set(suitable) or len(set(members)) < len(members):
        raise ValueError(f"groups: layers with plain attention ({suitable}), each once, got {groups}")
    known: list[Any] = mixers(config)
    borrowers = [i for group in groups for i in group[1:]]
    for group in groups:
        if len({(known[i].kv_heads, known[i].key_width) for i in group}) > 1:
            raise ValueError(f"groups: layers with as many key heads and as wide ones, got {group}")
    if any(specification.caches[i].borrowed for i in members if specification.caches):
        raise ValueError("share_caches: layers that do not share yet, got some that do")
    return _borrowing(
        specification, call("share_caches", factor=factor, groups=groups if factor is None else None), borrowers
    )


def _borrowing(specification: Specification, label: str, borrowers: list[int]) -> Specification:
    if not borrowers:
        return specification
    known: list[Any] = mixers(specification.architecture.config)
    weights, other = list(specification.weights), specification.other_parameters
    for i in borrowers:
        mixer = known[i]
        queries, columns = mixer.heads * mixer.key_width, mixer.width
        rows = queries + 2 * mixer.kv_heads * mixer.key_width
        at = next(
            (j for j, w in enumerate(weights) if (w.name, w.rows, w.columns) == ("mixer.qkv", rows, columns)), None
        )
        if at is None or weights[at].passes > specification.architecture.config.loops:
            done = ", ".join(specification.applied)
            raise ValueError(f"share_caches: comes before operators that split or share mixer.qkv, got {done}")
        need_dense("share_caches", weights[at])
        weights += [_queries(weights[at], queries)]
        weights[at] = replace(weights[at], count=weights[at].count - 1)
        other -= mixer.key_width if mixer.qk_norm else 0
    changed = with_rules(specification, label, borrowers, borrowed=True)
    return replace(changed, weights=_gathered(weights), other_parameters=other)


def _queries(w: Weights, rows: int) -> Weights:
    """What is left of a projection of queries, keys and values."""
    return replace(w, name="mixer.query", rows=rows, count=1, stored=rows * w.columns, flops=2 * rows * w.columns)


def _gathered(weights: list[Weights]) -> tuple[Weights, ...]:
    """Equal ones counted together, those that are gone left out."""
    counts: dict[Weights, int] = {}
    for w in weights:
        alone = replace(w, count=0)
        counts[alone] = counts.get(alone, 0) + w.count
    return tuple(replace(w, count=n) for w, n in counts.items() if n)
