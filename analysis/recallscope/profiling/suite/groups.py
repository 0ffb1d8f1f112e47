"""What is measured together: subjects read from the table of operators, at one shape and in one mode."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from recallscope_kernels.ops import OPERATORS, Shape

FLA = "fla"


@dataclass(frozen=True)
class Plan:
    """Sizes and lengths of a whole run."""

    heads: int = 16
    values: int = 64
    batch: int = 16
    based: tuple[int, ...] = (2048, 4096, 8192, 16384, 32768)
    alone: tuple[int, ...] = (8192, 32768)  # of one sequence, whose heads alone do not fill a GPU
    forward: tuple[int, ...] = (2048, 8192, 32768)
    backward: tuple[int, ...] = (2048, 8192)
    contexts: tuple[int, ...] = (2048, 8192, 32768)  # of decoding, at the largest batch
    batches: tuple[int, ...] = (1, 16, 128)  # of decoding, at the longest context
    counted: tuple[int, ...] = (8192,)  # lengths at which all operators are counted, and not only Based and its peers


SMALL = Plan(2, 64, 1, (128, 256), (), (128, 256), (128,), (128, 256), (1, 2))


@dataclass(frozen=True)
class Group:
    """Subjects that are timed against each other, and the file that their rows go to."""

    file: str
    mode: str
    shape: Shape
    subjects: tuple[str, ...]
    counted: bool = True

    def __str__(self) -> str:
        return f"{self.file} {self.mode}, B = {self.shape.B}, T = {self.shape.T:,}"


def groups(plan: Plan) -> list[Group]:
    """Based and its peers first, of many sequences and of one, then every operator forward, decoding, backward."""
    made = [Group("based", "fwd", _shape(plan, plan.batch, t), based_subjects()) for t in plan.based]
    made += [
        Group("based", mode, _shape(plan, 1, t), based_subjects(), False) for mode in ("fwd", "bwd") for t in plan.alone
    ]
    made += [_suite(plan, "fwd", plan.batch, t, t in plan.counted) for t in plan.forward]
    most, longest = plan.batches[-1], plan.contexts[-1]
    made += [_suite(plan, "decode", batch, longest, batch == most) for batch in plan.batches]
    made += [_suite(plan, "decode", most, t, False) for t in plan.contexts[:-1]]
    return made + [_suite(plan, "bwd", plan.batch, t, t in plan.counted) for t in plan.backward]


def _suite(plan: Plan, mode: str, batch: int, t: int, counted: bool) -> Group:
    return Group("suite", mode, _shape(plan, batch, t), every_step() if mode == "decode" else every_subject(), counted)


def _shape(plan: Plan, batch: int, t: int) -> Shape:
    return Shape(B=batch, T=t, H=plan.heads, K=1, V=plan.values)  # K is each operator's own


def based_subjects() -> tuple[str, ...]:
    """Based as it runs by default, every backend of attention, and what flash-linear-attention has of Based."""
    peers = [name for name in OPERATORS["based"].implementations if name.startswith(FLA)]
    return (
        "based",
        *(f"attention:{name}" for name in OPERATORS["attention"].implementations),
        *(f"based:{name}" for name in peers),
    )


def every_subject() -> tuple[str, ...]:
    """Every implementation of every operator."""
    return _named((name, operator.implementations) for name, operator in OPERATORS.items())


def every_step() -> tuple[str, ...]:
    """Every implementation of every decoding step."""
    return _named((name, operator.steps) for name, operator in OPERATORS.items())


def _named(of: Iterable[tuple[str, Sequence[str]]]) -> tuple[str, ...]:
    return tuple(f"{operator}:{name}" for operator, names in of for name in names)


def base_of(subjects: Sequence[str]) -> str:
    """What ratios are to: attention, if it is there, else the first."""
    return next((s for s in subjects if s.partition(":")[0] == "attention"), subjects[0])
