"""Key and value heads: how many and how wide, for keys and values together or apart, and when that pays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import sympy

from recallscope.architectures.costs import T, crossings
from recallscope.architectures.mixers import Attention
from recallscope.architectures.mixers._softmax import SoftmaxMixer
from recallscope.architectures.operators._choice import call, need_whole
from recallscope.architectures.operators._layers import layers_with, mixers
from recallscope.architectures.operators._shape import reshaped, with_layers
from recallscope.architectures.specification import Specification


def resize_heads(
    specification: Specification,
    kv_heads: int | None = None,
    key_width: int | None = None,
    layers: Sequence[int] | None = None,
) -> Specification:
    """Other numbers and widths of key and value heads: 2 H_kv K elements per token (Ainslie et al. 2023: grouped).

    Reads shrink with H_kv, products do not: each query head still meets every key. Query heads keep their number.

    Parameters
    ----------
    kv_heads, key_width : int or None
        H_kv, a divisor of the query heads, and K; None: as before.
    layers : sequence of int or None
        Layers to change; None: all with softmax attention, windows too.
    """
    config = specification.architecture.config
    given = {name: n for name, n in (("kv_heads", kv_heads), ("key_width", key_width)) if n is not None}
    for name, value in given.items():
        need_whole(name, value)
    chosen = layers_with(config, layers, lambda mixer: isinstance(mixer, SoftmaxMixer), "softmax attention")
    known = mixers(config)
    new = {i: config.layers[i] | {k: v for k, v in given.items() if getattr(known[i], k) != v} for i in chosen}
    return reshaped(specification, call("resize_heads", **given, layers=layers), with_layers(config, new))


def differentiate_heads(
    specification: Specification,
    key_heads: int,
    value_heads: int,
    key_width: int | None = None,
    value_width: int | None = None,
    query_width: int | None = 0,
    selected: int | None = None,
    layers: Sequence[int] | None = None,
) -> Specification:
    """Attention as `diff_qkv` (Lin et al. 2025): n_k K' + n_v V elements per token instead of 2 H_kv K.

    With `selected`, s values are read for each value head: n_k K' t + n_v V min(t, s) elements a step.

    Parameters
    ----------
    key_heads, value_heads, key_width, value_width, selected : int or None
        n_k, n_v, K', V and s; widths None: that of the queries.
    query_width : int or None
        Inner width of the queries' projections; 0: one projection as before, None: 3 D / 2.
    layers : sequence of int or None
        Layers to change; None: all with plain attention. Gates and sinks have no place in `diff_qkv`.
    """
    config = specification.architecture.config
    chosen = layers_with(config, layers, _can_differ, "attention without gate and sinks")
    own = {
        "key_heads": key_heads, "value_heads": value_heads, "key_width": key_width, "value_width": value_width,
        "query_width": query_width, "selected": selected,
    }  # fmt: skip
    new = {}
    for i in chosen:
        mixer: Any = mixers(config)[i]
        kept = {
            k: v for k, v in config.layers[i].items() if k not in ("mixer", "kv_heads", "key_width", "gate", "sinks")
        }
        new[i] = {"mixer": "diff_qkv"} | kept | own | {"head_width": mixer.key_width}
    return reshaped(specification, call("differentiate_heads", **own, layers=layers), with_layers(config, new))


def _can_differ(mixer: Any) -> bool:
    return isinstance(mixer, Attention) and not mixer.gate and not mixer.sinks


def break_even_length(before: Specification, after: Specification, batch: int = 1) -> float:
    """Length from which the step of `after` moves no more bytes than that of `before`: extra weights / saved cache.

    Narrower caches may come with larger projections, which a short context does not repay. 0 if the step is never
    dearer; infinite if it is in the end. Solved exactly, for costs that are linear in t between a few corners.
    """
    first, second = (sympy.nsimplify(sympy.sympify(s.decode_bytes(T, batch)), rational=True) for s in (before, after))
    last = max([sympy.Integer(0), *crossings(first, second)])
    return float(last) if (second - first).subs(T, last + 1) <= 0 else math.inf
