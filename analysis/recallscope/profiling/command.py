"""`recallscope profile` and `recallscope roofline`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from recallscope import options

LENGTHS = {"cpu": "256,512,1024,2048", "cuda": "2048,4096,8192,16384,32768"}
SHAPES = {"cpu": {"B": 1, "H": 4, "V": 64}, "cuda": {"B": 16, "H": 16, "V": 64}}
Out = Annotated[
    Path | None, typer.Option(help="FILE.jsonl or FILE.html: rows of evidence and a page of figures, side by side.")
]
Device = Annotated[str, typer.Option(help="cpu or cuda[:n].")]
Dtype = Annotated[
    str | None, typer.Option(help="float32, bfloat16, float16, float64 [default: bfloat16 on a GPU, else float32].")
]


def profile_command(
    operators: Annotated[
        list[str], typer.Argument(help="based, attention, delta_rule, ...; or OP:NAME for one implementation.")
    ],
    peer: Annotated[
        list[str] | None, typer.Option(help="Timed in the same run; ratios are to the first [default: attention].")
    ] = None,
    shape: Annotated[str, typer.Option(help="B, H, V, and K for all, as in B=1,H=4,K=16.")] = "",
    length: Annotated[
        str | None, typer.Option(help="T, separated by commas; when decoding, tokens of context.")
    ] = None,
    batch: Annotated[str | None, typer.Option(help="B, separated by commas, instead of one in --shape.")] = None,
    mode: Annotated[str, typer.Option(help="fwd, bwd (the backward pass alone) or decode (one step).")] = "fwd",
    dtype: Dtype = None,
    device: Device = "cpu",
    budget: Annotated[float, typer.Option(help="Seconds for each operator and shape.")] = 0.5,
    counters: Annotated[bool, typer.Option("--counters", help="FLOPs and bytes by Nsight Compute, on a GPU.")] = False,
    energy: Annotated[bool, typer.Option("--energy", help="Joules by NVML, on a CPU by RAPL; 2 s for each.")] = False,
    out: Out = None,
    as_json: options.Json = False,
) -> None:
    """Time of operators beside their useful and executed FLOPs, the bytes of the fused limit, and measured roofs."""
    from recallscope_kernels.ops import Shape, check_mode, operator_by_name
    from recallscope_kernels.profiling import DTYPES, check_counters, device_facts

    from recallscope.profiling.output import results_text, write_results
    from recallscope.profiling.run import profile

    _check_out(out)
    facts, peers = device_facts(device), peer or ["attention"]
    kind = device.partition(":")[0]
    dtype = dtype or ("float32" if kind == "cpu" else "bfloat16")
    sizes, subjects = SHAPES[kind] | _sizes(shape), list(dict.fromkeys([*operators, *peers]))
    if dtype not in DTYPES:
        raise ValueError(f"dtype: one of {', '.join(DTYPES)}, got {dtype!r}")
    if not budget > 0:
        raise ValueError(f"budget: seconds above 0, got {budget}")
    check_mode(mode)
    for subject in subjects:
        operator_by_name(subject)
    if counters:
        check_counters(device)
    batches = _numbers("batch", batch) if batch else [sizes["B"]]
    lengths = _numbers("length", length or LENGTHS[kind])
    width = sizes.pop("K", None)
    shapes = [Shape(**(sizes | {"B": b, "T": t, "K": 1})) for b in batches for t in lengths]
    found = profile(subjects, shapes, width, mode, dtype, facts, budget, counters, energy)
    text = results_text(found, peers[0], mode, dtype)
    typer.echo(text)
    for line in found.notes:
        typer.echo(line, err=True)
    if out:
        write_results(found.rows, found.roof_rows, out, text)
        typer.echo(f"\npage: {out.with_suffix('.html').resolve()}")
    if as_json:
        typer.echo(json.dumps({"roofs": found.roof_rows.to_pylist(), "rows": found.rows.to_pylist()}))


def roofline_command(
    rows: Annotated[
        Path | None, typer.Argument(help="Rows that `recallscope profile --out` wrote, to place under the roofs.")
    ] = None,
    dtype: Dtype = None,
    device: Device = "cpu",
    out: Out = None,
    as_json: options.Json = False,
) -> None:
    """What this device really copies and multiplies, and where measured operators lie under that."""
    from recallscope_kernels.profiling import DTYPES, device_facts, measured_roofs

    from recallscope.evidence import read_evidence
    from recallscope.invocation import invocation
    from recallscope.profiling.output import write_roofline
    from recallscope.profiling.rows import roof_rows
    from recallscope.profiling.tables import format_roofs

    _check_out(out)
    dtype = dtype or ("float32" if device == "cpu" else "bfloat16")
    if dtype not in DTYPES:
        raise ValueError(f"dtype: one of {', '.join(DTYPES)}, got {dtype!r}")
    table = None if rows is None else read_evidence(rows)
    roofs = measured_roofs(device_facts(device), DTYPES[dtype])
    text, made = format_roofs(roofs), roof_rows(roofs, invocation())
    typer.echo(text)
    if out:
        write_roofline(table, made, out, text)
    if as_json:
        typer.echo(json.dumps(made.to_pylist()))


def _check_out(out: Path | None) -> None:
    from recallscope.checks import check_folder

    if out is not None:
        if out.suffix not in (".jsonl", ".html"):
            raise ValueError(f"out: a file that ends in .jsonl or .html, got {str(out)!r}")
        check_folder("out", out.parent)
        out.parent.mkdir(parents=True, exist_ok=True)


def _sizes(text: str) -> dict[str, Any]:
    """`B=1,K=16` as numbers."""
    sizes = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        if name not in ("B", "H", "K", "V") or not value.isdecimal() or not int(value):
            raise ValueError(f"shape: B, H, K or V = a whole number of at least 1, separated by commas, got {part!r}")
        sizes[name] = int(value)
    return sizes


def _numbers(name: str, text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) for part in parts):
        raise ValueError(f"{name}: whole numbers of at least 1, separated by commas, got {text!r}")
    return sorted({int(part) for part in parts})
