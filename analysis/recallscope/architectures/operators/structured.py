"""Matrices as products or sums of smaller ones: low rank, blocks, dense times sparse, sparse plus low rank.

The operators take a specification, their knobs, and `only`: names of matrices, or the dotted starts of names. What is
chosen must still be dense. What they give is made of matrices again, on which the next operator works.
"""

from __future__ import annotations

import math
from dataclasses import replace

from recallscope.architectures.operators._choice import (
    BLOCKS,
    Only,
    call,
    changed,
    need_dense,
    need_dense_product,
    need_divisor,
    need_whole,
    part,
)
from recallscope.architectures.specification import Specification, Weights


def break_even_rank(rows: int, columns: int) -> float:
    """The rank at which two factors hold as many values as the matrix: M N / (M + N)."""
    return rows * columns / (rows + columns)


def low_rank(specification: Specification, rank: int, only: Only = BLOCKS) -> Specification:
    """W (M x N) as `left right`, M x r times r x N: r (M + N) values, twice as many FLOPs per token.

    Wei et al. 2024 (structured feed-forward layers, trained from scratch); LoRA (Hu et al. 2021) has the same shape. A
    matrix whose smaller side is at most `rank` stays as it is. Ranks above `break_even_rank` are allowed, and cost
    more. The embedding becomes a table of r columns and a product (Lan et al. 2020, ALBERT). Left out: what the
    launch of two products costs; the product that a *tied* table's look-up would need.

    Parameters
    ----------
    rank : int
        r, at least 1.
    """
    need_whole("rank", rank)

    def factors(w: Weights) -> tuple[Weights, ...]:
        if min(w.rows, w.columns) <= rank:
            return (w,)
        need_dense("low_rank", w)
        if not w.flops:
            table = part(w, "left", w.rows, rank, flops=0)
            return table, part(w, "right", w.columns, rank, read=1.0)
        return part(w, "right", rank, w.columns, flops=w.flops * rank / w.rows), part(w, "left", w.rows, rank, read=1.0)

    return changed(specification, call("low_rank", rank=rank, only=only), only, factors)


def block_shuffle(specification: Specification, blocks: int, only: Only = BLOCKS) -> Specification:
    """W as two block-diagonal factors with a permutation after each: min(M, N) (M + N) / b values.

    Wei et al. 2024, after Monarch matrices (Dao et al. 2022); the square factor is on the smaller side. Each factor
    has `blocks` dense blocks, stored and multiplied one by one. One block is the dense matrix. Left out: the
    permutations, which move activations and multiply nothing.

    Parameters
    ----------
    blocks : int
        b, a divisor of both sides.
    """
    need_whole("blocks", blocks)

    def factors(w: Weights) -> tuple[Weights, ...]:
        if blocks == 1:
            return (w,)
        need_dense_product("block_shuffle", w)
        need_divisor("block_shuffle", "blocks", blocks, w, w.rows, w.columns)
        m, n, middle = w.rows // blocks, w.columns // blocks, min(w.rows, w.columns) // blocks
        share = w.flops / (2 * w.rows * w.columns)
        first = part(w, "first", middle, n, blocks, flops=2 * middle * n * share)
        return first, part(w, "second", m, middle, blocks, read=1.0)

    return changed(specification, call("block_shuffle", blocks=blocks, only=only), only, factors)


def block_dense(specification: Specification, blocks: int, rank: int, only: Only = BLOCKS) -> Specification:
    """W as a dense M x r times a block-diagonal r x N factor: r (M + N / b) values (Wei et al. 2024).

    One block is `low_rank`, but for the full rank, which is not left out here.

    Parameters
    ----------
    blocks : int
        b, a divisor of N and of r.
    rank : int
        r, at least 1.
    """
    need_whole("blocks", blocks)
    need_whole("rank", rank)

    def factors(w: Weights) -> tuple[Weights, ...]:
        need_dense_product("block_dense", w)
        need_divisor("block_dense", "blocks", blocks, w, w.columns, rank)
        m, n = rank // blocks, w.columns // blocks
        right = part(w, "right", m, n, blocks, flops=m * n * w.flops / (w.rows * w.columns))
        return right, part(w, "left", w.rows, rank, read=1.0)

    return changed(specification, call("block_dense", blocks=blocks, rank=rank, only=only), only, factors)


def dense_times_sparse(
    specification: Specification, width: int, basis: int, kept: int, only: Only = BLOCKS
) -> Specification:
    """Each M x β block of columns as S D: D a dense basis (r x β), S k coefficients in each row of M x r.

    Chand et al. 2023 (DSFormer). Per matrix (N / β) (r β + k M) values, a ratio of r / M + k / β; (N / β) M k ⌈log₂ r⌉
    bits of positions; 2 N r + 2 N M k / β FLOPs per token. Reconstruction: that blocks are of *columns*, each with a
    basis of its own, is a reading. Left out: how much slower a gather is than a dense product.

    Parameters
    ----------
    width : int
        β, a divisor of N.
    basis : int
        r, basis vectors per block.
    kept : int
        k, coefficients per row, at most r.
    """
    need_whole("width", width)
    if not 1 <= kept <= basis:
        raise ValueError(f"kept: between 1 and basis = {basis}, got {kept}")

    def factors(w: Weights) -> tuple[Weights, ...]:
        need_dense_product("dense_times_sparse", w)
        need_divisor("dense_times_sparse", "width", width, w, w.columns)
        blocks, values = w.columns // width, w.rows * kept
        share = w.flops / (2 * w.rows * w.columns)
        bits = values * math.ceil(math.log2(basis)) if kept < basis else 0
        coefficients = {"stored": values, "flops": 2 * values, "index_bits": bits, "read": 1.0}
        dense = part(w, "basis", basis, width, blocks, flops=2 * basis * width * share)
        return dense, part(w, "coefficients", w.rows, basis, blocks, **coefficients)

    label = call("dense_times_sparse", width=width, basis=basis, kept=kept, only=only)
    return changed(specification, label, only, factors)


def sparse_plus_low_rank(
    specification: Specification, rank: int, density: float, position_bits: int, only: Only = BLOCKS
) -> Specification:
    """W = left right + S, S on a fixed random support: r (M + N) + δ M N values, twice as many FLOPs per token.

    Han et al. 2024 (SLTrain). For inference the sum may instead be formed once; that is the untouched model. For
    training it is formed in every step: `sparse_plus_low_rank_flops`.

    Parameters
    ----------
    rank : int
        r, at least 1.
    density : float
        δ, share of the values of S that are kept, rounded to whole values.
    position_bits : int
        Bits for the position of a value of S: 32 or 64 as tensors of integers; ⌈log₂ M N⌉ would do; 0 if a seed does.
    """
    need_whole("rank", rank)
    if not 0 < density < 1:
        raise ValueError(f"density: between 0 and 1, got {density}")

    def factors(w: Weights) -> tuple[Weights, ...]:
        need_dense_product("sparse_plus_low_rank", w)
        values, share = round(density * w.rows * w.columns), w.flops / (w.rows * w.columns)
        sparse = replace(
            w, name=f"{w.name}.sparse", stored=values, flops=values * share, index_bits=values * position_bits
        )
        right = part(w, "right", rank, w.columns, flops=rank * w.columns * share)
        return sparse, right, part(w, "left", w.rows, rank, read=1.0)

    label = call("sparse_plus_low_rank", rank=rank, density=density, position_bits=position_bits, only=only)
    return changed(specification, label, only, factors)


def sparse_plus_low_rank_flops(rows: int, columns: int, rank: int, tokens: int) -> int:
    """A training step of one matrix with the sum formed: 6 M N n + 6 r M N (Han et al. 2024).

    Forward r M N multiply-adds to form it and M N n to use it; backward twice that. Left out: the scatter of S.
    """
    return 6 * rows * columns * (tokens + rank)


def self_guided_flops(before: Specification, after: Specification, tokens: int, share: float) -> float:
    """Added FLOPs of training when the dense matrices run along at the start: 6 M N per token and matrix.

    `o = α W x + (1 − α) U (V x)`, α falling from 1 to 0 over a `share` of the tokens (Wei et al. 2024); counted for
    the matrices of `before` that `after` no longer has. Left out: steps that skip the dense product at random.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share: between 0 and 1, got {share}")
    return 3 * share * tokens * sum(w.token_flops for w in before.weights if w not in after.weights)
