"""Scoring by one and by two workers, at half the machine's threads each: a bundled model on held-out text.

    python tests/bench/bench_workers.py [--engine ray] [--documents 60] [--rounds 3]

Each round times the scoring step with one worker and with two, in turn: the engine is up before, but starting the
workers and loading their models is part of it. The load is the machine's one-minute average before the round: with
other work on the cores the ratio means little. Last line of stdout: one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="ray", choices=("daft", "ray"))
    parser.add_argument("--model", default="attention")
    parser.add_argument("--documents", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    threads = max((os.cpu_count() or 1) // 2, 1)
    os.environ["OMP_NUM_THREADS"] = str(threads)  # the workers inherit it

    from recallscope.bundled import bundled_tokenizer, held_out_documents
    from recallscope.slicing.engines import engine_of
    from recallscope.slicing.job import Job, load_shard, scored_tokens, tokenize_text
    from recallscope.slicing.settings import SliceSettings
    from recallscope.slicing.sources import open_model
    from recallscope.slicing.steps import score_model

    tokenizer = bundled_tokenizer()
    documents = list(islice(held_out_documents(), options.documents))
    opened = partial(open_model, options.model, "cpu", None, 8192)
    with tempfile.TemporaryDirectory() as folder:
        size = sum(map(len, tokenizer.encode([one.text for one in documents]))) // 16
        job = Job(Path(folder), SliceSettings(shard_tokens=size), tokenizer.bos, tokenizer.vocabulary)
        shards = tokenize_text(job, documents, tokenizer, lambda n: None)
        tokens = scored_tokens(job, shards, options.model)
        longest = max(len(load_shard(job, k).tokens) for k in range(shards)) / tokens

        def seconds(workers: int, upto: int) -> float:
            for index in range(upto):
                job.losses_path(options.model, index).unlink(missing_ok=True)
            began = time.perf_counter()
            score_model(job, options.model, opened, upto, lambda n: None, engine_of(options.engine, workers))
            return time.perf_counter() - began

        def losses() -> list[np.ndarray]:
            return [np.load(job.losses_path(options.model, k)) for k in range(shards)]

        seconds(1, 1)  # starts the engine
        print(f"{tokens:,} tokens in {shards} shards, the longest {longest:.0%} of them; {threads} threads a worker")
        rows = []
        for _ in range(options.rounds):
            load = os.getloadavg()[0]
            one, first = seconds(1, shards), losses()
            two, second = seconds(2, shards), losses()
            assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, second, strict=True))
            rows.append({"one": round(one, 2), "two": round(two, 2), "ratio": round(one / two, 3), "load": load})
            print("one worker {one} s, two {two} s: {ratio}x (load before: {load:.1f})".format(**rows[-1]), flush=True)
    ratio = statistics.median(row["ratio"] for row in rows)
    print(json.dumps({"engine": options.engine, "model": options.model, "tokens": tokens, "threads": threads,
                      "rounds": rows, "median_ratio": ratio}))  # fmt: skip


if __name__ == "__main__":
    main()
