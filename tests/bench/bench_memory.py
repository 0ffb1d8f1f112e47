"""Peak memory of a whole slicing run on a corpus and on one ten times larger; cheap callables stand in for models.

    python tests/bench/bench_memory.py [--documents 150] [--words 3000]

Each run is a process of its own; its peak resident size is the kernel's. Last line of stdout: one JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile

CODE = """
import json, resource, sys, time
import numpy as np
from recallscope.bundled import bundled_tokenizer
from recallscope.slicing.run import slice_text
from recallscope.slicing.scoring import Windowing
from recallscope.slicing.settings import SliceSettings

def steady(ids):
    return (ids[:, 1:] % 97 / 10).astype(np.float32)

def other(ids):
    return steady(ids) + (ids[:, 1:] % 3 == 0)

started = time.perf_counter()
records = slice_text([steady, other], sys.argv[1], sys.argv[2], tokenizer=bundled_tokenizer(),
                     training_text=sys.argv[1], show_progress=False)
import pyarrow.parquet as pq
rows = pq.ParquetFile(records.path).metadata.num_rows
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"tokens": rows, "peak_bytes": peak, "seconds": time.perf_counter() - started}))
"""


def write_corpus(path: str, documents: int, words: int) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    vocabulary = [f"word{k}" for k in range(2000)]
    weights = 1 / np.arange(1, 2001)
    with open(path, "w") as file:
        for _ in range(documents):
            text = " ".join(rng.choice(vocabulary, words, p=weights / weights.sum()))
            file.write(json.dumps({"text": text}) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=150)
    parser.add_argument("--words", type=int, default=3000)
    arguments = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for factor in (1, 10):
            path = f"{folder}/text{factor}.jsonl"
            write_corpus(path, arguments.documents * factor, arguments.words)
            command = [sys.executable, "-c", CODE, path, f"{folder}/out{factor}"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found.append(json.loads(done.stdout.strip().splitlines()[-1]))
            print(found[-1])
    ratio = found[1]["peak_bytes"] / found[0]["peak_bytes"]
    print(json.dumps({"runs": found, "peak_ratio": ratio}))


if __name__ == "__main__":
    main()
