"""Frontiers of printed tables: points, costs and Pareto sets against the cells themselves and brute force."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import recallscope
from recallscope.architectures.names import architecture
from recallscope.published import published_table
from recallscope.reproduction import (
    ablation_rows,
    beaten_statement,
    on_frontier_statement,
    prefill_rows,
    rising_statement,
    throughput_rows,
)
from recallscope.reproduction.plots import quality_against_cost
from recallscope.reproduction.printed import claimed

LESS = {"perplexity": 1, "average accuracy": -1, "accuracy": -1}


def cells(name: str) -> list[dict]:
    folder = Path(recallscope.__file__).parent / "published"
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def made() -> dict[str, list[dict]]:
    return {
        "throughput": throughput_rows(published_table("based_table1")),
        "ablation": ablation_rows(published_table("based_table6")),
        "prefill": prefill_rows(published_table("jrt_table2", "jrt_table5_length"), 16384),
    }


def test_the_pareto_set_of_each_panel_is_that_of_brute_force(made):
    for rows in made.values():
        for row in rows:
            cost = 1 if row["better"] == "lower" else -1
            own = (LESS[row["metric"]] * row["value"], cost * row["cost"])
            others = [(LESS[r["metric"]] * r["value"], cost * r["cost"]) for r in rows if r["panel"] == row["panel"]]
            beaten = any(o[0] <= own[0] and o[1] <= own[1] and o != own for o in others)
            assert row["on_frontier"] == (not beaten), row["subject"]


def test_throughputs_are_those_of_the_models_of_10_billion_tokens(made):
    known = {
        (r["scale"], r["phase"], r["subject"]): r["value"]
        for r in cells("based_table1")
        if r["metric"] == "throughput" and r["training_tokens"] == 10**10 and r["value"] is not None
    }
    rows = made["throughput"]
    drawn = {(*row["panel"].split(", "), row["subject"]): row["cost"] for row in rows}
    assert drawn == known and len(drawn) == 12
    assert all(row["cost_unit"] == "tokens/ms" and row["low"] < row["value"] < row["high"] for row in rows)


def test_states_of_the_ablations_are_those_of_the_mixers(made):
    """Based with symmetric features and its window as modules of this toolkit, 5 layers of each."""
    state = {row["subject"]: row["cost"] for row in made["ablation"]}
    for key, window in ((8, 64), (16, 64), (16, 128), (24, 64), (32, 64)):
        linear = architecture(mixer="based", layers=5, width=1024, heads=16, key_width=key, symmetric=True)
        windows = architecture(mixer="sliding_window", layers=5, width=1024, heads=16, window=window)
        assert state[f"Taylor2 {key}, window {window}"] == linear.state_elements(2048) + windows.state_elements(2048)
    assert state["Taylor2 16, no window"] == 5 * 153 * 1040
    performer = {row["panel"] for row in made["ablation"] if row["series"] == "Performer"}
    assert performer == {"SWDE", "FDA"}  # its perplexities are flagged


def test_prefill_is_that_of_the_kernel_that_a_model_reads_with(made):
    latency = {r["subject"]: r["value"] for r in cells("jrt_table5_length") if r["length"] == 16384}
    average = {r["row"]: r["value"] for r in cells("jrt_table2") if r["metric"] == "average accuracy"}
    kernel = {"Transformer": "FlashAttention-2", "Based": "Based custom CUDA", "JRT-RNN": "JRT-RNN custom CUDA"}
    assert len(made["prefill"]) == 9
    for row in made["prefill"]:
        assert row["cost"] == latency[kernel[row["subject"]]]
        assert row["value"] == average[f"{row['subject']} {row['panel']}"]


def panel(name, **points):
    return [
        {"panel": name, "subject": subject, "metric": "perplexity", "value": quality, "cost": cost, "better": "lower",
         "on_frontier": on}
        for subject, (quality, cost, on) in points.items()
    ]  # fmt: skip


def test_statements_by_hand():
    rows = panel("perplexity a", A=(2.0, 5, False), B=(1.9, 5, True)) + panel("b", A=(2.0, 5, True), B=(1.9, 6, True))
    assert on_frontier_statement(rows, "A")["value"] == 50 and not on_frontier_statement(rows, "A")["holds"]
    assert on_frontier_statement(rows, "B")["holds"] and not on_frontier_statement(rows, "B", False)["holds"]
    beaten = beaten_statement(rows, "A", "B")
    assert (beaten["value"], beaten["holds"], beaten["n"]) == (50, False, 2)
    equal = panel("a", A=(2.0, 5, True), B=(2.0, 5, True))
    assert beaten_statement(equal, "A", "B")["value"] == 0
    down, up = rising_statement(rows, "perplexity a", ["A", "B"]), rising_statement(rows, "b", ["A", "B"])
    assert down["holds"] and not up["holds"] and down["value"] == pytest.approx(-0.1)
    with pytest.raises(ValueError, match="rows: points of 'C', got none"):
        on_frontier_statement(rows, "C")


def test_claims_are_those_in_print():
    assert claimed("based_claims", "Based", "generation over FlashAttention-2, 1.3B") == (24, 23.5, 24.5)
    with pytest.raises(ValueError, match="metric: one claim of based_claims on 'Based', got 'nope', which 0 have"):
        claimed("based_claims", "Based", "nope")


def test_what_is_beaten_is_pale_and_the_line_joins_the_rest(made):
    from recallscope.evidence import evidence

    for rows in made.values():
        figure: Any = quality_against_cost(evidence(rows))
        panels = list(dict.fromkeys(row["panel"] for row in rows))
        lines = [trace for trace in figure.data if trace.mode == "lines"]
        for line, name in zip(lines, panels, strict=True):
            best = sorted((row["cost"], row["value"]) for row in rows if row["panel"] == name and row["on_frontier"])
            assert sorted(zip(line.x, line.y, strict=True)) == best and list(line.x) == sorted(line.x)
        opaque = [o for trace in figure.data if trace.mode != "lines" for o in trace.marker.opacity]
        assert opaque.count(1) == sum(row["on_frontier"] for row in rows) and len(opaque) == len(rows)
