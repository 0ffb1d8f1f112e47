"""Finished runs as rows of evidence, and their curves."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from recallscope.architectures.recurrent_transformer import (
    note_flops,
    parameters_count,
    prefill_flops,
    state_elements,
)
from recallscope.disk import locked, write_text
from recallscope.evidence import evidence, origin, read_evidence, write_evidence
from recallscope.training.recurrent.runs import Result, Run


def result_rows(result: Result, command: str, device: str = "cpu") -> list[dict[str, Any]]:
    """Accuracy and loss of the test, the examples trained on and the seconds of CPU, with the run's whole setting.

    `finished` says whether the run had come to its end.
    """
    run, last = result.run, result.curve[-1]
    taken = {"steps_taken": last.step, "finished": result.finished, "source": command}
    setting = run_setting(run, device) | taken
    answers = run.settings.test * run.tested.sample(1).answers.shape[1]
    values = [
        ("accuracy", result.accuracy, "1", answers),
        ("loss", result.loss, "nats", answers),
        ("training samples", last.step * run.settings.batch, "examples", None),
        ("training time", round(sum(point.seconds for point in result.curve), 1), "s of one core", None),
    ]
    return [
        {"subject": run.subject, "metric": metric, "value": value, "unit": unit, "n": n, "kind": "measured"} | setting
        for metric, value, unit, n in values
    ]


def run_setting(run: Run, device: str) -> dict[str, Any]:
    """Shape, costs and recipe of a run as columns. FLOPs are of one forward pass over one sample of the test's length.

    `note_flops` are counted as in the note, `flops` are those executed, head included (a multiply-add is 2).
    """
    import torch

    shape, length = run.shape, run.tested.length
    return {
        "task": run.task, "length": length, "noise": getattr(run.tested, "noise", None), "seed": run.settings.seed,
        "width": shape.width, "heads": shape.heads, "layers": shape.layers, "block": shape.block,
        "variant": shape.variant if shape.block else None, "learned": shape.learned, "context": shape.context,
        "vocabulary": shape.vocabulary, "parameters": parameters_count(shape),
        "note_flops": int(note_flops(shape.width, length, shape.block, shape.layers)),
        "flops": int(prefill_flops(shape, length)), "state_elements": int(state_elements(shape, length)),
        "batch": run.settings.batch, "rate": run.plan.rate, "chance": run.tested.chance(),
        "device": torch.cuda.get_device_name() if device == "cuda" else platform.processor() or "cpu",
        "torch": torch.__version__, **origin(),
    }  # fmt: skip


def curve_of(result: Result) -> dict[str, Any]:
    """Validations of a run: step, mean training loss, loss and accuracy, rate, length of the examples, CPU seconds."""
    places = ("step", "trained", "loss", "accuracy", "rate", "length", "seconds")
    points = [[float(f"{getattr(point, name):.5g}") for name in places] for point in result.curve]
    setting = {"task": result.run.task, "seed": result.run.settings.seed, "batch": result.run.settings.batch}
    return {"subject": result.run.subject} | setting | {"curve": points}


def curve_rows(file: str | Path) -> list[dict[str, Any]]:
    """Stored curves as rows of evidence: loss and accuracy of each validation, with its examples trained on and length.

    `length` is that of the examples in tokens, `trained_on` their number so far.
    """
    rows = []
    for line in Path(file).read_text().splitlines():
        stored = json.loads(line)
        curve = stored.pop("curve")
        for step, _, loss, accuracy, rate, length, _ in curve:
            own = {"trained_on": int(step) * stored["batch"], "length": int(length), "step": int(step), "rate": rate}
            for metric, value, unit in (("validation loss", loss, "nats"), ("validation accuracy", accuracy, "1")):
                row = {"metric": metric, "value": value, "unit": unit, "kind": "measured", "source": Path(file).name}
                rows.append(stored | row | own)
    return rows


def write_rows(results: Iterable[Result], rows: str | Path, curves: str | Path, command: str, device: str) -> None:
    """Replace measured rows and curves of the same subject, task, noise and seed; all others stay."""
    results = list(results)
    with locked(Path(rows).parent, "rows", f".{Path(rows).name}.lock", wait=True):
        _write_rows(results, rows, curves, command, device)


def _write_rows(results: list[Result], rows: str | Path, curves: str | Path, command: str, device: str) -> None:
    found = [row for result in results for row in result_rows(result, command, device)]
    new = {_key(row) for row in found}
    kept = [row for row in read_evidence(rows).to_pylist() if row["kind"] != "measured" or _key(row) not in new]
    kept = [{name: value for name, value in row.items() if value is not None} for row in kept]
    write_evidence(evidence(kept + found), rows)
    lines = [curve_of(result) for result in results]
    old = [json.loads(line) for line in Path(curves).read_text().splitlines()] if Path(curves).exists() else []
    same = {_curve_key(line) for line in lines}
    lines = [line for line in old if _curve_key(line) not in same] + lines
    write_text(curves, "".join(json.dumps(line) + "\n" for line in lines))


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["subject"], row["task"], row.get("noise"), row.get("seed")


def _curve_key(line: dict[str, Any]) -> tuple[Any, ...]:
    return line["subject"], line["task"], line["seed"], line["curve"][-1][5]
