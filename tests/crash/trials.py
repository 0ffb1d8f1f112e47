"""Trials of jobs: killed, perhaps killed again while they go on, run to the end, compared with an undisturbed run.

    python tests/crash/trials.py FOLDER SEED TRIALS [JOB ...]

Prints a JSON line a trial: its `job`, where it was `killed`, and `trouble`, empty when all is as if nothing had been.
Each run is a fork of this process, which has everything imported and has run nothing.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path

import jobs
from points import OPENED, Points, swept


def run(
    job: str, inputs: Path, out: Path, fatal: int = 0, after: float | None = None, seed: int = 0
) -> tuple[int, int]:
    """One run in a process of its own; returns its exit status and the points that it passed (0 if killed).

    It dies at the point `fatal`, or when `after` seconds have passed.
    """
    reached, log = out.with_suffix(".points"), out.with_suffix(".log")
    reached.unlink(missing_ok=True)
    sys.stdout.flush()
    child = os.fork()
    if not child:
        status = 1
        try:
            with OPENED(log, "w") as said:
                os.dup2(said.fileno(), 1)
                os.dup2(said.fileno(), 2)
                warnings.simplefilter("ignore")
                with Points(fatal, seed) as points:
                    jobs.JOBS[job](inputs, out)
                with OPENED(reached, "w") as file:
                    file.write(str(points.seen))
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status, int(reached.read_text()) if reached.exists() else 0


def trial(job: str, inputs: Path, out: Path, whole: dict, points: int, seconds: float, rng: random.Random) -> dict:
    """Kill once to three times, then run to the end and compare."""
    killed = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        by_time = rng.random() < 0.25
        after = round(rng.random() * seconds, 3) if by_time else None
        fatal = 0 if by_time else rng.randrange(1, points + 1)
        status, _ = run(job, inputs, out, fatal, after, rng.randrange(2**31))
        if status not in (0, -signal.SIGKILL):
            return {"killed": killed, "trouble": f"exit {status}: {_last(out)}"}
        if status:
            killed.append(f"{after} s" if by_time else f"point {fatal} of {points}")
    status, _ = run(job, inputs, out)
    if status:
        return {"killed": killed, "trouble": f"does not go on, exit {status}: {_last(out)}"}
    found = jobs.content(out)
    differs = [name for name in whole.keys() | found.keys() if whole.get(name) != found.get(name)]
    return {"killed": killed, "trouble": f"differs in {', '.join(sorted(differs))}" if differs else ""}


def _last(out: Path) -> str:
    return (out.with_suffix(".log").read_text().strip().splitlines() or ["nothing said"])[-1]


def main(folder: str, seed: str, trials: str, *names: str) -> None:
    """So many trials in all, one job after the other in turn."""
    inputs, rng = Path(folder) / "inputs", random.Random(seed)
    child = os.fork()
    if not child:
        warnings.simplefilter("ignore")
        jobs.prepare(inputs)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    count, chosen = int(trials), names or tuple(jobs.JOBS)
    for number, job in enumerate(chosen):
        out, began = Path(folder) / "out", time.monotonic()
        swept(out)
        status, points = run(job, inputs, out)
        assert status == 0, _last(out)
        seconds, whole = time.monotonic() - began, jobs.content(out)
        for _ in range(number, count, len(chosen)):
            swept(out)
            print(json.dumps({"job": job} | trial(job, inputs, out, whole, points, seconds, rng)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
