"""Drafts that branch: several guesses for a token, and guesses for what follows each, checked in one pass."""

from __future__ import annotations

import heapq
from collections.abc import Sequence


def tree_tokens(parents: Sequence[int], acceptances: Sequence[float]) -> float:
    """Tokens per round of a drafted tree: 1 + Σ over nodes of the product of the chances on its path.

    Miao et al. 2024 (SpecInfer); Cai et al. 2024 (Medusa). A row of γ nodes gives `expected_tokens`.

    Parameters
    ----------
    parents : sequence of int
        For each node an earlier node, or −1 for the last token of the text.
    acceptances : sequence of float
        Chance that a node is what the large model continues with, given that its parent is; of the children of one
        node at most one is, so theirs add up to 1 at most.
    """
    if len(parents) != len(acceptances) or any(not -1 <= parent < i for i, parent in enumerate(parents)):
        raise ValueError(f"parents: for each acceptance an earlier node or -1, got {list(parents)}")
    sums: dict[int, float] = {}
    for parent, chance in zip(parents, acceptances, strict=True):
        sums[parent] = sums.get(parent, 0.0) + chance
    if min(acceptances, default=0) < 0 or max(sums.values(), default=0) > 1 + 1e-9:
        raise ValueError(f"acceptances: at least 0, of siblings at most 1 in all, got {list(acceptances)}")
    paths: list[float] = []
    for parent, chance in zip(parents, acceptances, strict=True):
        paths.append(chance * (paths[parent] if parent >= 0 else 1.0))
    return 1 + sum(paths)


def best_tree(ranks: Sequence[float], nodes: int) -> tuple[list[int], list[float]]:
    """The tree of n nodes with most expected tokens when the k-th guess at any place is right with a given chance.

    Nodes with the largest products of chances; a prefix of the tree is the best smaller tree (Chen et al. 2024,
    Sequoia, find it under the same assumption).

    Parameters
    ----------
    ranks : sequence of float
        Chance of the first, second, ... guess, falling; at most 1 in all.
    nodes : int
        n.

    Returns
    -------
    parents, acceptances
        As `tree_tokens` takes them.
    """
    if nodes < 0 or not ranks or list(ranks) != sorted(ranks, reverse=True) or ranks[-1] < 0 or sum(ranks) > 1 + 1e-9:
        raise ValueError(
            f"ranks, nodes: falling chances of at most 1 in all, and at least 0, got {list(ranks)}, {nodes}"
        )
    parents: list[int] = []
    paths: list[float] = []
    chosen: list[int] = []
    waiting = [(-ranks[0], -1, 0)]  # less the product along the path, parent, rank among its children
    while len(parents) < nodes:
        product, parent, rank = heapq.heappop(waiting)
        parents.append(parent)
        paths.append(-product)
        chosen.append(rank)
        heapq.heappush(waiting, (product * ranks[0], len(parents) - 1, 0))
        if rank + 1 < len(ranks):
            above = paths[parent] if parent >= 0 else 1.0
            heapq.heappush(waiting, (-above * ranks[rank + 1], parent, rank + 1))
    return parents, [ranks[rank] for rank in chosen]
