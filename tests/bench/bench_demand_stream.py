"""Demand curves for all capacities over a long stream on disk: time and peak memory, at once and ten times the tokens.

    python tests/bench/bench_demand_stream.py                       # 1 M and 10 M Zipf tokens, with numba and without
    python tests/bench/bench_demand_stream.py --vocabulary 300      # more repeats

Every repeat is a hit. Documents have at most 20,000 tokens, so that the longest is the same for both sizes; row groups
have about 500,000. Each measurement is a process of its own: wall and CPU seconds of `demand` alone, and the peak of
resident memory of the whole process beside that of the imports. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "analysis"))
from recallscope.slicing.tagging import tag

ANALYSIS = str(Path(__file__).resolve().parents[2] / "analysis")
LONGEST = 20_000
CHILD = """
import json, resource, sys, time
import recallscope.bounds.demand as demand
import recallscope.slicing.tagging.tags, recallscope.slicing.attribution.thresholds, pyarrow.parquet
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, wall, cpu = peak(), time.perf_counter(), time.process_time()
found = demand.demand(sys.argv[1])
print(json.dumps({"wall s": time.perf_counter() - wall, "CPU s": time.process_time() - cpu, "imports MiB": before,
                  "peak MiB": peak(), "tokens": found.tokens, "hits, share": found.hits / found.tokens}))
"""


def write_stream(path: Path, size: int, vocabulary: int) -> None:
    """Tagged Zipf tokens, one row group after another."""
    rng = np.random.default_rng(0)
    weights = np.cumsum(1 / np.arange(1, vocabulary + 1))
    writer, first = None, 0
    for _ in range(size // 500_000):
        tokens = np.searchsorted(weights / weights[-1], rng.random(500_000)).clip(max=vocabulary - 1)
        lengths = np.minimum(rng.lognormal(8, 1, 2000).astype(np.int64) + 1, LONGEST)
        starts = np.cumsum(lengths) - lengths
        starts = starts[starts < tokens.size]
        local = np.repeat(np.arange(starts.size), np.diff(starts, append=tokens.size))
        columns = {"document": first + local, "position": np.arange(tokens.size) - starts[local]}
        table = pa.table(columns | {"distance_2": tag(tokens, starts, cap=1)["distance_2"]})
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
        first += starts.size
    assert writer
    writer.close()


def measured(path: Path, numba: str) -> dict[str, Any]:
    environment = os.environ | {"RECALLSCOPE_NUMBA": numba, "PYTHONPATH": ANALYSIS}
    done = subprocess.run([sys.executable, "-c", CHILD, str(path)], env=environment, capture_output=True, check=True)
    return {name: round(value, 3) for name, value in json.loads(done.stdout).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=10_000_000, help="of the longer stream")
    parser.add_argument("--vocabulary", type=int, default=50_257)
    options = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in (options.tokens // 10, options.tokens):
            path = Path(folder) / f"{size}.parquet"
            write_stream(path, size, options.vocabulary)
            for engine, numba in (("numba", "1"), ("python", "0")):
                found[f"{size / 1e6:g} M tokens, {engine}"] = measured(path, numba)
    for name, row in found.items():
        print(f"{name:<28}" + "".join(f"{key} {value:,.5g}   " for key, value in row.items()))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
