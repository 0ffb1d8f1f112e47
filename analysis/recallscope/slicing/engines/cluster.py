"""The Ray cluster: how it is reached, and what a worker gets of it."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recallscope.slicing.engines.quiet import QUIET, be_quiet

STORE = 100_000_000
"""Bytes of shared memory for a Ray of our own: only numbers and paths pass through it."""


@dataclass(frozen=True)
class Shares:
    """So many workers, each with so many CPUs, and a GPU or none."""

    workers: int
    cpus: int
    gpus: int


def connected() -> None:
    """Connect to the cluster that RAY_ADDRESS names, or start a Ray on this machine, unless one is in use already."""
    be_quiet()
    import ray  # pyright: ignore[reportMissingImports]

    if ray.is_initialized():
        return
    silent: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if os.environ.get("RAY_ADDRESS"):
        try:
            ray.init(runtime_env={"env_vars": dict(QUIET)}, **silent)
        except (ConnectionError, RuntimeError, ValueError) as error:
            address = os.environ["RAY_ADDRESS"]
            raise ValueError(f"engine: no Ray cluster answers at {address} ({str(error).splitlines()[0]})") from None
    else:
        _start(include_dashboard=False, object_store_memory=STORE, num_cpus=os.cpu_count() or 1, **silent)


def _start(**options: Any) -> None:
    """A Ray on this machine, whose processes inherit this one's environment.

    Ray gives them 15 and 30 seconds to start in, which on a busy machine are too few: hence three attempts.
    """
    import ray  # pyright: ignore[reportMissingImports]

    os.environ.setdefault("RAY_worker_niceness", "0")  # 15 unless told: beside any other work they would hardly run
    for attempt in range(3):
        try:
            ray.init(**options)
            return
        except Exception as error:  # of no class of its own
            ray.shutdown()
            if attempt == 2:
                why = str(error).splitlines()[0]
                raise ValueError(f"engine: Ray does not start on this machine ({why})") from None


def shares(workers: int | None, gpu: bool) -> Shares:
    """What each of the workers gets of the cluster; `ValueError` if it has no room for so many."""
    import ray  # pyright: ignore[reportMissingImports]

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return divided([(int(node.get("CPU", 0)), int(node.get("GPU", 0))) for node in nodes], workers, gpu)


def divided(nodes: Sequence[tuple[int, int]], workers: int | None, gpu: bool) -> Shares:
    """The largest equal shares of machines with these CPUs and GPUs; each worker has its CPUs on one machine."""

    def room(cpus: int) -> int:
        return sum(min(have // cpus, gpus) if gpu else have // cpus for have, gpus in nodes)

    most = room(1)
    if workers is None:
        workers = most if gpu else sum(have > 0 for have, _ in nodes)
    if not 1 <= workers <= most:
        raise ValueError(
            f"workers: this cluster has {'GPUs' if gpu else 'CPUs'} for {most}, got {workers}; "
            + ("each worker needs a GPU and a CPU" if gpu else "each worker needs a CPU")
        )
    cpus = max(c for c in range(1, max(have for have, _ in nodes) + 1) if room(c) >= workers)
    return Shares(workers, cpus, int(gpu))
