"""The runs whose results are in this repository, at a size for two cores, and those of the note's own size."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from recallscope.architectures.recurrent_transformer import TransformerShape
from recallscope.disk import locked
from recallscope.tasks.task import Task
from recallscope.training.recurrent.loop import Point, Settings, test_scores, train_by_plan
from recallscope.training.recurrent.plans import CopyPlan, TextPlan
from recallscope.training.recurrent.text_windows import TextWindows

WIDTH, HEADS, BLOCK = 96, 6, 32  # the note's, for copying
TEXT_WIDTH, TEXT_HEADS, CONTEXT = 64, 4, 64  # of the models of text


@dataclass(frozen=True)
class Run:
    """One training: what tables call the model, the task's name, and all that decides the numbers."""

    subject: str
    task: str
    shape: TransformerShape
    plan: CopyPlan | TextPlan
    settings: Settings

    @property
    def name(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", f"{self.task} {self.subject} {self.settings.seed}")

    @property
    def tested(self) -> Task:
        """The task of the test: at full noise, or on held-out text."""
        return self.plan.validation if isinstance(self.plan, TextPlan) else self.plan.task(self.plan.noise)


def copy_run(selective: bool, seed: int, noise: int = 512, full: bool = False) -> Run:
    """Copying as in the note, h accumulated; ReLU, and α learned for copy, 1/2 for selective copy, as in the code.

    `full`: rate 5e-4, first noise 128 and doubling below a loss of 0.3, as the code. At the reduced size copy has 1e-3,
    32 and 0.03: what is still to be learned is learned where examples are short. Selective copy has, besides, what it
    took to be learned on two cores: positions in the block, noise of all lengths mixed, GELU, β₂ 0.98, and rate 2e-3
    after 150 steps of warming up (without them a fifth is right after 500 steps, with them three quarters), at full
    noise falling to zero in 8,000 steps, twice.
    """
    if selective and not full:
        shape = TransformerShape(
            16, WIDTH, HEADS, noise + 32, BLOCK, variant="accumulate", periodic=True,
        )  # fmt: skip
        plan = CopyPlan(True, noise, 32, rate=2e-3, until=0.995, mixed=True, warmup=3, finish=8000)
        return Run(
            "recurrent, accumulate, mixed noise", "selective copy", shape, plan, Settings(32, seed=seed, second=0.98)
        )
    shape = TransformerShape(
        16, WIDTH, HEADS, noise + 32, BLOCK,
        variant="accumulate", learned=not selective, activation="relu",
    )  # fmt: skip
    plan = (
        CopyPlan(selective, noise, 128, until=0.999 if selective else 1.0)
        if full
        else CopyPlan(False, noise, 32, rate=1e-3, threshold=0.03)
    )
    settings = Settings(64 if full else 32, 100 if full else 50, seed=seed)
    return Run("recurrent, accumulate", "selective copy" if selective else "copy", shape, plan, settings)


TEXT_MODELS: dict[str, dict[str, int]] = {
    "regular, 1 layer": {},
    "regular, 6 layers": {"layers": 6},
    "recurrent, forget, w = 1": {"block": 1},
    "recurrent, forget, w = 32": {"block": 32},
}


def text_run(subject: str, seed: int, steps: int = 1000, batch: int = 64) -> Run:
    """A model of bytes, trained on windows of 64 bytes of the training packages, tested on the held-out ones."""
    plan = TextPlan(TextWindows(CONTEXT), TextWindows(CONTEXT, "held-out", 1_000_000), 2e-3, steps)
    shape = TransformerShape(256, TEXT_WIDTH, TEXT_HEADS, CONTEXT, **TEXT_MODELS[subject])  # type: ignore[arg-type]
    return Run(subject, "text", shape, plan, Settings(batch, 50, validation=128, test=4096, seed=seed))


def reduced_runs(seeds: Sequence[int] = (0, 1, 2)) -> list[Run]:
    """Seed after seed: copy, selective copy, and the four models of text."""
    runs = []
    for seed in seeds:
        runs += [copy_run(False, seed), copy_run(True, seed), *(text_run(name, seed) for name in TEXT_MODELS)]
    return runs


def full_runs() -> list[Run]:
    """Copy and selective copy with noise to 4,096, the rates and first noise of the code: for a GPU."""
    return [copy_run(selective, 0, 4096, full=True) for selective in (False, True)]


@dataclass(frozen=True)
class Result:
    """A run: its curve, and loss (nats per answer) and accuracy of its test."""

    run: Run
    curve: list[Point]
    loss: float
    accuracy: float

    @property
    def finished(self) -> bool:
        """Whether the run has come to the end of its plan."""
        return self.run.plan(self.curve) is None


def train_runs(
    runs: Iterable[Run],
    folder: str | Path,
    device: str = "cpu",
    echo: Callable[[str], None] = lambda line: None,
    train: bool = True,
) -> list[Result]:
    """Train run after run, each with a file of its own in the folder, from which it goes on; then test it.

    Without `train`, runs that have begun are tested as they stand, and others left out.
    """
    results = []
    for run in runs:
        file = Path(folder) / f"{run.name}.pt"
        if not train and not file.exists():
            continue
        log = lambda point, name=run.name: echo(f"{name} {_line(point)}")  # noqa: E731
        part = f".{run.name}.lock"  # others may train other runs beside it
        with locked(folder, "folder", part) if train else nullcontext():
            model, curve = train_by_plan(run.shape, run.plan, run.settings, file, log, device, train)
        results.append(Result(run, curve, *test_scores(model, run.tested, run.settings, device)))
        echo(f"{run.name}: test loss {results[-1].loss:.4f}, accuracy {results[-1].accuracy:.4f}")
    return results


def _line(point: Point) -> str:
    return (
        f"step {point.step} length {point.length} rate {point.rate:.2e} trained {point.trained:.4f} "
        f"loss {point.loss:.4f} accuracy {point.accuracy:.4f} {point.seconds:.1f} s"
    )
