"""`kill -9` in the middle of a run, from outside, then the same command again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SCRIPT = """
import sys, time
import numpy as np
from pathlib import Path
from recallscope.bundled import bundled_tokenizer
from recallscope.slicing.run import slice_text
from recallscope.slicing.scoring import Windowing
from recallscope.slicing.settings import SliceSettings

out, log, pause = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])

def steady(ids):
    with open(log, "a") as file:
        file.write("x")
    time.sleep(pause)
    return (ids[:, 1:] % 97 / 10).astype(np.float32)

def other(ids):
    return steady(ids) + (ids[:, 1:] % 3 == 0)

rng = np.random.default_rng(1)
words = "alpha beta gamma delta epsilon zeta eta theta".split()
text = [" ".join(rng.choice(words, 60)) for _ in range(40)]
slice_text([steady, other], text, out, tokenizer=bundled_tokenizer(), training_text=text[:10],
           settings=SliceSettings(Windowing(32, 32), shard_tokens=400), show_progress=False)
"""


def start(out: Path, log: Path, pause: float) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(out), str(log), str(pause)])


def test_kill_minus_nine_and_again(tmp_path):
    assert start(tmp_path / "whole", tmp_path / "whole.log", 0).wait(120) == 0
    calls = len((tmp_path / "whole.log").read_text())
    log = tmp_path / "cut.log"
    for wanted in (2, calls // 2 + 1):  # once in the first model, once in the second
        process = start(tmp_path / "cut", log, 0.1)
        deadline = time.monotonic() + 120
        while (len(log.read_text()) if log.exists() else 0) < wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "cut" / "report.json").exists()
    assert start(tmp_path / "cut", log, 0).wait(120) == 0
    for name in ("records.parquet", "atoms.parquet", "report.json", "report.html"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert not (tmp_path / "cut" / "work").exists()
    repeated = len(log.read_text()) - calls
    assert 0 <= repeated <= 2, f"{repeated} of {calls} batches were scored again; at most the two that were cut may be"
    assert json.loads((tmp_path / "cut" / "report.json").read_text())["totals"]["documents"] == 40
