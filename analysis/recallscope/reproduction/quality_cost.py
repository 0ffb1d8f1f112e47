"""Tables of Based and JRT as frontiers of quality against cost, from printed numbers alone."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from recallscope.evidence import evidence
from recallscope.reproduction.statements import Row, Spread, statement

if TYPE_CHECKING:
    import pyarrow as pa

BASED_PANELS = (
    ("1.3B, generation", "1.3B", "phase=generation"), ("1.3B, prefill", "1.3B", "phase=prefill,length=4096"),
    ("360M, generation", "360M", "phase=generation"), ("360M, prefill", "360M", "phase=prefill,length=16384"),
)  # fmt: skip
"""Panel, scale, which throughput: Table 1, models of 10 B tokens (the 360M rows of 30 B repeat throughputs of 1.3B)."""

KERNELS = {
    "Transformer": "FlashAttention-2", "Based": "Based custom CUDA", "JRT-RNN": "JRT-RNN custom CUDA",
}  # fmt: skip
"""The kernel of Table 5 that reads the prompt of a model of Table 2."""

LAYERS, WIDTH, HEADS = 5, 1024, 16
"""Linear layers, and as many of windows, of Based at 360M."""


def frontier_rows(table: pa.Table, quality: str, cost: str, panel: str) -> list[Row]:
    """The points of one frontier (`recallscope.frontier.frontiers`), as rows with their cost, panel and verdict."""
    from recallscope.frontier.points import frontiers

    (frontier,) = frontiers(table, quality, cost)
    rows = []
    for point in frontier.points:
        number = point.quality
        rows.append({
            "subject": point.subject, "metric": frontier.quality.metric, "value": number.value, "low": number.low,
            "high": number.high, "unit": frontier.quality.unit, "kind": number.kind, "source": number.source,
            "trust": number.trust, "flag": number.flag, "panel": panel, "cost": point.cost.value,
            "cost_low": point.cost.low, "cost_high": point.cost.high, "cost_unit": frontier.cost.unit,
            "cost_metric": frontier.cost.metric.replace("_", " "), "better": frontier.cost.better,
            "on_frontier": point.best, "verdict": point.verdict,
        })  # fmt: skip
    return rows


def throughput_rows(published: pa.Table) -> list[Row]:
    """Based, Table 1: perplexity on AR hits against the throughput, by scale and phase."""
    rows = []
    for panel, scale, phase in BASED_PANELS:
        quality = f"perplexity:slice=AR,scale={scale},training_tokens=10000000000"
        rows += frontier_rows(published, quality, f"throughput:{phase}", panel)
    return rows


def ablation_rows(published: pa.Table) -> list[Row]:
    """Based, Table 6: quality against the state of the linear and the sliding-window layers, of rows without a flag.

    The state follows from the printed features F and window W: 5 layers of F (D + H), and 5 of 2 W D elements, D = 1024
    and H = 16; convolutions are left out. Performer's perplexities, which contradict each other, are flagged.
    """
    rows = published.to_pylist()
    features = {row["row"]: row["value"] for row in rows if row["metric"] == "features"}
    drawn = []
    for row in rows:
        if row["metric"] != "features" and not row["flag"]:
            state = LAYERS * (features[row["row"]] * (WIDTH + HEADS) + 2 * (row["window"] or 0) * WIDTH)
            drawn.append(row | {"state_elements": int(state), "subject": ablation_name(row)})
    table = evidence(drawn)
    panels = {"perplexity on AR hits": "perplexity:slice=AR", "SWDE": "accuracy:task=SWDE", "FDA": "accuracy:task=FDA"}
    made = [row for panel, quality in panels.items() for row in frontier_rows(table, quality, "state_elements", panel)]
    names = [row["subject"].partition(" ") for row in made]
    return [row | {"series": name, "label": tail} for row, (name, _, tail) in zip(made, names, strict=True)]


def ablation_name(row: Row) -> str:
    """`Taylor2 16, window 64`, with what else was left out."""
    name = f"{row['feature_map']} {row['key_width']}, " + (f"window {row['window']}" if row["window"] else "no window")
    left_out = {"convolutions": row["convolutions"], "decay": row["decay"]}
    return name + "".join(f", no {part}" for part, there in left_out.items() if not there)


def prefill_rows(tables: pa.Table, length: int) -> list[Row]:
    """JRT: average accuracy of Table 2 against the prefill latency of the model's kernel in Table 5, by scale."""
    rows = tables.to_pylist()
    latency = {row["row"]: row["value"] for row in rows
               if row["table"] == "jrt_table5_length" and row["length"] == length}  # fmt: skip
    averages = [row for row in rows if row["table"] == "jrt_table2" and row["metric"] == "average accuracy"]
    drawn = [row | {"latency": latency[KERNELS[row["subject"]]]} for row in averages if row["subject"] in KERNELS]
    made = []
    for panel in dict.fromkeys(_scale(row) for row in drawn):
        table = evidence(row for row in drawn if _scale(row) == panel)
        made += [row | {"cost_unit": "ms", "length": length}
                 for row in frontier_rows(table, "average accuracy", "latency", panel)]  # fmt: skip
    return made


def _scale(row: Row) -> str:
    return row["row"].split(" ")[-1]


def on_frontier_statement(rows: list[Row], model: str, all_of_them: bool = True) -> Row:
    """How many points of a model, or of all whose name begins so, are on the frontier; all should be, or none."""
    own = [row["on_frontier"] for row in rows if row["subject"].startswith(model)]
    if not own:
        raise ValueError(f"rows: points of {model!r}, got none")
    return statement(f"{model}: points on the frontier", Spread(100 * sum(own) / len(own)),
                     all(own) if all_of_them else not any(own), "all of them" if all_of_them else "none of them",
                     unit="%", n=len(own), basis="print")  # fmt: skip


def beaten_statement(rows: list[Row], model: str, by: str) -> Row:
    """In how many panels a model is beaten by another: as good or better at no more cost, and not equal in both."""
    panels = list(dict.fromkeys(row["panel"] for row in rows if row["subject"].startswith(model)))
    beaten = []
    for panel in panels:
        (own,), (other,) = (
            [row for row in rows if row["panel"] == panel and row["subject"] == name] for name in (model, by)
        )
        cheaper = own["cost"] - other["cost"] if own["better"] == "lower" else other["cost"] - own["cost"]
        gain = own["value"] - other["value"] if own["metric"] == "perplexity" else other["value"] - own["value"]
        beaten.append(min(cheaper, gain) >= 0 and max(cheaper, gain) > 0)
    return statement(f"{model}: panels in which {by} is better and no dearer", Spread(100 * sum(beaten) / len(beaten)),
                     all(beaten), "all of them", unit="%", n=len(beaten), basis="print")  # fmt: skip


def rising_statement(rows: list[Row], panel: str, names: list[str]) -> Row:
    """Whether every next of these models, in order, is better than the one before."""
    values = [next(row["value"] for row in rows if (row["panel"], row["subject"]) == (panel, name)) for name in names]
    sign = -1 if panel.startswith("perplexity") else 1
    steps = [sign * (after - before) > 0 for before, after in pairwise(values)]
    unit = "1" if sign < 0 else "points"
    return statement(f"{panel}: from {names[0]} to {names[-1]}", Spread(values[-1] - values[0]), all(steps),
                     "better with every step to more features", unit=unit, n=len(steps), basis="print")  # fmt: skip
