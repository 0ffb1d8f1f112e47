"""Fewer bits per value: with scales for groups, in named formats, for weights and state; and the noise that it adds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from recallscope.architectures.operators._choice import BLOCKS, Only, call, changed
from recallscope.architectures.specification import Specification, Weights


@dataclass(frozen=True)
class Format:
    """How values are stored.

    Attributes
    ----------
    bits : float
        Bits of one value, scales apart.
    group : int or None
        Consecutive values of a row that share a scale; None: no scales of groups.
    scale_bits, zero_bits : float
        Of one group's scale and zero point.
    tensor_bits : float
        Of what the whole matrix shares.
    source : str
        Where the format is from.
    """

    bits: float
    group: int | None = None
    scale_bits: float = 0.0
    zero_bits: float = 0.0
    tensor_bits: float = 0.0
    source: str = ""

    def effective_bits(self) -> float:
        """Bits per value of a large matrix whose rows are whole groups: b + (b_scale + b_zero) / g."""
        return self.bits + ((self.scale_bits + self.zero_bits) / self.group if self.group else 0)


FORMATS = {
    "ternary": Format(2, tensor_bits=16, source="Ma et al. 2024 (BitNet b1.58); log₂ 3 = 1.58 bits in two"),
    "ternary-packed": Format(1.6, tensor_bits=16, source="as ternary, five values in a byte: 3⁵ = 243 of 256"),
    "mxfp4": Format(4, group=32, scale_bits=8, source="Rouhani et al. 2023 (OCP microscaling): E2M1, scale E8M0"),
    "nvfp4": Format(4, group=16, scale_bits=8, tensor_bits=32, source="NVIDIA 2025: E2M1, scale E4M3, one FP32"),
}


def quantise(
    specification: Specification,
    bits: float,
    group: int | None = None,
    scale_bits: float = 16,
    zero_bits: float = 0,
    only: Only = BLOCKS,
) -> Specification:
    """Weights of b bits with a scale and a zero point for every g values of a row: b + (b_scale + b_zero) / g.

    Chen et al. 2024 (EfficientQAT): 2 bits in groups of 64 with scales of 16 and zeros of 2 are 2.28. Rows that are not
    whole groups pay for the last one in full. FLOPs stay; what integer products gain is a matter of the device.

    Parameters
    ----------
    bits : float
        b, of one value.
    group : int or None
        g; None: no scales, as for a floating-point format.
    scale_bits, zero_bits : float
        Of one group.
    """
    label = call("quantise", bits=bits, group=group, only=only)
    if group is not None:
        label = call("quantise", bits=bits, group=group, scale_bits=scale_bits, zero_bits=zero_bits, only=only)
    return _stored_as(specification, Format(bits, group, scale_bits, zero_bits), label, only)


def quantise_as(specification: Specification, format: str, only: Only = BLOCKS) -> Specification:
    """Weights in a format of `FORMATS`."""
    if format not in FORMATS:
        raise ValueError(f"format: one of {', '.join(FORMATS)}, got {format!r}")
    return _stored_as(specification, FORMATS[format], call("quantise_as", format=format, only=only), only)


def _stored_as(specification: Specification, form: Format, label: str, only: Only) -> Specification:
    if form.bits <= 0 or (form.group is not None and form.group < 1):
        raise ValueError(f"bits, group: above 0, got {form.bits} and {form.group}")
    return changed(specification, label, only, lambda w: (replace(w, bits=_bits(w, form)),))


def _bits(w: Weights, form: Format) -> float:
    """Per stored value. The kept values of sparse rows are grouped as they are stored."""
    groups = 0
    if form.group:
        per_row, rest = divmod(w.stored, w.rows)
        groups = math.ceil(w.stored / form.group) if rest else w.rows * math.ceil(per_row / form.group)
    return form.bits + (groups * (form.scale_bits + form.zero_bits) + form.tensor_bits) / w.stored


def quantise_state(
    specification: Specification, bits: float, group: int | None = None, scale_bits: float = 16, zero_bits: float = 0
) -> Specification:
    """The state (cache, matrix state, shift buffers alike) in b bits, with scales of groups as in `quantise`.

    The bits of a state bound what it can hold. Left out: a part that is kept in full, such as the latest tokens.
    """
    form = Format(bits, group, scale_bits, zero_bits)
    if bits <= 0 or (group is not None and group < 1):
        raise ValueError(f"bits, group: above 0, got {bits} and {group}")
    if form.effective_bits() == specification.state_bits:
        return specification
    scales = {"scale_bits": scale_bits, "zero_bits": zero_bits} if group else {}
    label = call("quantise_state", bits=bits, group=group, **scales)
    return replace(specification, state_bits=form.effective_bits(), applied=(*specification.applied, label), quality=())


def uniform_sqnr(bits: float, peak: float) -> float:
    """Signal over noise, in dB, of rounding to 2^b even levels that span ± the largest value.

    Noise Δ² / 12 with Δ = 2 max / (2^b − 1): 20 log₁₀(2^b − 1) + 10 log₁₀ 3 − 20 log₁₀ peak, so 6.02 dB for each bit,
    and an outlier takes what it adds to the peak (Bondarenko et al. 2023 remove such outliers). Holds where steps are
    small against the signal.

    Parameters
    ----------
    bits : float
        b.
    peak : float
        Largest magnitude over root mean square: √3 for uniform values, 1 at least.
    """
    if bits <= 0 or peak < 1:
        raise ValueError(f"bits, peak: above 0 and at least 1, got {bits} and {peak}")
    return 20 * math.log10(2**bits - 1) + 10 * math.log10(3) - 20 * math.log10(peak)


def information_bits(sqnr: float) -> float:
    """Bits that a Gaussian value carries through noise of a given `sqnr` in dB: ½ log₂(1 + 10^{sqnr / 10})."""
    return math.log2(1 + 10 ** (sqnr / 10)) / 2


@dataclass(frozen=True)
class BinaryBits:
    """Bits per weight of residual binarisation: of the values alone, and with the flags that tell groups apart."""

    value_bits: float
    stored_bits: float


def residual_binary_bits(salient: float, flag_bits: float) -> BinaryBits:
    """Two binary values for a share of salient columns, one for the rest: 2 r + (1 − r) (Huang et al. 2024, BiLLM).

    Papers quote the first figure; a file needs the second.

    Parameters
    ----------
    salient : float
        r, share of the columns that are binarised twice.
    flag_bits : float
        Bits per weight for the flag of a weight's group, and for scales; it depends on the file's layout.
    """
    if not 0 <= salient <= 1:
        raise ValueError(f"salient: between 0 and 1, got {salient}")
    return BinaryBits(1 + salient, 1 + salient + flag_bits)
