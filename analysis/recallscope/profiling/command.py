"""`recallscope profile` and `recallscope roofline`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pyarrow as pa

LENGTHS = {"cpu": "256,512,1024,2048", "cuda": "2048,4096,8192,16384,32768"}
SHAPES = {"cpu": {"B": 1, "H": 4, "V": 64}, "cuda": {"B": 16, "H": 16, "V": 64}}
Out = Annotated[Path | None, typer.Option(help="JSON Lines file for the rows of evidence; figures beside.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object as the last line of stdout.")]
Device = Annotated[str, typer.Option(help="cpu or cuda[:n].")]
Dtype = Annotated[
    str | None, typer.Option(help="float32, bfloat16, float16, float64 [default: bfloat16 on a GPU, else float32].")
]


def profile_command(
    operators: Annotated[
        list[str],
        typer.Argument(
            help="based, jrt_prefix, attention, linear_attention, simple_gla, delta_rule, gated_delta_rule; or OP:NAME."
        ),
    ],
    peer: Annotated[
        list[str] | None, typer.Option(help="Timed in the same run; ratios are to the first [default: attention].")
    ] = None,
    shape: Annotated[str, typer.Option(help="B, H, V, and K for all, as in B=1,H=4,K=16.")] = "",
    length: Annotated[
        str | None, typer.Option(help="T, separated by commas; when decoding, tokens of context.")
    ] = None,
    mode: Annotated[str, typer.Option(help="fwd, bwd (the backward pass alone) or decode (one step).")] = "fwd",
    dtype: Dtype = None,
    device: Device = "cpu",
    budget: Annotated[float, typer.Option(help="Seconds for each operator and length.")] = 0.5,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Time of operators beside their useful and executed FLOPs, the bytes of the fused limit, and measured roofs."""
    from recallscope_kernels.ops import Shape, check_mode, operator_by_name
    from recallscope_kernels.profiling import device_facts, faster, measure, measured_roofs
    from recallscope_kernels.profiling.measure import DTYPES

    from recallscope.invocation import invocation
    from recallscope.profiling.rows import measured_rows, roof_rows
    from recallscope.profiling.tables import format_crossings, format_measurements, format_roofs

    _check_out(out)
    facts, peers = device_facts(device), peer or ["attention"]
    kind = device.partition(":")[0]
    dtype = dtype or ("float32" if kind == "cpu" else "bfloat16")
    sizes, subjects = SHAPES[kind] | _sizes(shape), list(dict.fromkeys([*operators, *peers]))
    if dtype not in DTYPES:
        raise ValueError(f"dtype: one of {', '.join(DTYPES)}, got {dtype!r}")
    check_mode(mode)
    for subject in subjects:
        operator_by_name(subject)
    shapes = [Shape(T=t, **(sizes | {"K": sizes.get("K") or 1})) for t in _lengths(length or LENGTHS[kind])]
    roofs = measured_roofs(facts, DTYPES[dtype], min(budget, 0.5))
    started = time.perf_counter(), time.process_time()
    measurements = [m for each in shapes for m in measure(subjects, each, sizes.get("K"), mode, dtype, device, budget)]
    share = (time.process_time() - started[1]) / (time.perf_counter() - started[0])
    roofs = faster(roofs, measured_roofs(facts, DTYPES[dtype], min(budget, 0.5)))
    source = invocation()
    table, roof_table = measured_rows(measurements, roofs, source), roof_rows(roofs, source)
    typer.echo(format_roofs(roofs) + "\n")
    typer.echo(f"{mode} {dtype}, B = {sizes['B']}, H = {sizes['H']}, V = {sizes['V']}; ratio: to {peers[0]}")
    typer.echo(format_measurements(measurements, roofs, peers[0]))
    crossings = format_crossings(measurements, peers[0])
    if crossings:
        typer.echo("\n" + crossings)
    if kind == "cpu" and share < 0.8:
        typer.echo(f"\nOthers used this machine: we had {share:.0%} of a core, so times are too long.", err=True)
    if out:
        _write(table, roof_table, out)
    if as_json:
        typer.echo(json.dumps({"roofs": roof_table.to_pylist(), "rows": table.to_pylist()}))


def roofline_command(
    rows: Annotated[
        Path | None, typer.Argument(help="Rows that `recallscope profile --out` wrote, to place under the roofs.")
    ] = None,
    dtype: Dtype = None,
    device: Device = "cpu",
    out: Out = None,
    as_json: Json = False,
) -> None:
    """What this device really copies and multiplies, and where measured operators lie under that."""
    from recallscope_kernels.profiling import device_facts, measured_roofs
    from recallscope_kernels.profiling.measure import DTYPES

    from recallscope.evidence import read_evidence
    from recallscope.invocation import invocation
    from recallscope.profiling.rows import roof_rows
    from recallscope.profiling.tables import format_roofs

    _check_out(out)
    dtype = dtype or ("float32" if device == "cpu" else "bfloat16")
    if dtype not in DTYPES:
        raise ValueError(f"dtype: one of {', '.join(DTYPES)}, got {dtype!r}")
    table = None if rows is None else read_evidence(rows)
    roofs = measured_roofs(device_facts(device), DTYPES[dtype])
    typer.echo(format_roofs(roofs))
    made = roof_rows(roofs, invocation())
    if out:
        from recallscope.evidence import write_evidence

        write_evidence(made, out)
        if table is not None:
            _draw(table, made, out)
    if as_json:
        typer.echo(json.dumps(made.to_pylist()))


def _write(table: pa.Table, roofs: pa.Table, out: Path) -> None:
    import pyarrow as pa

    from recallscope.evidence import write_evidence
    from recallscope.profiling.plots import time_against_length

    write_evidence(pa.concat_tables([roofs, table], promote_options="permissive"), out)
    time_against_length(table).write_html(out.with_suffix(".html"), include_plotlyjs=True)
    _draw(table, roofs, out)


def _draw(table: pa.Table, roofs: pa.Table, out: Path) -> None:
    from recallscope.profiling.plots import roofline_figure

    path = out.with_name(f"{out.stem}-roofline.html")
    roofline_figure(table, roofs).write_html(path, include_plotlyjs=True)


def _check_out(out: Path | None) -> None:
    from recallscope.checks import check_folder

    if out is not None:
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


def _lengths(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) for part in parts):
        raise ValueError(f"length: whole numbers of at least 1, separated by commas, got {text!r}")
    return sorted({int(part) for part in parts})
