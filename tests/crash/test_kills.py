"""Nothing lost: SIGKILL at random points of everything that runs long, then the same command again, the same result.

`RECALLSCOPE_CRASH=40 pytest tests/crash/test_kills.py` makes that many trials over all jobs, else 2 over two.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TRIALS = int(os.environ.get("RECALLSCOPE_CRASH", "0"))
FEW = 2, ("slice", "train lm")


def test_killed_runs_end_as_undisturbed_ones(tmp_path: Path):
    trials, jobs = (TRIALS, ()) if TRIALS else FEW
    command = [sys.executable, str(HERE / "trials.py"), str(tmp_path / "trials"), str(TRIALS), str(trials), *jobs]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # sums of floats in one order
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and len(found) == trials, done.stderr
    assert not [one for one in found if one["trouble"]]
    assert sum(bool(one["killed"]) for one in found) >= 0.7 * trials, "the jobs end before they are killed"


ONE_FILE = """
import os, sys
sys.path.insert(0, sys.argv[1])
from points import Points
with Points(int(sys.argv[2])):
    with open("a.tmp", "w") as file:
        file.write("whole")
        file.flush()
        os.fsync(file.fileno())
    os.replace("a.tmp", "a")
    os.mkdir("b")
"""


@pytest.mark.parametrize("fatal", range(10))
def test_the_points_lie_around_every_change(fatal: int, tmp_path: Path):
    """What is on disk after a death at each of the nine points of a program that writes one file, and after none."""
    process = subprocess.run([sys.executable, "-S", "-c", ONE_FILE, str(HERE), str(fatal)], cwd=tmp_path)
    assert process.returncode == (-signal.SIGKILL if fatal else 0)
    held = {path.name: path.read_text() if path.is_file() else None for path in tmp_path.iterdir()}
    if fatal == 5:  # in the middle of the write
        assert held.keys() == {"a.tmp"} and "whole".startswith(held["a.tmp"] or "")
        return
    named, renamed = {"a.tmp": "whole"}, {"a": "whole"}
    after = {1: {}, 2: {"a.tmp": ""}, 3: named, 4: named, 6: named, 7: renamed, 8: renamed}
    assert held == after.get(fatal, renamed | {"b": None})
