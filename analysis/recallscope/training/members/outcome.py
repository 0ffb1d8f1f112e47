"""What became of one member of a sweep."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from recallscope.training.members.members import Member


@dataclass
class Outcome:
    """What became of one member.

    Attributes
    ----------
    member : Member
        Its rate and seed.
    curve : list of (step, training loss, validation accuracy)
        At each evaluation; for tasks on vectors the error instead of the accuracy.
    stopped : str
        Why before the last step: `reached` (`stop_at`), `diverged` (its loss was no number), or "".
    tests : list of dict
        For each test task its scores (`accuracy`, `loss`, ...) and `answers`, on the test examples.
    """

    member: Member
    curve: list[tuple[int, float, float]] = field(default_factory=list)
    stopped: str = ""
    tests: list[dict[str, float]] = field(default_factory=list)

    @property
    def steps(self) -> int:
        return self.curve[-1][0] if self.curve else 0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Outcome:
        curve = [(int(step), loss, accuracy) for step, loss, accuracy in saved["curve"]]
        return cls(Member(**saved["member"]), curve, saved["stopped"], saved["tests"])
