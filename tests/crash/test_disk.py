"""Full disks, folders that cannot be written, inputs that go away, clocks that jump: one line, nothing lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from recallscope.bundled import bundled_tokenizer
from recallscope.cli import main
from recallscope.disk import replaced
from recallscope.progress import estimated, progress_bar
from recallscope.slicing.run import slice_text
from recallscope.slicing.scoring import Windowing
from recallscope.slicing.settings import SliceSettings
from safetensors.torch import save_file

SETTINGS = SliceSettings(Windowing(32, 32), shard_tokens=300)
TEXT = [f"the cat sat on the mat {k} times and the dog ran " * 6 for k in range(12)]
OUTPUTS = ("records.parquet", "atoms.parquet", "report.json", "report.html")


def one(ids: np.ndarray) -> np.ndarray:
    return (ids[:, 1:] % 97 / 10).astype(np.float32)


def two(ids: np.ndarray) -> np.ndarray:
    return one(ids) + (ids[:, 1:] % 3 == 0)


def run(out: Path, text: Any = None, models=(one, two), **options) -> None:
    slice_text(list(models), text or TEXT, out, tokenizer=bundled_tokenizer(), settings=SETTINGS, **options)


def outputs(out: Path) -> list[bytes]:
    return [(out / name).read_bytes() for name in OUTPUTS]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "out"
    run(folder)
    return folder


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes file systems of so many KiB; a later call makes the same one larger."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def sized(kilobytes: int) -> Path:
        kind = ["-o", f"remount,size={kilobytes}k"] if os.path.ismount(folder) else ["-t", "tmpfs", "tmpfs"]
        mounted = subprocess.run(
            ["mount", *kind, str(folder), *([] if kind[0] == "-o" else ["-o", f"size={kilobytes}k"])]
        )
        if mounted.returncode:
            pytest.skip("only root, with the right to mount, makes a small file system")
        return folder

    yield sized
    if os.path.ismount(folder):
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


VALUES = np.random.default_rng(0).random(100_000)
WRITERS: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("x" * 800_000),
    "numpy": lambda path: _with_file(path, lambda file: np.save(file, VALUES)),
    "numpy, several": lambda path: _with_file(path, lambda file: np.savez(file, a=VALUES)),
    "Parquet": lambda path: pq.write_table(pa.table({"a": VALUES}), path),
    "safetensors": lambda path: save_file({"a": torch.from_numpy(VALUES)}, path),
    "torch": lambda path: torch.save({"a": torch.from_numpy(VALUES)}, path),
}


def _with_file(path: Path, write: Callable) -> None:
    with open(path, "wb") as file:
        write(file)


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_names_the_file_keeps_the_old_one_and_leaves_no_piece(name: str, tiny_disk):
    folder = tiny_disk(256)
    (folder / "a").write_text("old")
    with pytest.raises(OSError) as refused, replaced(folder / "a") as temporary:
        WRITERS[name](temporary)
    assert refused.value.errno == errno.ENOSPC and refused.value.filename == str(folder / "a")
    assert (folder / "a").read_text() == "old" and [*folder.iterdir()] == [folder / "a"]
    with replaced(folder / "b") as temporary:  # the room is given back
        temporary.write_text("x" * 100_000)


def test_other_errors_pass_as_they_are(tmp_path: Path):
    (tmp_path / "a").write_text("old")
    for error in (RuntimeError("no disk"), ValueError("bad"), FileNotFoundError(2, "gone", "input.txt")):
        with pytest.raises(type(error)) as raised, replaced(tmp_path / "a") as temporary:
            temporary.write_text("half")
            raise error
        assert raised.value is error
    assert [*tmp_path.iterdir()] == [tmp_path / "a"] and (tmp_path / "a").read_text() == "old"


def test_a_run_on_a_full_disk_goes_on_when_there_is_room(whole: Path, tiny_disk, capsys):
    stopped: list[str] = []
    folder = tiny_disk(8)
    for size in (8, 16, 24, 40, 64, 100, 160):
        tiny_disk(size)
        try:
            run(folder / "out")
        except OSError as error:
            assert error.errno == errno.ENOSPC
            stopped.append(Path(error.filename).name)
    assert len(set(stopped)) >= 4, f"stopped at {stopped} only"
    tiny_disk(10_000)
    run(folder / "out")
    assert outputs(folder / "out") == outputs(whole)
    assert sorted(path.name for path in (folder / "out").iterdir()) == sorted(path.name for path in whole.iterdir())


def said(arguments: list[str], capsys) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert isinstance(stopped.value.code, int)
    return stopped.value.code, capsys.readouterr().err


def test_the_command_line_says_it_in_one_line(tiny_disk, tmp_path: Path, capsys):
    np.save(tmp_path / "text.npy", np.random.default_rng(0).integers(0, 4096, 20_000))
    folder = tiny_disk(8)
    code, line = said(["tag", "--text", str(tmp_path / "text.npy"), "--out", str(folder / "tags.parquet")], capsys)
    assert (
        code == 1 and line == f"recallscope: {folder}/tags.parquet: No space left on device; what is finished is kept\n"
    )


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Callable[[Path], Path]]:
    """The same folder at another place, where even root cannot write."""
    places: list[Path] = []

    def bound(folder: Path) -> Path:
        place = tmp_path / f"read-only-{len(places)}"
        place.mkdir()
        if subprocess.run(["mount", "--bind", str(folder), str(place)]).returncode:
            pytest.skip("only root, with the right to mount, makes a folder that root cannot write")
        places.append(place)
        subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], check=True)
        return place

    yield bound
    for place in places:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_read_only_folder_is_named_and_a_finished_run_in_one_is_read(read_only, whole: Path, tmp_path: Path, capsys):
    (tmp_path / "empty").mkdir()
    place = read_only(tmp_path / "empty")
    for command in (
        ["slice"],
        ["train", "lm", "attention"],
        ["train", "budgets"],
        ["train", "task", "pooling", "--scale", "smoke"],
    ):
        code, line = said([*command, "--out", str(place / "out")], capsys)
        assert code == 1 and line.endswith(
            f"recallscope: {place}/out: Read-only file system; what is finished is kept\n"
        )
    place = read_only(whole)
    run(place)
    assert outputs(place) == outputs(whole)


def test_text_that_goes_away_is_named_and_what_was_scored_stays(whole: Path, tmp_path: Path):
    folder = tmp_path / "text"
    folder.mkdir()
    for number, words in enumerate(TEXT):
        (folder / f"{number:02}.txt").write_text(words)
    run(tmp_path / "undisturbed", folder)

    def takes_a_file_away(ids: np.ndarray) -> np.ndarray:
        shutil.move(folder / "07.txt", tmp_path / "07.txt")
        raise KeyboardInterrupt

    takes_a_file_away.__name__ = "two"
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out", folder, (one, takes_a_file_away))
    scored = len([*(tmp_path / "out" / "work").glob("losses-one-*")])
    with pytest.raises(ValueError, match="holds a different run"):
        run(tmp_path / "out", folder)
    assert scored and len([*(tmp_path / "out" / "work").glob("losses-one-*")]) == scored
    shutil.move(tmp_path / "07.txt", folder / "07.txt")
    run(tmp_path / "out", folder)
    assert outputs(tmp_path / "out") == outputs(tmp_path / "undisturbed")


def test_a_file_that_goes_while_it_is_read_is_one_line(tmp_path: Path, monkeypatch, capsys):
    from recallscope.slicing import sources

    folder = tmp_path / "text"
    folder.mkdir()
    for number, words in enumerate(TEXT):
        (folder / f"{number:02}.txt").write_text(words)
    read = sources.read_documents

    def vanishing(source):
        for document in read(source):
            (folder / "07.txt").unlink(missing_ok=True)
            yield document

    monkeypatch.setattr(sources, "read_documents", vanishing)
    code, line = said(["slice", "--text", str(folder), "--out", str(tmp_path / "out")], capsys)
    assert code in (1, 2) and len(line.splitlines()) == 1 and "07.txt" in line


def test_clocks_that_jump_change_no_result_and_no_estimate(whole: Path, tmp_path: Path, monkeypatch):
    times = iter([*np.cumsum(np.random.default_rng(0).choice([-86_400.0, 1e9, 3600.0], 100_000)).tolist()])
    monkeypatch.setattr(time, "time", lambda: next(times))
    lines: list[str] = []
    run(tmp_path / "out", log=lines.append)
    assert outputs(tmp_path / "out") == outputs(whole)
    lines.clear()
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with progress_bar("score", 300, tmp_path / "beat.json", show=False) as advance:
        counted = estimated(advance, "one", [300, 100], lines.append)
        counted(100)
    assert json.loads((tmp_path / "beat.json").read_text())["tokens_per_second"] == pytest.approx(100 / 40)
    assert lines == ["score one: 5 tokens/s; about 1.0 minutes left, all models as fast as this one"]


@pytest.mark.parametrize("when", [0, 4_000_000_000])
def test_times_of_files_in_past_and_future_identify_them(when: int, tmp_path: Path):
    file = tmp_path / "text.txt"
    file.write_text("\n\n".join(TEXT))
    os.utime(file, (when, when))
    run(tmp_path / "out", file)
    before = outputs(tmp_path / "out")
    run(tmp_path / "out", file)
    assert outputs(tmp_path / "out") == before
    os.utime(file, (when + 1, when + 1))
    with pytest.raises(ValueError, match="differs in text"):
        run(tmp_path / "out", file)


HOLDER = """
import sys, time
from recallscope.disk import locked
with locked(sys.argv[1], file=sys.argv[2]):
    print("in", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen]]:
    """A folder in which another process works."""
    with _held(tmp_path / "held", ".lock") as found:
        yield found


@contextmanager
def _held(folder: Path, file: str) -> Iterator[tuple[Path, subprocess.Popen]]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder), file], stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline() == b"in\n"
    try:
        yield folder, process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_two_runs_in_one_folder_are_refused_and_a_dead_one_keeps_nobody_out(held, whole: Path, capsys):
    folder, process = held
    in_use = f"{folder} is in use by process {process.pid} on {os.uname().nodename}; wait until it has ended"
    for command in (
        ["slice"],
        ["train", "lm", "attention"],
        ["train", "budgets"],
        ["train", "task", "pooling", "--scale", "smoke"],
    ):
        code, line = said([*command, "--out", str(folder)], capsys)
        assert code == 2 and in_use in line.splitlines()[-1]
    assert [path.name for path in folder.iterdir()] == [".lock"]
    process.kill()
    process.wait()
    assert [path.name for path in folder.iterdir()] == [".lock"]
    run(folder)
    assert outputs(folder) == outputs(whole) and not (folder / ".lock").exists()


def test_two_trainings_of_one_recurrent_run_are_refused_and_two_runs_are_not(tmp_path: Path):
    from recallscope.training.recurrent.runs import copy_run, train_runs

    run_ = copy_run(False, 0)
    with _held(tmp_path, f".{run_.name}.lock") as (folder, process):
        with pytest.raises(ValueError, match=f"folder: {folder} is in use by process {process.pid}"):
            train_runs([run_], folder)
        assert train_runs([run_], folder, train=False) == []  # looking on is allowed


def test_threads_of_one_process_keep_each_other_out(tmp_path: Path):
    from recallscope.disk import locked

    with locked(tmp_path / "made"):
        with pytest.raises(ValueError, match=f"out: .* is in use by process {os.getpid()} on "):
            with locked(tmp_path / "made"):
                pass
        with locked(tmp_path / "made", file=".part.lock"):
            pass
    assert not (tmp_path / "made").exists()
