"""Tokens per second, one core, of tagging and counting: numpy and, where it is installed, numba, side by side.

    python tests/bench/bench_tags.py                                        # Zipf tokens
    python tests/bench/bench_tags.py a.jsonl.gz --vocab encoder.json --merges vocab.bpe

A text file holds one document per line, {"text": ...}; without --vocab and --merges it is cut into words and signs.
Each figure is the median of several repeats, the two engines in turn; CPU time, so that a busy machine matters less.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import re
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "analysis"))
from recallscope.slicing.tagging.counts import count_all, count_targeted, queries
from recallscope.slicing.tagging.tags import longest_match, repeat_distance, tag

Shard = tuple[Any, Any]


def zipf_shard(size: int, vocabulary: int, seed: int = 0) -> Shard:
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, vocabulary + 1)
    tokens = np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(size)).clip(max=vocabulary - 1)
    starts = np.unique(np.concatenate(([0], np.cumsum(rng.lognormal(8, 1, size // 1000).astype(int)))))
    return tokens.astype(np.uint16 if vocabulary <= 2**16 else np.int32), starts[starts < size]


def text_shard(path: str, vocab: str | None, merges: str | None) -> tuple[Shard, int]:
    with gzip.open(path, "rt", encoding="utf-8") if path.endswith(".gz") else open(path, encoding="utf-8") as lines:
        documents = [json.loads(line)["text"] for line in lines]
    if vocab and merges:
        from tokenizers.implementations.byte_level_bpe import ByteLevelBPETokenizer

        tokenizer = ByteLevelBPETokenizer(vocab, merges)
        ids, vocabulary = [tokenizer.encode(document).ids for document in documents], tokenizer.get_vocab_size()
    else:
        known: dict[str, int] = {}
        words = (re.findall(r"\w+|\W", document) for document in documents)
        ids = [[known.setdefault(word, len(known)) for word in found] for found in words]
        vocabulary = len(known)
    starts = np.cumsum([0] + [len(found) for found in ids])[:-1]
    dtype = np.uint16 if vocabulary <= 2**16 else np.int32
    return (np.concatenate([np.array(found, dtype) for found in ids]), starts), vocabulary


def speeds(jobs: dict[str, Callable[[], Any]], tokens: int, repeats: int) -> dict[str, float]:
    """Millions of tokens per second of CPU time; every job once unmeasured, then all in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(repeats + 1):
        for name, job in jobs.items():
            os.environ["RECALLSCOPE_NUMBA"] = str(int(name.endswith("numba")))
            begin = time.process_time()
            job()
            if turn:
                seconds[name].append(time.process_time() - begin)
    return {name: round(tokens / float(np.median(found)) / 1e6, 1) for name, found in seconds.items()}


def measure(shard: Shard, vocabulary: int, repeats: int) -> dict[str, float]:
    tokens, starts = shard
    half = starts.size // 2
    evaluation = tokens[: starts[half]], starts[:half]
    asked = queries([evaluation], 2, vocabulary)
    jobs: dict[str, Callable[[], Any]] = {}
    for engine in ["numpy"] + ["numba"] * bool(find_spec("numba")):
        jobs |= {
            f"repeat_distance n=2, {engine}": lambda: repeat_distance(tokens, starts),
            f"longest_match cap=8, {engine}": lambda: longest_match(tokens, starts, 8),
            f"tag, {engine}": lambda: tag(tokens, starts),
        }
    jobs[f"count_targeted n=2, {asked.size} queries"] = lambda: count_targeted(asked, [shard], 2, vocabulary)
    jobs["count_all n=2"] = lambda: count_all([shard], 2, vocabulary)
    return speeds(jobs, tokens.size, repeats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="*", help=".jsonl or .jsonl.gz files")
    parser.add_argument("--vocab", help="encoder.json of a byte-level BPE")
    parser.add_argument("--merges", help="vocab.bpe of a byte-level BPE")
    parser.add_argument("--tokens", type=int, default=4_000_000, help="Zipf tokens where no text is given")
    parser.add_argument("--vocabulary", type=int, default=50_257, help="for Zipf tokens")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    shards = {Path(path).name: text_shard(path, arguments.vocab, arguments.merges) for path in arguments.texts}
    shards = shards or {"zipf": (zipf_shard(arguments.tokens, arguments.vocabulary), arguments.vocabulary)}
    result: dict[str, Any] = {"unit": "million tokens per second of one core", "repeats": arguments.repeats}
    result |= {
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "speeds": {},
    }
    for name, (shard, vocabulary) in shards.items():
        print(f"{name}: {shard[0].size:,} tokens, {shard[1].size:,} documents, vocabulary {vocabulary:,}")
        result["speeds"][name] = measure(shard, vocabulary, arguments.repeats)
        for job, speed in result["speeds"][name].items():
            print(f"  {job:<42} {speed:8.1f} M tokens/s")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
