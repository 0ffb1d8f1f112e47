"""A step over many shards by Daft: natively on this machine, or on Ray."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from recallscope.slicing.engines.cluster import Shares, connected, shares
from recallscope.slicing.engines.engine import Engine, Step
from recallscope.slicing.engines.quiet import be_quiet
from recallscope.slicing.engines.worker import Worker

RUNNERS = {"daft": "native", "ray": "ray"}


def on_workers(
    engine: Engine, make: Callable[[], Step], items: Sequence[int], gpu: bool
) -> Iterator[tuple[int, list[str]]]:
    """Tokens done and lines to tell of each shard, as the shards get finished."""
    be_quiet()
    import daft  # pyright: ignore[reportMissingImports]

    share = _prepared(engine, gpu)
    share = Shares(min(share.workers, len(items)), share.cpus, share.gpus)
    cpus = share.cpus if engine.name == "ray" else None
    kind: Any = daft.cls(Worker, max_concurrency=share.workers, gpus=share.gpus, cpus=cpus, use_process=True)
    worker = kind(_sent(make), os.getcwd(), share.cpus)
    frame = daft.from_pydict({"shard": list(items)})
    frame = frame.into_partitions(len(items)) if engine.name == "ray" else frame.into_batches(1)
    answers = frame.select(worker.work(frame["shard"]).alias("said"))
    for row in answers.iter_rows(results_buffer_size=None):
        yield _answer(json.loads(row["said"]))


def _prepared(engine: Engine, gpu: bool) -> Shares:
    """Have Daft's runner ready. It keeps the first one for as long as the process lives."""
    import daft  # pyright: ignore[reportMissingImports]
    from daft.runners import _get_runner  # pyright: ignore[reportMissingImports]

    runner, wanted = _get_runner(), RUNNERS[engine.name]
    if runner is not None and runner.name != wanted:
        raise ValueError(f"engine: Daft's {runner.name} runner is in use, {engine.name} needs a new Python process")
    if engine.name == "ray":
        connected()
        found = shares(engine.workers, gpu)
        if runner is None:
            daft.set_runner_ray(noop_if_initialized=True)
        return found
    if runner is None:
        daft.set_runner_native()
    workers = engine.workers or 1
    return Shares(workers, max((os.cpu_count() or 1) // workers, 1), int(gpu))


def _sent(make: Callable[[], Step]) -> bytes:
    import daft.pickle  # pyright: ignore[reportMissingImports]

    try:
        return daft.pickle.dumps(make)
    except Exception as error:  # whatever an object raises that cannot be pickled
        raise ValueError(
            f"engine: a worker cannot be sent what this run was given ({type(error).__name__}: {error}); give models "
            "by name or folder and text as a path, or use engine local"
        ) from None


def _answer(said: dict[str, Any]) -> tuple[int, list[str]]:
    if "refused" in said:
        raise ValueError(said["refused"])
    if "failed" in said:
        raise OSError(*said["failed"])
    return said["done"], said["lines"]
