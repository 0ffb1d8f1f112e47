"""All that only a GPU can do for a measurement, and nothing else: events, graphs, a profiled range, its identity.

What is decided from it is decided elsewhere, where it can be tried without a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch


class Stopwatch:
    """Seconds of one call by device events, after the L2 cache was overwritten.

    The overwriting also keeps the device busy while the host enqueues the call, so that the time of a launch is hidden
    as far as it is shorter than that (some 30 µs for 120 MB).
    """

    def __init__(self, device: str):
        self.device = torch.device(device)
        size = 2 * torch.cuda.get_device_properties(self.device).L2_cache_size
        self.flush = torch.empty(size, dtype=torch.int8, device=self.device)

    def __call__(self, call: Callable[[], Any]) -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self.flush.zero_()
        start.record()
        call()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1e3


@contextmanager
def own_stream(device: str) -> Iterator[None]:
    """A stream beside the default one, on which calls are made, warmed up and captured: a graph takes no other.

    A backward pass runs on the stream of its forward pass, so both belong inside. Within another it changes nothing.
    """
    where = torch.device(device)
    if torch.cuda.current_stream(where) != torch.cuda.default_stream(where):
        yield
        return
    with torch.cuda.device(where):
        stream = torch.cuda.Stream(where)
        stream.wait_stream(torch.cuda.current_stream(where))
        with torch.cuda.stream(stream):
            yield
        torch.cuda.current_stream(where).wait_stream(stream)  # not after an error: the device may answer no more


def captured(call: Callable[[], Any]) -> Callable[[], Any]:
    """The kernels of a warm call as one CUDA graph, started by a single launch; raises what torch says if it cannot.

    A graph reads and writes the memory of the capture: whoever replays it keeps the call, and with it the operands.
    """
    stream = torch.cuda.current_stream()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        call()
    graph.replay()
    torch.cuda.synchronize()
    return graph.replay


def profiled(call: Callable[[], Any], flush: torch.Tensor) -> None:
    """One call within a profiled range, after a kernel that marks its beginning; L2 overwritten before."""
    flush.zero_()
    torch.cuda.synchronize()
    torch.cuda.profiler.start()
    torch.cuda._sleep(1)
    call()
    torch.cuda.synchronize()
    torch.cuda.profiler.stop()


def capability(device: str) -> tuple[int, int]:
    """Compute capability, (9, 0) for H100 and H200."""
    return torch.cuda.get_device_capability(device)


def uuid(device: str) -> str:
    """The identity that NVML knows the device by."""
    found = str(torch.cuda.get_device_properties(device).uuid)
    return found if found.startswith(("GPU-", "MIG-")) else f"GPU-{found}"


def wait(device: str) -> None:
    """Until all work on the device is done; at once on a CPU."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def free(device: str) -> None:
    """Give back memory that nothing uses any more: after a call that did not fit, or for another process."""
    if torch.device(device).type == "cuda":
        with suppress(RuntimeError):  # of a device that answers no more: what broke it has been said
            torch.cuda.empty_cache()
