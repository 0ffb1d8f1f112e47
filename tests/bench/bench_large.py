"""Time and memory where there is much: atoms of hundreds of millions of records, and slices and tags of a corpus ten
times as large. Each is measured in a process of its own: seconds, seconds of CPU, and peak resident memory.

    python tests/bench/bench_large.py atoms RUN --rows 200000000    # the records of a finished run, repeated
    python tests/bench/bench_large.py corpus --documents 60         # that many documents, and ten times as many
    python tests/bench/bench_large.py document --tokens 100000000   # tags of one document

The last line is one JSON object. The load of the machine is printed: others' work inflates seconds, not memory.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from recallscope.slicing.records import storage

WORDS = 5000
MEASURED = """
import json, resource, sys, time
{imports}
started, before = time.perf_counter(), time.process_time()
{call}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({{"seconds": round(time.perf_counter() - started, 1),
                   "cpu_seconds": round(time.process_time() - before, 1), "peak_mib": round(peak)}}))
"""
SLICE = """
def one(ids): return (ids[:, 1:] % 97 / 10).astype(np.float32)
def two(ids): return one(ids) + (ids[:, 1:] % 3 == 0)
slice_text([one, two], {text!r}, {out!r}, tokenizer=bundled_tokenizer(), training_text={training!r},
           settings=SliceSettings(shard_tokens=100_000))
"""
SLICE_IMPORTS = """
import numpy as np
from recallscope.bundled import bundled_tokenizer
from recallscope.slicing.run import slice_text
from recallscope.slicing.settings import SliceSettings
"""


def measured(imports: str, call: str) -> dict[str, float]:
    """Seconds and peak memory of a piece of code in a process of its own."""
    code = MEASURED.format(imports=imports, call=call)
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def repeated(records: Path, rows: int, path: Path) -> int:
    """The records of a run again and again, as further documents; returns the rows written."""
    table, written = pq.read_table(records), 0
    documents = int(table["document"].to_numpy().max()) + 1
    schema = table.schema
    with pq.ParquetWriter(path, schema, **storage(schema)) as writer:
        for number in range(-(-rows // table.num_rows)):
            moved = pa.array((table["document"].to_numpy() + number * documents).astype(np.int32))
            part = table.set_column(table.column_names.index("document"), schema.field("document"), moved)
            part = part.slice(0, rows - written)
            writer.write_table(part, row_group_size=500_000)
            written += part.num_rows
    return written


def atoms_of(run: Path, rows: int, folder: Path) -> dict[str, object]:
    written = repeated(run / "records.parquet" if run.is_dir() else run, rows, folder / "records.parquet")
    imports = "from recallscope.slicing.attribution.atoms import atoms"
    call = f"table = atoms({str(folder / 'records.parquet')!r}); print(table.num_rows)"
    return {"records": written, **measured(imports, call)}


def corpus(path: Path, documents: int) -> None:
    rng = np.random.default_rng(0)
    words = np.array(["".join(rng.choice([*"abcdefghijklmnop"], 5)) for _ in range(WORDS)])
    rank = 1 / np.arange(1, WORDS + 1)
    with open(path, "w") as file:
        for number in range(documents):
            text = " ".join(rng.choice(words, 2000, p=rank / rank.sum()))
            file.write(json.dumps({"id": number, "text": text}) + "\n")


def corpora(documents: int, folder: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for times in (1, 10):
        text = folder / f"text-{times}.jsonl"
        corpus(text, documents * times)
        for name, training in (("slice", None), ("slice, counted", str(text))):
            call = SLICE.format(text=str(text), out=str(folder / f"{name} {times}"), training=training)
            found[f"{name}, {times}x"] = measured(SLICE_IMPORTS, call)
        tags = f"tag_text({str(text)!r}, {str(folder / f'tags-{times}.parquet')!r})"
        found[f"tag, {times}x"] = measured("from recallscope.slicing.tag_text import tag_text", tags)
        reduced = f"atoms({str(folder / f'slice {times}' / 'records.parquet')!r})"
        found[f"atoms, {times}x"] = measured("from recallscope.slicing.attribution.atoms import atoms", reduced)
    return found


def one_document(tokens: int, folder: Path) -> dict[str, object]:
    np.save(
        folder / "tokens.npy", (np.random.default_rng(0).pareto(1.0, tokens) * 10).clip(0, 49_999).astype(np.uint16)
    )
    call = f"print(tag_text({str(folder / 'tokens.npy')!r}, {str(folder / 'tags.parquet')!r}))"
    return {"tokens": tokens, **measured("from recallscope.slicing.tag_text import tag_text", call)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["atoms", "corpus", "document"])
    parser.add_argument("run", type=Path, nargs="?", help="a finished run, or its records")
    parser.add_argument("--rows", type=int, default=200_000_000)
    parser.add_argument("--documents", type=int, default=60)
    parser.add_argument("--tokens", type=int, default=100_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.what == "atoms":
            found = atoms_of(given.run, given.rows, folder)
        else:
            found = corpora(given.documents, folder) if given.what == "corpus" else one_document(given.tokens, folder)
    print(json.dumps({**found, "load": os.getloadavg(), "cores": os.cpu_count()}))


if __name__ == "__main__":
    main()
