"""What runs on a worker: the step that was sent there, over the shards that come."""

from __future__ import annotations

import json
import os
import platform
from typing import Any

from recallscope.disk import own_temporary_names


class Worker:
    """Opens what was sent with the first shard, so that failing to is an answer and not a dead worker.

    `sent` are the bytes of a function that makes a step; `home` is the folder the run was started in, for relative
    paths; `threads` are those of torch, unless the environment says how many.
    """

    def __init__(self, sent: bytes, home: str, threads: int) -> None:
        self.sent = sent
        self.step: Any = None
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # before torch is imported
        own_temporary_names()
        if os.path.isdir(home):
            os.chdir(home)

    def work(self, shard: int) -> str:
        """Do one shard; JSON: the tokens `done` and the `lines` to tell, or why it was `refused`, or what of the disk
        `failed`."""
        done = 0

        def advance(tokens: int) -> None:
            nonlocal done
            done += tokens

        try:
            if self.step is None:
                self.step = self._opened()
            lines = self.step(shard, advance)
        except ValueError as error:
            return json.dumps({"refused": str(error)})
        except OSError as error:
            told = error.strerror or str(error)
            return json.dumps({"failed": [error.errno, f"{told} (on {platform.node()})", error.filename]}, default=str)
        return json.dumps({"done": done, "lines": lines})

    def _opened(self) -> Any:
        import daft.pickle  # pyright: ignore[reportMissingImports]

        try:
            make = daft.pickle.loads(self.sent)
        except (ImportError, AttributeError) as error:
            raise ValueError(
                f"engine: what a worker on {platform.node()} was sent cannot be opened there ({error}); every machine "
                "needs the same packages, and a callable model must come from a script, a notebook or one of these"
            ) from None
        return make()
