"""Every change that a process makes to the disk as points to kill it at: before, after, in the middle of a write."""

from __future__ import annotations

import builtins
import io
import os
import random
import shutil
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

CHANGES = ("replace", "rename", "unlink", "remove", "rmdir", "mkdir", "fsync")
OPENED = builtins.open


class Points:
    """Counts the points of this process, and at number `fatal` (from 1) sends it SIGKILL; 0 only counts."""

    def __init__(self, fatal: int, seed: int = 0) -> None:
        self.seen, self.fatal, self.random = 0, fatal, random.Random(seed)

    def __enter__(self) -> Points:
        for name in CHANGES:
            setattr(os, name, self._around(getattr(os, name), self._half_written if name == "replace" else None))
        builtins.open = io.open = self._open  # type: ignore[assignment]  # pathlib calls the one, code the other
        return self

    def __exit__(self, *error: Any) -> None:
        """Nothing: the process ends with the block."""

    def _here(self, prepare: Callable[[], Any] = lambda: None) -> None:
        self.seen += 1
        if self.seen == self.fatal:
            prepare()
            os.kill(os.getpid(), signal.SIGKILL)

    def _around(self, change: Callable[..., Any], middle: Callable[[Any], None] | None) -> Callable[..., Any]:
        def changed(*arguments: Any, **options: Any) -> Any:
            if middle:
                self._here(partial(middle, arguments[0]))
            self._here()
            result = change(*arguments, **options)
            self._here()
            return result

        return changed

    def _half_written(self, temporary: Any) -> None:
        """As if the process had died while it wrote the file that it is about to rename, by whatever library."""
        with OPENED(temporary, "r+b") as file:
            file.truncate(self.random.randrange(os.path.getsize(temporary) + 1))

    def _open(self, file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        writes = set(mode) & set("wax+") and not isinstance(file, int)
        if writes:
            self._here()
        opened = OPENED(file, mode, *arguments, **options)
        if writes:
            self._here()
        return opened


def swept(folder: Any) -> None:
    """Remove a folder without passing a point."""
    shutil.rmtree(folder, ignore_errors=True)
