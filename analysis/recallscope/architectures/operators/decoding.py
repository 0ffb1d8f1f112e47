"""Several tokens for one pass of a large model: drafts of a small one, checked at once."""

from __future__ import annotations

from dataclasses import dataclass

from recallscope.architectures.cache_rule import CacheRule, cached_elements
from recallscope.architectures.operators._layers import mixers
from recallscope.architectures.specification import Specification


def expected_tokens(acceptance: float, draft: int) -> float:
    """Tokens per round of γ drafted ones, each kept with chance α while all before it are: (1 − α^{γ+1}) / (1 − α).

    One of them is the large model's own (Leviathan et al. 2023, Eq. 1; independent acceptances).
    """
    _check(acceptance, draft)
    return draft + 1.0 if acceptance == 1 else (1 - acceptance ** (draft + 1)) / (1 - acceptance)


def speedup(acceptance: float, draft: int, cost: float) -> float:
    """Over the large model alone: expected tokens / (γ c + 1), c = cost of a small step / of a large one.

    Leviathan et al. 2023, Theorem 3.8. A check of γ + 1 tokens is taken to cost what a step does, which holds while
    steps are bound by memory: `speculate` says whether.
    """
    if cost < 0:
        raise ValueError(f"cost: at least 0, got {cost}")
    return expected_tokens(acceptance, draft) / (draft * cost + 1)


def best_draft(acceptance: float, cost: float, longest: int = 64) -> int:
    """The γ from 0 to `longest` with the largest speed-up; 0: drafts do not pay."""
    return max(range(longest + 1), key=lambda draft: speedup(acceptance, draft, cost))


def big_little(fallback: float, rollback: float, cost: float) -> float:
    """Speed-up of a small model that asks when unsure: 1 / ((1 − q)(c / f + 1)), q = (1 − f)(1 − r).

    Big Little Decoder (Kim et al. 2023): the small model writes until it is unsure; the large one then reads what was
    written, goes back to the first token that it disagrees with, and writes one token. A round has 1 / (1 − q) tokens
    and costs 1 / f small steps, of which the last one's token is not used, and one large step. Independent events;
    one pass over all pending tokens is taken to cost what a step does.

    Parameters
    ----------
    fallback : float
        f, chance that the small model is unsure of a token; above 0.
    rollback : float
        r, chance that the large model disagrees with a written token.
    cost : float
        c, cost of a small step / of a large one.
    """
    if not 0 < fallback <= 1 or not 0 <= rollback <= 1 or cost < 0:
        raise ValueError(
            f"fallback, rollback, cost: in (0, 1], in [0, 1] and at least 0, got {fallback}, {rollback}, {cost}"
        )
    both = (1 - fallback) * (1 - rollback)
    return 1 / ((1 - both) * (cost / fallback + 1))


@dataclass(frozen=True)
class Speculation:
    """A round of drafting and checking at one length, against steps of the large model alone.

    Attributes
    ----------
    tokens : float
        Expected tokens of a round, per sequence.
    cost : float
        Bytes of a small step / bytes of a large one.
    bytes : float
        That a round moves, small steps and check.
    speedup : float
        Tokens x bytes of a large step / bytes of the round: in time, while both are bound by memory.
    check_flops : float
        Products of the check.
    check_bytes : float
        Bytes of the check.
    extra_bytes : float
        Memory beside the large model and its state: the small model, its state, and what going back needs.
    """

    tokens: float
    cost: float
    bytes: float
    speedup: float
    check_flops: float
    check_bytes: float
    extra_bytes: float

    def memory_bound(self, peak: float, bandwidth: float) -> bool:
        """Whether the check waits for bytes: FLOPs / peak (FLOP/s) at most bytes / bandwidth (bytes/s)."""
        return self.check_flops / peak <= self.check_bytes / bandwidth


def speculate(
    small: Specification,
    large: Specification,
    acceptance: float,
    draft: int,
    t: int,
    batch: int = 1,
    replay: bool = False,
) -> Speculation:
    """A round of γ drafted tokens after t tokens; bytes as in `decode_bytes`.

    The check reads the weights that (γ + 1) B tokens use (more experts than a step), each state once, and writes γ + 1
    tokens' worth. To go back, a cache of the whole past is cut, a window or shift buffer keeps the γ entries that it
    would drop, and a recurrent state is kept once per pending token, or once per round with `replay`, which then runs
    the accepted tokens anew (not counted here).

    Parameters
    ----------
    small, large : Specification
        The two models; both must be able to go back.
    acceptance, draft : float, int
        α and γ as in `expected_tokens`.
    t, batch : int
        Tokens before the round, at least 1, and sequences.
    replay : bool
        Keep one copy of the recurrent states instead of γ.
    """
    _check(acceptance, draft)
    alone, drafted = large.decode_bytes(t, batch), small.decode_bytes(t, batch)
    check = check_bytes(large, t, draft + 1, batch)
    flops = sum(large.decode_flops(t + i, batch) for i in range(draft + 1))
    tokens = expected_tokens(acceptance, draft)
    moved = sum(small.decode_bytes(t + i, batch) for i in range(draft)) + check
    copies = rollback_elements(large, draft, replay) * large.state_bits
    copies += rollback_elements(small, draft, replay) * small.state_bits
    extra = small.weight_bytes() + batch * (small.state_bytes(t + draft) + copies / 8)
    return Speculation(tokens, drafted / alone, moved, tokens * alone / moved, flops, check, extra)


def check_bytes(specification: Specification, t: int, tokens: int, batch: int = 1) -> float:
    """Bytes of one pass over n new tokens of each sequence after t − 1: weights and states once, n writes."""
    weights = sum(w.count * w.read_bytes(batch * tokens) for w in specification.weights)
    writes = sum(specification.write_elements(t + i) for i in range(tokens))
    state = specification.read_elements(t + tokens - 1) + writes
    return weights + 2 * specification.other_parameters + batch * state * specification.state_bits / 8


def rollback_elements(specification: Specification, pending: int, replay: bool = False) -> int:
    """Elements per sequence that going back over so many pending tokens needs beside the state itself.

    For each pending token: an entry of every window, shift buffer and cache with a budget, and the recurrent states, or
    these once with `replay`; nothing for a cache of the whole past. For a tree, pending tokens are its nodes.
    """
    states = min(pending, 1) if replay else pending
    config, total = specification.architecture.config, 0
    for mixer, rule in zip(mixers(config), specification.caches or [CacheRule()] * len(config.layers), strict=True):
        flow = mixer.dataflow()
        dropping = sum(span.elements for span in flow.spans if span.first is not None and span.last is not None)
        dropping += cached_elements(mixer) if rule.budget is not None and not rule.borrowed else 0
        total += dropping * pending + flow.state * states
    return config.loops * total


def _check(acceptance: float, draft: int) -> None:
    if not 0 <= acceptance <= 1 or draft < 0:
        raise ValueError(f"acceptance, draft: in [0, 1] and at least 0, got {acceptance} and {draft}")
