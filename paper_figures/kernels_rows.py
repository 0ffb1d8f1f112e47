"""Calibration, Based against its peers, and all operators, measured on one device, for `kernels/evidence/<device>/`.

    make gpu                                                     # calibration, Based and its peers, the suite
    python paper_figures/kernels_rows.py --device cpu --small    # the same at small shapes

Correctness before time: operators that are wrong are not timed. What cannot run here is said in one line and left out.
Pages are written to `runs/kernels`, or beside the rows if `--out` is given. Left out: counters of Nsight Compute.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from recallscope.evidence import evidence, origin, write_evidence
from recallscope.profiling.plots import roofline_figure, time_against_length
from recallscope.profiling.rows import measured_rows, roof_rows
from recallscope.profiling.tables import format_measurements, format_roofs
from recallscope_kernels.ops import OPERATORS, Shape, operands, operator_by_name
from recallscope_kernels.profiling import Roofs, device_facts, measure, measured_roofs, time_calls

ROOT = Path(__file__).parents[1]
PEERS = ("attention:flash", "attention:cudnn", "attention:efficient", "based:fla-parallel", "based:fla-fused-chunk")
TORCH = tuple(f"{name}:chunked" for name in OPERATORS if name not in ("attention", "jrt_prefix"))
STEPS = (*(name for name in OPERATORS if name != "jrt_prefix"), *TORCH)  # a prefix decodes as Based does
# of ‖o‖ against the chunked form in float64; half precision rounds queries, features and outputs
LARGEST_ERROR = {torch.float32: 3e-6, torch.float16: 1e-3, torch.bfloat16: 4e-3}


def calibration(device: str, budget: float) -> tuple[Roofs, pa.Table, list[dict[str, Any]]]:
    """Roofs in the precision of the operators, the product in float32 too, the time of a launch, counters or none.

    Returns the roofs, their rows, and further rows.
    """
    facts = device_facts(device)
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    roofs = measured_roofs(facts, dtype, budget)
    print(format_roofs(roofs))
    rows: list[dict[str, Any]] = []
    if dtype != torch.float32:
        product = roof_rows(measured_roofs(facts, torch.float32, budget), command()).to_pylist()
        rows = [row for row in product if row["metric"] == "product_flops_per_second"]
    one = torch.zeros(1, device=device)
    launch = time_calls({"launch": lambda: one.add_(1)}, device, budget)["launch"]
    row = {"subject": facts.name, "kind": "measured", "source": command(), "device": facts.name} | origin()
    seconds = {"value": launch.seconds, "low": launch.low, "high": launch.high, "n": launch.n, "unit": "s"}
    rows.append(row | {"metric": "launch_seconds"} | seconds)
    found = device != "cpu" and shutil.which("ncu") is not None
    rows.append(row | {"metric": "nsight_compute_found", "value": int(found), "unit": "1"})
    print(f"{'launch':<18}{launch.seconds * 1e6:>9.3g} µs; Nsight Compute {'found' if found else 'not found'}\n")
    return roofs, roof_rows(roofs, command()), rows


def correct(subjects: Sequence[str], shape: Shape, dtype: torch.dtype, device: str) -> tuple[list[str], list[dict]]:
    """Subjects whose outputs agree with the chunked form in float64, on two heads; and a row of each error.

    Attention, which is torch's, on the first 4,096 tokens.
    """
    good, rows = [], []
    for subject in subjects:
        name, implementation = operator_by_name(subject)
        own = replace(shape, K=OPERATORS[name].key_width)
        seen = min(shape.T, 4096) if name == "attention" else shape.T
        given = operands(name, own, dtype, device)
        try:
            got = OPERATORS[name].run(*given, implementation=implementation)[0][:1, :seen, :2].double()
        except Exception as error:  # a library's own refusals are of any kind
            print(f"{subject}: left out, {str(error).splitlines()[0]}")
            continue
        known = {"attention": "math"}.get(name, "chunked")
        exact = [u[:1, :seen, :2].double() for u in given]
        want = OPERATORS[name].run(*exact, implementation=known)[0]
        error = ((got - want).norm() / want.norm()).item()
        setting = {"t": shape.T, "batch": shape.B, "heads": shape.H, "key_width": own.K, "value_width": shape.V}
        rows.append(
            {"subject": subject, "metric": "relative_error", "value": error, "unit": "1", "kind": "measured",
             "source": command(), "dtype": str(dtype).removeprefix("torch."), "mode": "fwd", **setting} | origin()
        )  # fmt: skip
        if error <= LARGEST_ERROR[dtype]:
            good.append(subject)
        else:
            print(f"{subject}: wrong by {error:.1e} at T = {shape.T:,}, not timed")
    return good, rows


def at_length(subjects: Sequence[str], mode: str, shape: Shape, roofs: Roofs, budget: float) -> pa.Table:
    """Errors of the outputs first (where `mode` has some), then times of all that are right, in one run."""
    device, dtype = roofs.device.device, torch.float32 if roofs.device.device == "cpu" else torch.bfloat16
    good, errors = (list(subjects), []) if mode == "decode" else correct(subjects, shape, dtype, device)
    made = measure(good, shape, mode=mode, dtype=str(dtype).removeprefix("torch."), device=device, budget=budget)
    print(f"{mode}, T = {shape.T:,}\n" + format_measurements(made, roofs, good[0]) + "\n", flush=True)
    errors = errors if mode == "fwd" else []
    return pa.concat_tables([measured_rows(made, roofs, command()), evidence(errors)], promote_options="permissive")


def command() -> str:
    """The command that gives the same rows anywhere."""
    words = [word for word in sys.argv[1:] if not word.startswith("--out=")]
    if "--out" in words:
        del words[words.index("--out") : words.index("--out") + 2]
    return shlex.join(["python", "paper_figures/kernels_rows.py", *words])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda[:n] or cpu")
    parser.add_argument("--small", action="store_true", help="B = 1, H = 2, T = 128 and 256: to try it")
    parser.add_argument("--budget", type=float, default=0.5, help="seconds for each operator and length")
    parser.add_argument("--out", type=Path, help="folder [kernels/evidence/<device>]")
    given = parser.parse_args()
    try:
        facts = device_facts(given.device)
    except ValueError as error:
        sys.exit(f"kernels_rows: {error}")
    folder = given.out or ROOT / "kernels" / "evidence" / re.sub(r"\W+", "-", facts.name.lower()).strip("-")
    pages = given.out or ROOT / "runs" / "kernels"
    for path in (folder, pages):
        path.mkdir(parents=True, exist_ok=True)
    sizes = {"B": 1, "H": 2, "V": 64} if given.small else {"B": 16, "H": 16, "V": 64}
    lengths = [128, 256] if given.small else [2048, 4096, 8192, 16384, 32768]
    roofs, roof_table, rows = calibration(given.device, given.budget)
    calibrated = pa.concat_tables([roof_table, evidence(rows)], promote_options="permissive")
    write_evidence(calibrated, folder / "calibration.jsonl")
    runs = {
        "based": (("based", *PEERS), "fwd", lengths),
        "suite-fwd": (tuple(OPERATORS), "fwd", lengths[:3]),
        "suite-bwd": (tuple(OPERATORS), "bwd", lengths[:2]),
        "suite-decode": (STEPS, "decode", lengths[:3]),
    }
    written = {}
    for name, (subjects, mode, of) in runs.items():
        tables = []
        for t in of:  # written after each length, for runs that are cut off
            tables.append(at_length(subjects, mode, Shape(T=t, K=1, **sizes), roofs, given.budget))
            table = pa.concat_tables(tables, promote_options="permissive")
            write_evidence(table, folder / f"{name}.jsonl")
        time_against_length(table).write_html(pages / f"{name}.html", include_plotlyjs="directory")
        roofline_figure(table, roof_table).write_html(pages / f"{name}-roofline.html", include_plotlyjs="directory")
        written[name] = table.num_rows
    print(json.dumps({"folder": str(folder), "rows": {"calibration": calibrated.num_rows} | written}))


if __name__ == "__main__":
    main()
