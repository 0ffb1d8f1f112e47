"""Sums, averages and repetitions that would show a typing error in the stored tables."""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from recallscope.published import matching, published_table

Row = dict[str, Any]

ALL = published_table().to_pylist()


def rows(name: str, *where: str) -> list[Row]:
    return matching([row for row in ALL if row["table"] == name], where)


def value(name: str, where: str) -> float:
    (row,) = rows(name, where)
    return row["value"]


TOTALS = {  # of columns as they are printed, added up by another program from another copy
    "zoology_table1; metric=perplexity": {"slice=all": "116.10", "slice=AR": "72.94", "slice=other": "122.08"},
    "zoology_table1; metric=loss": {"slice=all": "24.37", "slice=AR": "16.80", "slice=other": "24.93"},
    "zoology_table1": {"metric=share of gap": "633.0"},
    "zoology_table2": {"slice=all": "61.11", "slice=AR": "21.04", "slice=other": "65.75"},
    "zoology_figure2": {"width=64": "7.92", "width=128": "9.73", "width=256": "11.22", "width=512": "12.19"},
    "based_table1": {"slice=all": "119.40", "slice=AR": "32.21", "slice=other": "131.77", "task=SWDE": "609.36",
                     "task=FDA": "405.74", "task=SQuAD": "384.49", "task=LM-Evals": "607.50"},
    "based_table6": {"slice=all": "105.89", "slice=AR": "31.99", "slice=other": "119.46", "task=SWDE": "305.46",
                     "task=FDA": "123.36", "task=SQuAD": "272.87"},
    "based_checkpoints": {"task=SWDE": "234.29", "task=FDA": "177.13", "task=SQuAD": "171.71"},
    "jrt_table1; prompt=default": {"task=FDA": "823.7", "task=SWDE": "580.9", "task=NQ": "430.4", "task=SQuAD": "579.8",
                                   "task=TriviaQA": "871.7", "task=Drop": "332.5", "task=null": "602.8"},
    "jrt_table1; prompt=JRT-Prompt": {"task=FDA": "1035.4", "task=SWDE": "785.9", "task=NQ": "531.1",
                                      "task=SQuAD": "866.4", "task=TriviaQA": "894.8", "task=Drop": "565.0",
                                      "task=null": "779.6"},
    "jrt_table2; length=512": {"task=FDA": "802.7", "task=SWDE": "472.7", "task=NQ": "320.6"},
    "jrt_table2; length=1024": {"task=FDA": "653.6", "task=SWDE": "404.2", "task=NQ": "243.5"},
    "jrt_table2; length=null": {"task=SQuAD": "441.5", "task=TriviaQA": "577.1", "task=Drop": "266.5",
                                "task=null": "464.6"},
    "jrt_table3": {"": "748.6"}, "jrt_table4": {"": "917.1"}, "jrt_table11": {"": "314.9"},
    "jrt_table12": {"": "643.6"}, "jrt_table14": {"": "1515.9"}, "jrt_table8_9": {"": "948.2"},
    "grangier_table8": {"data=generic": "255.36", "specialisation_tokens=0": "478.95",
                        "specialisation_tokens=1e6": "261.86", "specialisation_tokens=8e6": "219.47",
                        "specialisation_tokens=64e6": "175.77"},
    "grangier_table4": {"specialisation_tokens=0": "61.1", "specialisation_tokens=1e6": "259.7",
                        "specialisation_tokens=8e6": "72.9", "specialisation_tokens=64e6": "39.6"},
    "grangier_experts": {"metric=parameters": "47788", "metric=perplexity": "51.35"},
    "jrt_table5_length": {"length=2048": "52.6", "length=4096": "193.9", "length=8192": "352.7",
                          "length=16384": "164.8", "length=32768": "250.6"},
    "jrt_table5_batch": {"batch=2": "340.7", "batch=4": "669.2", "batch=8": "73.6", "batch=16": "137.5",
                         "batch=32": "136.2", "batch=64": "273.8"},
}  # fmt: skip


@pytest.mark.parametrize("columns", TOTALS)
def test_totals_of_columns(columns: str):
    name, _, where = columns.partition(";")
    for column, total in TOTALS[columns].items():
        cells = [row["value"] for row in rows(name, where, column) if row["value"] is not None]
        assert sum(Decimal(str(cell)) for cell in cells) == Decimal(total), column


def test_sums_that_show_a_typing_error():
    """Averages and logarithms that the papers print beside their numbers."""
    for row in rows("jrt_table2", "metric=average accuracy"):
        cells = [cell["value"] for cell in rows("jrt_table2", f"row={row['row']}; metric=accuracy")]
        assert len(cells) == 9 and abs(sum(cells) / 9 - row["value"]) <= 0.1
    wrong = []
    for row in rows("jrt_table1", "metric=average accuracy"):
        cells = [cell["value"] for cell in rows("jrt_table1", f"row={row['row']}; metric=accuracy")]
        assert len(cells) == 6
        if abs(sum(cells) / 6 - row["value"]) > 0.1 + 1e-9:
            wrong.append(row["row"])
            assert row["flag"]
    assert wrong == [
        "Mamba 1.3B/10B, default",
        "GLA 1.3B/100B, default",
        "GLA 1.3B/100B, JRT-Prompt",
        "Mamba-2 130M/300B, JRT-Prompt",
    ]
    for row in rows("zoology_table1", "metric=loss"):
        assert math.log(
            value("zoology_table1", f"row={row['row']}; metric=perplexity; slice={row['slice']}")
        ) == pytest.approx(row["value"], abs=0.0076)
    assert sum(row["value"] for row in rows("zoology_table1", "metric=token share")) == 100


def test_perplexities_of_a_row_stand_in_the_order_of_a_mixture():
    for name in ("zoology_table1", "zoology_table2", "based_table1", "based_table6"):
        for row in rows(name, "metric=perplexity; slice=all"):
            parts = [value(name, f"row={row['row']}; metric=perplexity; slice={part}") for part in ("AR", "other")]
            assert min(parts) < row["value"] < max(parts)


def test_numbers_that_papers_print_twice():
    first = "1: Taylor2 16 (153), window 64, convolutions yes, decay yes"
    for part in ("all", "AR", "other"):
        assert value("based_table6", f"row={first}; slice={part}") == value(
            "based_table1", f"row=Based 363m/10b; slice={part}"
        )
    for task in ("SWDE", "FDA", "SQuAD"):
        assert value("based_table6", f"row={first}; task={task}") == value(
            "based_table1", f"row=Based 363m/10b; task={task}"
        )
        for row in rows("jrt_table14", f"task={task}; prompt=default|JRT-Prompt"):
            where = f"task={task}; subject=Mamba; scale={row['scale']}; prompt={row['prompt']}; training_tokens=3e11"
            assert row["value"] == value("jrt_table1", where)
    for row in rows("jrt_table4", "padding=read twice"):
        where = f"subject=JRT-RNN; scale={row['scale']}; task={row['task']}; length=512"
        assert row["value"] in [one["value"] for one in rows("jrt_table2", where)]
    for name, experts in (("SLM-pn", 32), ("SLM-mix", 16)):
        one = value("grangier_experts", f"metric=parameters; subject={name}; experts={experts}")
        assert one == value("grangier_costs", f"metric=parameters; row={name}; phase=pre-training")
    for part, other in (("all", 9.44), ("AR", 1.98), ("other", 10.62)):
        both = f"row=Attention 355M; metric=perplexity; slice={part}"
        assert value("zoology_table1", both) == value("zoology_table2", both) == other


def test_latencies_grow_with_length_and_batch():
    empty = Counter(row["flag"] for axis in ("length", "batch") for row in rows(f"jrt_table5_{axis}", "value=null"))
    assert empty == {"out of memory": 16, "illegible in the copy that was read": 2}
    for axis in ("length", "batch"):
        own = rows(f"jrt_table5_{axis}", "value!=null")
        assert len({row[axis] for row in own}) > 4 and len({row["row"] for row in own}) == 8
        for name in {row["row"] for row in own}:
            line = sorted((row[axis], row["value"]) for row in own if row["row"] == name)
            assert [value for _, value in line] == sorted(value for _, value in line)
