"""The child process of `counting`: warm calls, each once in a profiled range; it says on stdout how each went."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import torch

from recallscope_kernels.profiling import gpu
from recallscope_kernels.profiling.calls import Setting, call_of
from recallscope_kernels.profiling.counting import SIZE
from recallscope_kernels.profiling.measure import reason


def main(settings: list[Setting], device: str) -> None:
    """Call each setting, the known product first."""
    flush, product = _operands(device)
    _say(product, flush)
    for setting in settings:
        _say(lambda setting=setting: call_of(setting), flush)
        gpu.free(device)


def _operands(device: str) -> tuple[torch.Tensor, Callable[[], Callable[[], Any]]]:
    flush = torch.empty(2 * torch.cuda.get_device_properties(device).L2_cache_size, dtype=torch.int8, device=device)
    x, y = (torch.randn(SIZE, SIZE, device=device, dtype=torch.bfloat16) for _ in range(2))
    return flush, lambda: lambda: torch.mm(x, y)


def _say(make: Callable[[], Callable[[], Any]], flush: torch.Tensor) -> None:
    try:
        call = make()
        for _ in range(2):  # tuning and compiling are no part of the call
            call()
    except Exception as error:  # a library's own refusals are of any kind
        print(json.dumps({"reason": reason(error)}), flush=True)
        return
    gpu.profiled(call, flush)
    print(json.dumps({"reason": None}), flush=True)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    with torch.cuda.device(given["device"]):
        main([Setting.of_json(found) for found in given["settings"]], given["device"])
