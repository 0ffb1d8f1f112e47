"""Freed memory is used again, with far fewer page faults, until it is given back."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import resource, sys, torch
from recallscope.allocator import keep_freed_memory
if sys.argv[1] == "keep" and not keep_freed_memory():
    print(-1); sys.exit()
torch.zeros(10_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.zeros(10_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

PROGRAM = """
import resource
from pathlib import Path
import numpy as np
from recallscope.allocator import give_back_freed_memory, keep_freed_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() >> 20

print(int(keep_freed_memory()))
pieces = [np.ones(1 << 16, np.uint8) for _ in range(4000)]  # 250 MiB; every second piece stays
before = resident()
pieces = pieces[::2]
kept = resident()
give_back_freed_memory()
print(before, kept, resident(), sum(int(piece[0]) for piece in pieces))
"""


def faults(how: str) -> int:
    return int(subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True, check=True).stdout)


def test_freed_memory_is_used_again():
    kept = faults("keep")
    if kept < 0:
        pytest.skip("not glibc")
    assert kept < faults("leave") / 2


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_pages_between_blocks_in_use_are_given_back():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    glibc, numbers = done.stdout.splitlines()
    if glibc == "0":
        pytest.skip("another C library")
    before, kept, after, alive = map(int, numbers.split())
    assert abs(kept - before) < 20 and kept - after > 100 and alive == 2000
