"""What a sweep trains."""

from __future__ import annotations

from dataclasses import dataclass

from recallscope.training.members.members import Member
from recallscope.training.members.mix import Mix
from recallscope.training.members.recipe import Recipe
from recallscope.training.sweeps.subjects import Subject


@dataclass(frozen=True)
class Sweep:
    """What a sweep trains: subjects, a mix of tasks, rates and seeds, and the recipe of all.

    Attributes
    ----------
    name : str
        How tables call it.
    subjects : tuple of Subject
        The models.
    mix : Mix
        Tasks to train and test on.
    rates, seeds : tuple
        Peak learning rates, and seeds of weights and data; every pair is trained.
    recipe : Recipe
        Steps, batch, schedule, evaluation.
    about : str
        Source of the setting and how it differs from it.
    """

    name: str
    subjects: tuple[Subject, ...]
    mix: Mix
    rates: tuple[float, ...]
    seeds: tuple[int, ...]
    recipe: Recipe
    about: str = ""

    def __post_init__(self) -> None:
        for name in ("subjects", "rates", "seeds"):
            if not getattr(self, name):
                raise ValueError(f"{name}: at least one, got none")
        if min(self.rates) <= 0:
            raise ValueError(f"rates: above 0, got {list(self.rates)}")

    @property
    def members(self) -> list[Member]:
        return [Member(rate, seed) for seed in self.seeds for rate in self.rates]
