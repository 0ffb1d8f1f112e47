"""The paper's tables recomputed, against numbers worked out by hand."""

from __future__ import annotations

import pytest
from recallscope.budgets import recomputed
from recallscope.budgets.printed import printed_costs, printed_rows
from recallscope.budgets.tables import SHAPES, block_parameters, token_flops

FOUND = {one.what: one for one in recomputed()}


def test_every_comparison_with_print_holds():
    """Mixtures are k small models; 37,071 to 37,426 rows of width D outside the blocks give both printed sizes."""
    compared = {what for what, one in FOUND.items() if one.printed}
    assert compared == {
        *(f"SLM-mix, {k} experts" for k in (4, 16, 64, 256)),
        "rows outside the blocks, SLM and LLM the same",
    }
    assert all(FOUND[what].holds for what in compared)


@pytest.mark.parametrize(
    "what, value, digits",
    [
        ("SLM: tokens of the largest pre-training", 241, 0),  # 530 / 2.2
        ("SLM-pn: tokens of the largest pre-training", 181, 0),
        ("LLM: tokens of the largest pre-training", 84, 0),
        ("SLM-is: tokens a domain of the largest pre-training", 59, 0),
        ("LLM / SLM: hours a token, inference", 4.16, 2),  # 2.54 / 0.61
        ("LLM / SLM: hours a token, generic training", 3.5, 2),
        ("domains from which SLM-pn costs less than SLM-is", 5, 1),  # 650 / 130
        ("SLM-pn, 16 experts: h", 11.73, 2),  # (756 - 126) / 58.72 + 1
        ("SLM-pn, 32 experts: h", 23.07, 2),
        ("SLM-pn, 64 experts: h", 46.03, 2),
    ],
)
def test_numbers_worked_out_by_hand(what, value, digits):
    one = FOUND[what]
    assert round(one.value, digits) == value and one.low <= one.value <= one.high


def test_shapes_give_blocks_and_flops():
    """SLM: 7 (4 · 1024² + 2 · 1024 · 4096) = 88,080,384; with a head of 32,000 rows and 1,024 tokens of context."""
    assert block_parameters(SHAPES["SLM"]) == 88_080_384 and block_parameters(SHAPES["LLM"]) == 666_107_904
    assert token_flops(SHAPES["SLM"]) == 6 * (88_080_384 + 32_768_000) + 12 * 7 * 1024 * 1024
    assert all(0 < FOUND[f"{name}: share of peak, generic training"].high < 100 for name in SHAPES)


def test_printed_rows_agree_with_each_other():
    """Table 4 has the best of Table 8, or of a pre-training between and beyond its four."""
    rows = [row for row in printed_rows() if row["metric"] == "perplexity" and row.get("data") == "specialised"]
    best = [row for row in rows if "Table 4" in row["source"] and row["subject"] != "SLM-nopt"]
    assert len(best) == 8
    for row in best:
        same = [other["value"] for other in rows if "Table 8" in other["source"] and other["subject"] == row["subject"]
                and other["specialisation_tokens"] == row["specialisation_tokens"]]  # fmt: skip
        assert row["low"] <= min(same) and row["value"] > 0.97 * min(same)
    assert set(printed_costs()) == {"SLM", "SLM-is", "SLM-d", "SLM-mix", "SLM-pn", "LLM"}
