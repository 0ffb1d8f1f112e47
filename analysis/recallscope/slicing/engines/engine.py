"""One switch: the same steps over the same files, here or on workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

Advance = Callable[[int], None]
Step = Callable[[int, Advance], list[str]]
"""Works on one shard, named by its number: reads its files, writes its result under a temporary name, renames it;
calls `advance` with the tokens done; returns lines worth telling."""

ENGINES = ("local", "daft", "ray")
INSTALL = "pip install ray -c constraints.txt; pip install --no-deps daft -c constraints.txt"
"""Daft without its dependencies: it asks for a pyarrow below 26, works with 26.0.1, and the held-out text is that's."""
PACKAGES = {"local": (), "daft": ("daft",), "ray": ("daft", "ray")}


@dataclass(frozen=True)
class Engine:
    """Where steps run.

    Attributes
    ----------
    name : {"local", "daft", "ray"}
        This process; Daft's native runner on this machine; Daft's Ray runner, on the cluster that RAY_ADDRESS names, or
        on a Ray that is started on this machine and ends with this process.
    workers : int or None
        Workers, each with a model of its own. None: one; on Ray one for each GPU if the models are to run there, else
        one for each machine.
    gpu : bool
        Whether a worker with a model needs a GPU.
    """

    name: str = "local"
    workers: int | None = None
    gpu: bool = False

    def parts(self) -> int:
        """Workers of a step that needs no GPU."""
        if self.name != "ray":
            return self.workers or 1
        from recallscope.slicing.engines.cluster import connected, shares

        connected()
        return shares(self.workers, False).workers

    def map(
        self,
        make: Callable[[], Step],
        shards: Sequence[int],
        advance: Advance,
        log: Callable[[str], Any],
        models: bool = False,
    ) -> None:
        """Make a step wherever it runs, once for each worker, and have every shard worked on once.

        Whatever `make` refers to travels to the workers; what a step returns, and how many tokens it did, travels back.
        `models`: each worker holds a model. Raises the `ValueError` or `OSError` of the first shard that failed; shards
        that were finished before keep their files.
        """
        if not shards:
            return
        if self.name == "local":
            step = make()
            for shard in shards:
                for line in step(shard, advance):
                    log(line)
            return
        from recallscope.slicing.engines.workers import on_workers

        for done, lines in on_workers(self, make, shards, models and self.gpu):
            advance(done)
            for line in lines:
                log(line)


LOCAL = Engine()


def engine_of(name: str, workers: int | None = None, device: str = "cpu") -> Engine:
    """The engine of this name; `ValueError` for one that does not exist, is not installed, or cannot have `workers`, or
    workers on this torch `device`."""
    if name not in ENGINES:
        raise ValueError(f"engine: one of {', '.join(ENGINES)}, got {name!r}")
    if workers is not None and workers < 1:
        raise ValueError(f"workers: at least 1, got {workers}")
    if name == "local" and (workers or 1) > 1:
        raise ValueError(f"workers: the local engine is this process alone; engine daft or ray for {workers} workers")
    missing = [package for package in PACKAGES[name] if find_spec(package) is None]
    if missing:
        raise ValueError(f"engine: {name} needs the extra [scale] ({' and '.join(missing)} not installed); {INSTALL}")
    if name != "local" and device not in ("cpu", "cuda"):
        raise ValueError(f"device: cpu or cuda, one GPU for each worker, with engine {name}, got {device!r}")
    return Engine(name, workers, device == "cuda")
