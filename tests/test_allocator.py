"""Freed memory: kept, until it is given back."""

from __future__ import annotations

import subprocess
import sys

import pytest

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


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_pages_between_blocks_in_use_are_given_back():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    glibc, numbers = done.stdout.splitlines()
    if glibc == "0":
        pytest.skip("another C library")
    before, kept, after, alive = map(int, numbers.split())
    assert abs(kept - before) < 20 and kept - after > 100 and alive == 2000
