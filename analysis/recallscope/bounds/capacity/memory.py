"""A memory rule with its sizes, and the state that it keeps."""

from __future__ import annotations

from dataclasses import dataclass

from recallscope.bounds._checks import whole

RULES = (
    "additive", "decayed", "delta", "least squares", "slots", "window", "softmax cache", "n-gram table",
)  # fmt: skip


@dataclass(frozen=True)
class Memory:
    """One memory rule, asked for the value of each of n stored pairs; all else in `bounds.capacity` is a function.

    The model, for every rule: pair i = 1 .. n has a key k_i, uniform on the unit sphere of R^K, and a value id y_i,
    uniform over V, all independent (so a value may occur twice). Value v has a code c_v, uniform on the unit sphere of
    R^W. The question is a stored key itself, each of the n as likely. Vector read-outs o are decoded to argmax_v c_v·o.

    ============== ====================================================================================================
    rule           state after all pairs, and how it is read
    ============== ====================================================================================================
    additive       S = Σ k_i c_{y_i}ᵀ (linear attention); o = Sᵀq
    decayed        S ← decay·S + k_i c_{y_i}ᵀ (RetNet); o = Sᵀq
    delta          S ← (I - k_i k_iᵀ) S + k_i c_{y_i}ᵀ (DeltaNet with β = 1); o = Sᵀq
    least squares  the S of least norm among those with least Σ |Sᵀk_i - c_{y_i}|² (MesaNet without ridge); o = Sᵀq
    slots          pair i overwrites one of `places` slots drawn at random; read: the value of the stored key nearest q
    window         the last `places` pairs; read: the value of the stored key nearest q
    softmax cache  all keys and value codes, every number in `bits` bits; o = the stored code of the stored key nearest
                   q (a softmax of growing inverse temperature)
    n-gram table   pair i overwrites the value id in one of `places` buckets, the hash of its key; keys are not stored
    ============== ====================================================================================================

    Attributes
    ----------
    rule : str
        One of `RULES`.
    key_width, value_width, vocabulary : int
        K, W and V, each at least 2.
    decay : float
        Above 0, at most 1; only of `decayed`.
    places : int
        Slots, window or buckets, at least 1; only of `slots`, `window` and `n-gram table`.
    bits : int
        Bits per state element, 1 to 64. Only `softmax cache` computes with so few, at most 12 (the nearest code is then
        the right one already; beyond, numbers count as exact): cells of equal probability under the normal
        distribution, each read as its mean, so 2^bits levels. The other rules compute with exact numbers.
    """

    rule: str
    key_width: int = 64
    value_width: int = 64
    vocabulary: int = 256
    decay: float = 1.0
    places: int = 64
    bits: int = 32

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ValueError(f"rule: one of {', '.join(RULES)}, got {self.rule!r}")
        for name in ("key_width", "value_width", "vocabulary"):
            whole(name, getattr(self, name), 2)
        whole("places", self.places, 1)
        whole("bits", self.bits, 1)
        if self.bits > 64:
            raise ValueError(f"bits: a whole number of 1 to 64, got {self.bits}")
        if not 0 < self.decay <= 1:
            raise ValueError(f"decay: above 0, at most 1, got {self.decay}")
        if self.decay != 1 and self.rule != "decayed":
            raise ValueError(f"decay: 1 for all rules but decayed, got {self.decay} for {self.rule}")


def state_elements(memory: Memory, pairs: int) -> int:
    """Numbers that survive once `pairs` are stored, as allocated (whatever of it is used).

    K·W for additive, decayed and delta; K·W + K² for least squares (MesaNet keeps Σ k kᵀ whole, of which K(K+1)/2
    differ); `places`·(K + W) for slots and window; n·(K + W) for a softmax cache; `places` ids for an n-gram table.
    """
    n, matrix = whole("pairs", pairs, 1), memory.key_width * memory.value_width
    pair = memory.key_width + memory.value_width
    match memory.rule:
        case "additive" | "decayed" | "delta":
            return matrix
        case "least squares":
            return matrix + memory.key_width**2
        case "softmax cache":
            return n * pair
        case "n-gram table":
            return memory.places
        case _:
            return memory.places * pair
