"""Damaged files: every reader answers with what is sound, or with one line that names the trouble, and soon.

`RECALLSCOPE_FUZZ=2000 pytest tests/fuzz` tries that many damaged copies for each reader; the default is fewer.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from .mutations import damaged
from .readers import READERS, Reader, valid_files

COPIES = int(os.environ.get("RECALLSCOPE_FUZZ", "40"))
SECONDS = 5.0  # of CPU, so that a busy machine is no hang


@pytest.fixture(scope="session")
def valid(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("valid")
    valid_files(folder)
    return folder


@pytest.mark.parametrize("name", READERS)
def test_the_valid_file_is_read(name: str, valid: Path):
    READERS[name].read(valid)


@pytest.fixture
def ceiling() -> Iterator[None]:
    """No more than 2 GiB of address space beyond what the process has: a damaged size must not take the machine."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (2 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.usefixtures("ceiling")
@pytest.mark.parametrize("name", READERS)
def test_damaged_copies(name: str, valid: Path, tmp_path: Path):
    reader, rng = READERS[name], random.Random(name)
    shutil.copytree(valid, tmp_path / "copy", ignore=shutil.ignore_patterns("run"))
    whole = (valid / reader.file).read_bytes()
    refused, failed = 0, []
    for k in range(COPIES):
        data = damaged(whole, rng)
        (tmp_path / "copy" / reader.file).write_bytes(data)
        said = _trouble(reader, tmp_path / "copy")
        refused += said == "refused"
        if said not in ("refused", "read"):
            failed.append((k, said, data[:200]))
    assert not failed, f"{len(failed)} of {COPIES}: {failed[:3]}"
    assert refused, "a damaged file was never refused: the copies are not damaged, or nothing is checked"


def _trouble(reader: Reader, folder: Path) -> str:
    begun = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            reader.read(folder)
        said = "read"
    except ValueError as error:
        said = "refused" if str(error).strip() else "ValueError without a word"
        if type(error) is not ValueError:
            said = f"{type(error).__name__}: {error}"
    except Exception as error:
        said = f"{type(error).__name__}: {str(error)[:200]}"
    took = time.process_time() - begun
    return said if took < SECONDS else f"{said}, after {took:.1f} s"
