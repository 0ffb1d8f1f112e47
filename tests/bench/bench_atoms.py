"""Speed of the reduction of token records to atoms: rows per second on one core, beside copying the same columns.

Records are synthetic (log-normal distances and counts, 2,048 tokens per document); a copy of the same columns in the
same run is the yardstick for a busy or slow machine. Prints medians and, as the last line, one JSON object.

    python tests/bench/bench_atoms.py --rows 4000000
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "analysis"))

from recallscope.slicing.attribution import attribute, report
from recallscope.slicing.attribution.atoms import atoms


def records(rows: int, length: int, seed: int = 0) -> pa.Table:
    """Records of documents of equal length, two models, window 1,024; 40 % repeats."""
    rng = np.random.default_rng(seed)
    position = np.arange(rows) % length
    near = np.minimum(np.exp(rng.normal(4.0, 1.5, rows)), position)
    distance = np.where(rng.random(rows) < 0.4, near, 0).astype(np.int32)
    last = np.where(rng.random(rows) < 0.6, distance, (distance * rng.random(rows)).astype(np.int32) + (distance > 0))
    columns = {
        "document": (np.arange(rows) // length).astype(np.int32),
        "position": position.astype(np.int32),
        "context": (position % 1024).astype(np.int32),
        "distance_2": distance,
        "opportunity": last.astype(np.int32),
        "count": np.exp(rng.normal(3.0, 3.0, rows)).astype(np.int64),
        "loss_a": rng.gamma(1.0, 3.0, rows).astype(np.float32),
        "loss_b": rng.gamma(1.0, 3.1, rows).astype(np.float32),
    }
    meta = {"format": "recallscope-records-1", "models": ["a", "b"], "ngram": 2, "window": 1024}
    meta["training_tokens"] = 20_000_000
    return pa.table(columns).replace_schema_metadata({b"recallscope": json.dumps(meta).encode()})


def seconds(function: Callable[[], Any], repeats: int) -> float:
    """Median processor time of a call, after one to warm up."""
    function()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return statistics.median(times)


def main() -> None:
    """Time the reduction in memory and from a file, the statistics, and a copy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--length", type=int, default=2048, help="tokens per document")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    table = records(arguments.rows, arguments.length)
    reduced = atoms(table)
    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "records.parquet"
        pq.write_table(table, path, compression="zstd")
        times = {
            "copy of the columns": seconds(lambda: [c.to_numpy().copy() for c in table.columns], arguments.repeats),
            "atoms in memory": seconds(lambda: atoms(table), arguments.repeats),
            "atoms from Parquet": seconds(lambda: atoms(path), arguments.repeats),
            "attribute": seconds(lambda: attribute(reduced), arguments.repeats),
            "report": seconds(lambda: report(reduced), arguments.repeats),
        }
    for name, time_taken in times.items():
        print(f"{name:<22} {time_taken:8.3f} s  {arguments.rows / time_taken / 1e6:8.1f} M rows/s")
    result = {"rows": arguments.rows, "length": arguments.length, "atoms": reduced.num_rows, "seconds": times}
    result["atoms_rows_per_second"] = round(arguments.rows / times["atoms in memory"])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
