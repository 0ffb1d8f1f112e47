"""Progress of long work: one bar on a terminal, a heartbeat file always, silence in a pipe."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

Advance = Callable[[int], None]
HEARTBEAT_SECONDS = 2.0
ESTIMATE_AFTER = 5.0  # seconds; the first batches also load the model


@contextmanager
def progress_bar(
    label: str, total: int | None, heartbeat: Path | None = None, show: bool | None = None, unit: str = "tok"
) -> Iterator[Advance]:
    """`with progress_bar("score", tokens) as advance: advance(n)`: share done, units per second, time left.

    The bar goes to stderr, and only when that is a terminal (or `show` says so). `heartbeat` names a small JSON file,
    rewritten every two seconds, for whoever watches from outside.
    """
    visible = sys.stderr.isatty() if show is None else show
    started = last = time.monotonic()
    done = 0

    def beat(now: float) -> None:
        if heartbeat is not None:
            rate = done / max(now - started, 1e-9)
            state = {"step": label, "tokens": done, "of": total, "tokens_per_second": round(rate, 1)}
            temporary = heartbeat.with_name(heartbeat.name + ".tmp")
            with suppress(OSError):  # a full disk stops the work where it matters
                temporary.write_text(json.dumps(state) + "\n")
                os.replace(temporary, heartbeat)

    with _bar(label, total, unit) if visible else _silence() as draw:

        def advance(tokens: int) -> None:
            nonlocal done, last
            done += tokens
            draw(tokens)
            now = time.monotonic()
            if now - last > HEARTBEAT_SECONDS:
                last = now
                beat(now)

        yield advance
        beat(time.monotonic())


def estimated(advance: Advance, name: str, remaining: Sequence[int], log: Callable[[str], None]) -> Advance:
    """`advance`, which after a few seconds also logs once how long this model and all models after it will take.

    `remaining` are the tokens that this model and the following ones have to score; the estimate takes all models to be
    as fast as this one.
    """
    started = time.monotonic()
    done, told = 0, sum(remaining) == 0

    def counted(tokens: int) -> None:
        nonlocal done, told
        advance(tokens)
        done += tokens
        seconds = time.monotonic() - started
        if not told and seconds > ESTIMATE_AFTER:
            told = True
            rate, left = done / seconds, sum(remaining) - done
            minutes = left / rate / 60
            log(f"score {name}: {rate:,.0f} tokens/s; about {minutes:.1f} minutes left, all models as fast as this one")

    return counted


@contextmanager
def _silence() -> Iterator[Advance]:
    yield lambda tokens: None


@contextmanager
def _bar(label: str, total: int | None, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(TextColumn):
        def render(self, task) -> Text:
            return Text(f"{(task.finished_speed or task.speed or 0):,.0f} {unit}/s")

    columns = (
        TextColumn("{task.description:<20}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        Rate(""),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.advance(task, done)
