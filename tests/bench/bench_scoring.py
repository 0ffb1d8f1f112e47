"""Scoring a GPT-2-shaped model (124 M, random weights) on CPU: ours, and lm-evaluation-harness on the same windows.

    python tests/bench/bench_scoring.py [--peer PYTHON_WITH_LM_EVAL] [--documents 2] [--rounds 3]

Each measurement is a process of its own: seconds of scoring, total NLL in nats, and peak memory above what the process
held once the weights were loaded. Rounds alternate the order; medians are printed. Last
line of stdout: one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

COMMON = """
import json, resource, sys, threading, time
import torch
torch.set_num_threads({threads})
folder, texts = sys.argv[1], json.load(open(sys.argv[2]))

class Peak(threading.Thread):
    "Largest resident size, sampled every millisecond (the kernel's own maximum cannot be reset after loading)."
    def __init__(self):
        super().__init__(daemon=True); self.most = 0; self.on = True
    def resident(self):
        return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
    def run(self):
        while self.on:
            self.most = max(self.most, self.resident()); time.sleep(0.001)
"""

OURS = (
    COMMON
    + """
from recallscope.slicing.scoring import Scorer, Windowing, cut_windows, score_shard
from recallscope.slicing.scoring.transformers_models import transformers_score
from recallscope.text import Document, load_tokenizer, tokenize
tokenizer = load_tokenizer(folder)
score = transformers_score(folder, "cpu", "float32")
shard = next(tokenize([Document(str(k), t) for k, t in enumerate(texts)], tokenizer, 10**9))
windows = cut_windows(shard.starts, len(shard.tokens), Windowing(1024, 1024, "first"))
peak = Peak(); base = peak.resident(); peak.start(); started = time.perf_counter()
losses = score_shard(Scorer("gpt2", score, "x", batch_tokens={batch}), shard, windows, tokenizer.bos)
seconds = time.perf_counter() - started; peak.on = False
print(json.dumps({{"nll": float(losses.astype("float64").sum()), "tokens": len(losses), "seconds": seconds,
                   "bytes": peak.most - base}}))
"""
)

PEER = (
    COMMON
    + """
from types import SimpleNamespace
from lm_eval.models.huggingface import HFLM
model = HFLM(pretrained=folder, device="cpu", dtype="float32", batch_size=1, max_length=1024)
requests = [SimpleNamespace(args=(t,), arguments=(t,), task_name=None, doc_id=k) for k, t in enumerate(texts)]
peak = Peak(); base = peak.resident(); peak.start(); started = time.perf_counter()
found = model.loglikelihood_rolling(requests, disable_tqdm=True)
seconds = time.perf_counter() - started; peak.on = False
tokens = sum(len(model.tok_encode(t)) for t in texts)
print(json.dumps({{"nll": -float(sum(found)), "tokens": tokens, "seconds": seconds, "bytes": peak.most - base}}))
"""
)


def make_folder(folder: Path) -> None:
    """GPT-2's shape with random weights, and the bundled tokenizer as a Hugging Face tokenizer."""
    import torch
    from recallscope.bundled import bundled_tokenizer
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config()).save_pretrained(folder)
    end = "<|endoftext|>"
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bundled_tokenizer().backend, bos_token=end, eos_token=end)
    tokenizer.save_pretrained(folder)


def make_texts(documents: int, tokens: int = 4096) -> list[str]:
    """Held-out documents cut to exactly `tokens` tokens, so that both protocols cut the same windows."""
    from recallscope.bundled import bundled_tokenizer, held_out_documents

    tokenizer, texts = bundled_tokenizer(), []
    for document in held_out_documents():
        ids = tokenizer.encode([document.text])[0][:tokens]
        text = tokenizer.backend.decode(ids.tolist())
        if len(ids) == tokens and len(tokenizer.encode([text])[0]) == tokens:
            texts.append(text)
        if len(texts) == documents:
            return texts
    raise SystemExit("too few long documents")


def measure(python: str, code: str, folder: Path, texts: Path) -> dict:
    done = subprocess.run([python, "-c", code, str(folder), str(texts)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", help="a Python that has lm_eval")
    parser.add_argument("--documents", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1024)
    arguments = parser.parse_args()
    fill = {"threads": arguments.threads, "batch": arguments.batch}
    sides = {"recallscope": (sys.executable, OURS.format(**fill))}
    if arguments.peer:
        sides["lm-evaluation-harness"] = (arguments.peer, PEER.format(**fill))
    rows: dict[str, list[dict]] = {name: [] for name in sides}
    with tempfile.TemporaryDirectory() as name:
        folder, texts = Path(name) / "model", Path(name) / "texts.json"
        make_folder(folder)
        texts.write_text(json.dumps(make_texts(arguments.documents)))
        for number in range(arguments.rounds):
            for side in list(sides)[:: 1 if number % 2 == 0 else -1]:
                rows[side].append(measure(*sides[side], folder, texts))
    result = {}
    for side, found in rows.items():
        result[side] = {
            "nll": found[0]["nll"],
            "tokens": found[0]["tokens"],
            "tokens_per_second": found[0]["tokens"] / statistics.median(row["seconds"] for row in found),
            "peak_megabytes_above_weights": statistics.median(row["bytes"] for row in found) / 1e6,
        }
        print(side, {key: round(value, 3) for key, value in result[side].items()})
    print(json.dumps(result))


if __name__ == "__main__":
    main()
