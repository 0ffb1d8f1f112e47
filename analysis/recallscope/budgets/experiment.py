"""All methods on real text, seed by seed; every finished method keeps its rows, so a killed run goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import torch

from recallscope.allocator import keep_freed_memory
from recallscope.architectures.model import LanguageModel
from recallscope.budgets import starts
from recallscope.budgets.clusters import effective_share, entropy, histogram
from recallscope.budgets.protocol import Clusters, Protocol, World, load_world
from recallscope.budgets.specialise import Row, generic_row, low_rank, specialised, taught
from recallscope.checks import check_folder
from recallscope.disk import locked, replaced, write_text
from recallscope.evidence import evidence, origin, read_evidence, write_evidence

Log = Callable[[str], None]
PARTS = ("text", "SLM", "SLM-mix", "SLM-pn", "LLM", "SLM-is")
"""What is done and kept at once, for each seed."""
NOTE = "protocol.json"


def run_budgets(
    folder: str | Path,
    own: Mapping[str, str] | None = None,
    protocol: Protocol | None = None,
    log: Log = lambda line: None,
    command: str = "",
) -> pa.Table:
    """Train every method with every seed and return the rows of evidence, which are also in `folder/rows.jsonl`.

    One row is a perplexity with the 95 % interval over the test documents: of a method before and after fine-tuning on
    each specialisation set of each domain, after each amount of generic training, and on generic text. Columns hold
    what it cost: `generic_flops` once, `specialise_flops` for this domain (both measured: forward and backward products
    of all steps, without optimiser, evaluation and clustering), `inference_flops` a token in a window of the context,
    parameters. Further rows say how unlike the generic text a domain is.

    Parameters
    ----------
    folder : str or Path
        For rows and the weights that later methods need; a run that was interrupted goes on there.
    own : mapping or None
        Domains by name: sources of text (`read_documents`). None: packages of this installation.
    protocol : Protocol or None
        What is compared; None: what two cores do in about an hour.
    """
    folder, protocol, own = Path(folder), protocol or Protocol(), dict(own or {})
    check_folder("folder", folder)
    with locked(folder, "folder"):
        return _run(folder, protocol, own, log, command)


def _run(folder: Path, protocol: Protocol, own: dict[str, str], log: Log, command: str) -> pa.Table:
    note = _note(folder, protocol, own)
    files = {folder / f"seed{seed}-{name}.jsonl": (seed, name) for seed in protocol.seeds for name in PARTS}
    left = [file for file in files if not file.exists()]
    if left:
        world = load_world(protocol, own)  # before anything is written: it may be refused
        write_text(folder / NOTE, note)
        keep_freed_memory()
        source = command or "recallscope.budgets.run_budgets"
        made = origin() | {"torch": torch.__version__, "device": "cpu", "source": source}
        for file in left:
            seed, name = files[file]
            started = time.perf_counter()
            rows = [row | made for row in _rows(name, world, protocol, seed, folder)]
            write_evidence(evidence(rows), file)
            log(f"seed {seed}, {name}: {len(rows)} rows, {time.perf_counter() - started:.0f} s")
    table = read_evidence(*files)
    write_evidence(table, folder / "rows.jsonl")
    return table


def _rows(name: str, world: World, protocol: Protocol, seed: int, folder: Path) -> Iterable[Row]:
    """The rows of one method with one seed; SLM-nopt goes with SLM, and what needs the large model with LLM."""
    rate = protocol.rate
    if name == "text":
        return _text_rows(world, protocol, seed)
    if name == "SLM":
        return _small(world, protocol, seed, folder)
    if name == "SLM-mix":
        found = starts.mixture(world, world.clusters(protocol.experts), protocol, seed)
    elif name == "SLM-pn":
        found = starts.projected(world, world.clusters(protocol.projected[0]), protocol, seed)
    elif name == "LLM":
        return _large(
            starts.plain("LLM", protocol.large, rate("large"), world, protocol, seed), world, protocol, seed, folder
        )
    else:
        return _resampled(world, world.clusters(protocol.resampling), protocol, seed)
    return _shared(found, world, protocol, seed)


def _shared(found: Iterable[starts.Start], world: World, protocol: Protocol, seed: int) -> Iterator[Row]:
    """Generic text and all domains, after each amount of generic training."""
    for start in found:
        yield generic_row(start, world.test, protocol, seed)
        for domain in world.domains:
            yield from (row for row, _ in specialised(start, domain, protocol, seed))


def _small(world: World, protocol: Protocol, seed: int, folder: Path) -> Iterator[Row]:
    last: list[starts.Start] = []

    def kept() -> Iterator[starts.Start]:
        for start in starts.plain("SLM", protocol.small, protocol.rate("small"), world, protocol, seed):
            last[:] = [start]
            yield start

    yield from _shared(kept(), world, protocol, seed)
    model = last[0].choose(world.test.ids)
    saved = {"model": model.state_dict(), "flops": last[0].generic}
    with replaced(folder / f"seed{seed}-SLM.pt") as temporary:
        torch.save(saved, temporary)
    for domain in world.domains:
        yield from (row for row, _ in specialised(starts.scratch(protocol, seed), domain, protocol, seed))


def _large(found: Iterable[starts.Start], world: World, protocol: Protocol, seed: int, folder: Path) -> Iterator[Row]:
    """The large model; after its longest training also low-rank changes, and the small model taught by it."""
    for start in found:
        final = start.steps == max(protocol.generic_steps)
        yield generic_row(start, world.test, protocol, seed)
        for domain in world.domains:
            for row, model in specialised(start, domain, protocol, seed):
                yield row
                if final and row["specialisation_tokens"]:
                    yield taught(_student(folder, protocol, seed), start, row, model, domain, protocol, seed)
            if final:
                yield from low_rank(start, domain, protocol, seed)


def _student(folder: Path, protocol: Protocol, seed: int) -> starts.Start:
    """The small model of the same seed after its longest training."""
    saved = torch.load(folder / f"seed{seed}-SLM.pt", weights_only=True)
    model = LanguageModel(protocol.small)
    model.load_state_dict(saved["model"])
    steps = max(protocol.generic_steps)
    return starts.Start("SLM-d", steps, saved["flops"], 0, starts.count(model), lambda ids: model, None)


def _resampled(world: World, clusters: Clusters, protocol: Protocol, seed: int) -> Iterator[Row]:
    for domain in world.domains:
        for start in starts.resampled(world, clusters, domain, protocol, seed):
            yield from (row for row, _ in specialised(start, domain, protocol, seed))


def _text_rows(world: World, protocol: Protocol, seed: int) -> Iterator[Row]:
    """How unlike the generic text a domain's smallest set is: entropy of its clusters, and the effective share."""
    clusters = world.clusters(protocol.resampling)
    whole = histogram(clusters.of_pool, protocol.resampling)
    for domain in world.domains:
        ids = domain.specialisation(min(protocol.sizes)[0], seed)
        shares, weights = histogram(clusters.of(ids), protocol.resampling), starts.domain_weights(clusters, ids)
        same = {
            "subject": f"domain {domain.name}", "kind": "measured", "n": len(ids), "domain": domain.name, "seed": seed,
            "clusters": protocol.resampling, "specialisation_tokens": min(protocol.sizes)[0],
        }  # fmt: skip
        yield same | {"metric": "cluster entropy", "value": round(entropy(shares), 6), "unit": "nats"}
        share = round(effective_share(weights, whole), 6)
        yield same | {"metric": "effective share of the generic windows", "value": share, "unit": "1"}


def _note(folder: Path, protocol: Protocol, own: Mapping[str, str]) -> str:
    """What is compared, as text, or a refusal of a folder that holds another comparison; seeds may be added."""
    same = asdict(protocol) | {"own": own}
    del same["seeds"]
    text, note = json.dumps(same, indent=1) + "\n", folder / NOTE
    if note.exists() and note.read_text() != text:
        raise ValueError(f"folder: {folder} holds another comparison (protocol or domains differ); choose another")
    return text
