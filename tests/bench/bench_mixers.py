"""Forward and backward of mixers against softmax attention: `python tests/bench/bench_mixers.py [NAME...]`.

Batch 4, 1,024 tokens, width 256, the mixers' own defaults, float32. Prints the median of ratios, each of two runs side
by side, then the median time.
"""

from __future__ import annotations

import statistics
import sys
import time

import torch
from recallscope.architectures.mixers import MIXERS

BATCH, TIME, WIDTH, ROUNDS = 4, 1024, 256, 5


def once(mixer: torch.nn.Module, x: torch.Tensor) -> float:
    started = time.perf_counter()
    mixer(x).sum().backward()
    return time.perf_counter() - started


def main() -> None:
    x = torch.randn(BATCH, TIME, WIDTH, requires_grad=True)
    attention = MIXERS["attention"](WIDTH)
    print(f"{'mixer':<24}{'times attention':>16}{'ms':>10}{'parameters':>12}{'state at 1,024':>16}")
    for name in sys.argv[1:] or MIXERS:
        mixer = MIXERS[name](WIDTH)
        once(attention, x)
        once(mixer, x)
        pairs = [(once(attention, x), once(mixer, x)) for _ in range(ROUNDS)]
        ratio = statistics.median(own / other for other, own in pairs)
        own = statistics.median(own for _, own in pairs)
        sizes = f"{mixer.parameters_count():>12,}{mixer.state_elements(TIME):>16,}"
        print(f"{name:<24}{ratio:>16.2f}{own * 1e3:>10.0f}{sizes}", flush=True)


if __name__ == "__main__":
    main()
