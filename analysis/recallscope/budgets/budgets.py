"""The four budgets of a specialised model, and what a method spends of them (arXiv 2402.01093, section 2)."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

METHODS = {
    "SLM": "small model, pre-trained on generic text, then fine-tuned",
    "SLM-nopt": "small model trained on the domain's text alone",
    "SLM-is": "small model pre-trained on generic text resampled to the domain's clusters, then fine-tuned",
    "SLM-mix": "hard mixture: a small model for each cluster; the nearest one is fine-tuned",
    "SLM-pn": "projected network: one network that makes a small model for each cluster; the nearest is fine-tuned",
    "SLM-d": "small model fine-tuned on the domain's text and on a fine-tuned large model's predictions",
    "LLM": "large model, pre-trained on generic text, then fine-tuned",
    "LLM-lora": "large model, fine-tuned by low-rank changes alone",
}
"""The methods by the paper's names (LLM-lora: ours) and what each does."""

SMALL = tuple(name for name in METHODS if not name.startswith("LLM"))
"""Methods that end in the small model."""


@dataclass(frozen=True)
class Budgets:
    """What may be spent on specialised models, in the unit of the evidence (A100 hours, or FLOPs of our runs).

    Attributes
    ----------
    generic_training : float
        Before the domains are known, once for all of them.
    specialisation_training : float
        After their text is there, for all domains together: each gets an equal share.
    inference : float
        Parameters of the final model at most.
    specialisation_tokens : int
        Text of each domain.
    """

    generic_training: float
    specialisation_training: float
    inference: float
    specialisation_tokens: int

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (value >= 0 and math.isfinite(value)) or (field.name == "inference" and not value):
                raise ValueError(f"{field.name}: finite, at least 0 (inference: above 0), got {value:g}")


@dataclass(frozen=True)
class Cost:
    """What a method spends: `generic` once, `specialise` for each domain, `inference` a token (FLOPs or hours)."""

    generic: float
    specialise: float
    inference: float = 0.0

    def total(self, domains: float, tokens: float = 0.0) -> float:
        """C(n) = generic + n specialise, and the inference of so many tokens in all."""
        return self.generic + domains * self.specialise + tokens * self.inference


def break_even(a: Cost, b: Cost) -> float | None:
    """Domains at which two methods cost the same in training, C_a(n) = C_b(n), n > 0; None: nowhere."""
    slope = b.specialise - a.specialise
    domains = (a.generic - b.generic) / slope if slope else -1.0
    return domains if domains > 0 else None


def gpu_hours(flops: float, peak: float, utilisation: float) -> float:
    """Hours of a device that runs at a share `utilisation` of `peak` FLOPs a second."""
    if not (peak > 0 and 0 < utilisation <= 1):
        raise ValueError(f"peak, utilisation: above 0, the latter at most 1, got {peak:g} and {utilisation:g}")
    return flops / (peak * utilisation) / 3600
