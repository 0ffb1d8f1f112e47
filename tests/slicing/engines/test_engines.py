"""Daft and Ray give what the local path gives, whole or killed; and their errors are one line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.folder import save_model
from recallscope.architectures.model import LanguageModel
from recallscope.slicing.attribution import read_atoms
from recallscope.slicing.records import read_records

from ..segments.tokenizers_here import byte_level
from . import scenarios

SCRIPT = Path(scenarios.__file__)
KINDS = {"daft": ("plain", "mixed", "losses", "refused"), "ray": ("plain", "mixed")}  # Ray is slow
ENGINES = [
    pytest.param(name, marks=pytest.mark.skipif(find_spec(name) is None, reason=f"needs {name}")) for name in KINDS
]
GOING_ON = [
    pytest.param(name, then, marks=pytest.mark.skipif(not all(map(find_spec, needed)), reason=f"needs {needed}"))
    for name, then in (("daft", "local"), ("ray", "local"), ("daft", "ray"), ("ray", "daft"))
    if (needed := {name, then} - {"local"})
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What the scenarios read, and what they give locally."""
    here = tmp_path_factory.mktemp("engines")
    for seed, (name, ids) in enumerate({"coarse": 420, "fine": 300}.items()):
        tokenizer = byte_level(ids)
        torch.manual_seed(seed)
        shape = ModelConfig(tokenizer.vocabulary, 16, ({"mixer": "attention", "heads": 2},) * 2, ffn_width=32)
        save_model(LanguageModel(shape), here / name, torch.float32)
        tokenizer.backend.save(str(here / name / "tokenizer.json"))
    scenarios.plain(here, here / "plain-local")
    table = read_records(here / "plain-local").table(["document", "position", "token", "loss_forgetful"])
    pq.write_table(table, here / "forgetful.parquet")
    for kind in ("mixed", "losses"):
        scenarios.SCENARIOS[kind](here, here / f"{kind}-local")
    return here


def command(engine: str, folder: Path, *wanted: str, workers: int = 2) -> list[str]:
    warnings = ["-W", "error", "-W", "ignore::ResourceWarning"]  # Daft and Ray leave pipes and processes to themselves
    return [sys.executable, *warnings, str(SCRIPT), engine, str(workers), str(folder), *wanted]


def skip_without_ray(stderr: str) -> None:
    """Ray gives its agents 15 seconds to start in, which other tests beside it may take up."""
    if "Ray does not start on this machine" in stderr:
        pytest.skip("Ray did not start in three attempts")


@pytest.fixture(scope="module", params=ENGINES)
def engine(request, folder) -> str:
    """The name of an engine that has run every scenario with two workers, in one process."""
    done = subprocess.run(
        command(request.param, folder, *KINDS[request.param]), capture_output=True, text=True, timeout=900
    )
    skip_without_ray(done.stderr)
    assert done.returncode == 0, done.stderr
    assert not done.stdout and "Warning" not in done.stderr and "%|" not in done.stderr  # nor bars of theirs
    return request.param


def same(one: Path, other: Path) -> None:
    """Integers equal to the bit, sums to 1e-12."""
    for left, right in (
        (read_records(p).table() for p in (one, other)),
        (read_atoms(p / "atoms.parquet") for p in (one, other)),
    ):
        assert left.schema.equals(right.schema, check_metadata=True) and len(left) == len(right) > 100
        for field in left.schema:
            if pa.types.is_floating(field.type):
                assert np.abs(left[field.name].to_numpy() - right[field.name].to_numpy()).max() <= 1e-12
            else:
                assert left[field.name].equals(right[field.name]), field.name
    assert json.loads((one / "report.json").read_text()) == json.loads((other / "report.json").read_text())


def test_the_same_records_and_atoms_as_locally(engine, folder):
    for kind in KINDS[engine]:
        if kind == "refused":  # what a worker refuses is one line
            said = (folder / f"refused-{engine}.error").read_text()
            assert said.startswith("model broken: loss NaN at token") and "\n" not in said
        else:
            same(folder / f"{kind}-local", folder / f"{kind}-{engine}")
            assert not (folder / f"{kind}-{engine}" / "work").exists()


def losses_of(out: Path) -> int:
    return len(list((out / "work").rglob("losses-*.npy")))


@pytest.mark.parametrize(("name", "then"), GOING_ON)
def test_killed_and_gone_on_with_otherwise(name, then, folder, tmp_path):
    """`kill -9` while a worker scores; the workers may live a little longer."""
    for file in ("coarse", "fine"):
        (tmp_path / file).symlink_to(folder / file)
    out = tmp_path / f"mixed-{name}"
    with open(tmp_path / "stderr", "w") as stderr:
        process = subprocess.Popen(command(name, tmp_path, "mixed"), stdout=subprocess.DEVNULL, stderr=stderr)
    deadline = time.monotonic() + 300
    while not losses_of(out) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    skip_without_ray((tmp_path / "stderr").read_text())
    process.kill()
    assert process.wait() == -signal.SIGKILL and losses_of(out) and not (out / "records.parquet").exists()
    if then == "local":
        scenarios.mixed(tmp_path, out)
    else:
        out = out.rename(tmp_path / f"mixed-{then}")
        done = subprocess.run(command(then, tmp_path, "mixed"), capture_output=True, text=True, timeout=900)
        skip_without_ray(done.stderr)
        assert done.returncode == 0, done.stderr
    same(folder / "mixed-local", out)
