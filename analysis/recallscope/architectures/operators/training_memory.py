"""Memory of training: weights, gradients, optimiser and activations, and the methods that cut each of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from recallscope.architectures.operators._choice import (
    BLOCKS,
    Only,
    chosen,
    need_dense_product,
    need_divisor,
    need_share,
    need_whole,
)
from recallscope.architectures.specification import Specification


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes on the device at the end of a forward pass; temporary buffers and fragmentation are left out.

    Attributes
    ----------
    frozen : float
        Parameters that are not trained.
    trained : float
        Trained parameters, their gradients and the optimiser's values.
    activations : float
        What the backward pass needs of the forward pass, all but `scores`.
    scores : float
        Attention scores, where a kernel keeps them.
    """

    frozen: float
    trained: float
    activations: float
    scores: float

    def total(self) -> float:
        return self.frozen + self.trained + self.activations + self.scores


def memory_in_training(
    specification: Specification,
    t: int,
    batch: int,
    *,
    trained_bytes: float,
    unit_bytes: float,
    score_bytes: float,
    score_heads: int,
    trained: float | None = None,
    frozen_bytes: float = 2.0,
) -> TrainingMemory:
    """P bytes of parameters and T B (D L u + H L T s) bytes of activations, for constants that are given.

    The form is that of Korthikanti et al. 2022. The constants depend on precision, optimiser, layer and kernels, so
    they have no defaults: measure them, or count them as for `trained_bytes`.

    Parameters
    ----------
    t, batch : int
        Tokens per sequence and sequences on the device.
    trained_bytes : float
        Per trained parameter: 2 + 2 + 4 + 4 + 4 = 16 for weight and gradient in 16 bits, and a copy of the weight and
        Adam's two moments in 32.
    unit_bytes : float
        u, bytes kept per token, layer and unit of the model width.
    score_bytes : float
        s, bytes kept per pair of tokens and head.
    score_heads : int
        H L, heads in all layers whose scores are kept; 0 for kernels that compute them again.
    trained : float or None
        Trained parameters that are not the model's own (`poet_parameters`, `low_rank_parameters`), the model being
        frozen; None: all of the model's.
    frozen_bytes : float
        Per frozen parameter.
    """
    config, own = specification.architecture.config, specification.parameters()
    tokens = t * batch
    return TrainingMemory(
        0.0 if trained is None else own * frozen_bytes,
        (own if trained is None else trained) * trained_bytes,
        tokens * config.width * len(config.layers) * unit_bytes,
        tokens * t * score_heads * score_bytes,
    )


def sampled_activations(memory: TrainingMemory, kept: float, share: float) -> TrainingMemory:
    """Only some rows of the inputs of linear layers kept for the weight gradients (Liu et al. 2023, WTA-CRS).

    The gradient `Σ_m x_m g_mᵀ` over M tokens is estimated without bias from k of them: those with the largest
    `p_m ∝ ‖x_m‖ ‖g_m‖` for sure, others by chance, each weighted by 1 / p. What linear layers keep falls to k / M. Left
    out: noise of the gradients; the norms of earlier steps, from which p is taken.

    Parameters
    ----------
    memory : TrainingMemory
        Without sampling.
    kept : float
        k / M.
    share : float
        Share of `activations` that are inputs of linear layers, kept for their weight gradients alone.
    """
    need_share("kept", kept)
    if not 0 <= share <= 1:
        raise ValueError(f"share: between 0 and 1, got {share}")
    return replace(memory, activations=memory.activations * (1 - share + share * kept))


def poet_parameters(specification: Specification, block: int, only: Only = BLOCKS) -> int:
    """Trained values when W = R W₀ P, R and P block-diagonal and orthogonal: (M / b + N / b) b (b − 1) / 2 per matrix.

    Qiu et al. 2025 (POET): each b x b block is the Cayley transform (I + Q)(I − Q)⁻¹ of a skew-symmetric Q. W₀ is
    frozen, and R, P are multiplied into it in the end: inference is that of the untouched model. Counted for blocks
    that cover all rows and columns; a method that trains some of them at a time holds that share.

    Parameters
    ----------
    block : int
        b, a divisor of both sides.
    """
    need_whole("block", block)
    wanted, total = chosen(specification, only), 0
    for w in filter(wanted, specification.weights):
        need_dense_product("poet_parameters", w)
        need_divisor("poet_parameters", "block", block, w, w.rows, w.columns)
        total += w.count * (w.rows + w.columns) // block * (block * (block - 1) // 2)
    return total


def low_rank_parameters(specification: Specification, rank: int, only: Only = BLOCKS) -> int:
    """Trained values of low-rank updates beside frozen matrices: r (M + N) each (Hu et al. 2021, LoRA)."""
    need_whole("rank", rank)
    return sum(
        w.count * rank * (w.rows + w.columns) for w in filter(chosen(specification, only), specification.weights)
    )
