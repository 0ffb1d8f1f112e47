"""The audit finds what is wrong in print, unaided, and nothing else; what it recomputes was known from elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
from recallscope.audit import CHECKS, audit
from recallscope.audit.claims import CLAIMS, claims
from recallscope.published import published_table

Row = dict[str, Any]

ALL = published_table().to_pylist()


@pytest.fixture(scope="module")
def every() -> list[Row]:
    return audit().to_pylist()


WRONG = {
    "AR share of tokens": {
        ("based_table1", "GLA 362m/10b", 3.3),
        ("based_table1", "H3 362m/10b", -0.04),
        ("based_table6", "2: Performer 16 (16), window 64, convolutions yes, decay yes", 72),
        ("zoology_table1", "Hyena 125M", -0.52),
        ("zoology_table1", "Hyena 355M", -0.53),
        ("zoology_table2", "BaseConv + random-selection sparse attention 355M", -0.38),
        ("zoology_table2", "BaseConv + programmatic sparse attention (on repeated bigrams) 355M", -0.47),
        ("zoology_table2", "BaseConv + full attention (3 layers) 355M", -4.5),
    },
    "AR share of tokens, by training": {
        ("based_table1", "3e+10 training tokens", -1.3),
        ("based_table1", "5e+10 training tokens", -1.3),
    },
    "stated share of tokens": {("zoology_table1", None, 0.51), ("zoology_table1", None, -0.51)},
    "share of the gap": {("zoology_table1", "Hyena 355M", -24)},
    "average": {
        ("jrt_table1", "Mamba 1.3B/10B, default", 0.22),
        ("jrt_table1", "GLA 1.3B/100B, default", 0.27),
        ("jrt_table1", "GLA 1.3B/100B, JRT-Prompt", 0.37),
        ("jrt_table1", "Mamba-2 130M/300B, JRT-Prompt", -0.017),
    },
    "throughput, whatever the training": {
        ("based_table1", "Transformer++ 360m/30b", 104),
        ("based_table1", "Transformer++ 360m/30b", 22.8),
        ("based_table1", "Based 363m/30b", 353),
        ("based_table1", "Based 363m/30b", 22.9),
        ("based_table1", "Mamba 358m/30b", 155),
        ("based_table1", "Mamba 358m/30b", 14.3),
    },
    "printed twice": {
        ("jrt_table3", "Based 360M/10B", -3.1),
        ("jrt_table3", "Based 360M/10B", -5.6),
        ("jrt_table5_length", "Fast Transformers CUDA", -0.4),
        ("jrt_table5_length", "Based Triton (FLA)", -0.1),
    },
    "claim: lead over Mamba in recall, 1.3B/50B": {("based_claims", None, -0.58)},
    "claim: lead over Mamba in recall, 360M/30B": {("based_claims", None, 1.3)},
    "claim: generation faster than Mamba, 360M": {("based_claims", None, -99)},
    "claim: mean gain of JRT-Prompt": {("jrt_claims", None, 0.15)},
    "claim: deviation of the gain": {("jrt_claims", None, 0)},
}
"""Everything in print that does not fit, and by how much beyond rounding."""


def test_finds_what_is_wrong_in_print_and_nothing_else(every: list[Row]):
    found: dict[str, set[tuple[str, str, float]]] = {}
    for row in every:
        if row["verdict"] == "disagrees":
            found.setdefault(row["metric"], set()).add((row["table"], row["row"], row["off"]))
    assert set(found) == set(WRONG)
    for check, wrong in WRONG.items():
        key = lambda one: (one[0], one[1] or "", one[2])  # noqa: E731
        for own, said in zip(sorted(found[check], key=key), sorted(wrong, key=key), strict=True):
            assert own[:2] == said[:2] and own[2] == pytest.approx(said[2], rel=0.05), check


def test_what_is_wrong_carries_a_flag_in_the_data_and_what_agrees_in_the_audited_tables_none(every: list[Row]):
    for found in every:
        if found["verdict"] == "disagrees" and found["metric"] != "AR share of tokens, by training":
            cells = [row for row in ALL if (row["table"], row["row"]) == (found["table"], found["row"])]
            cells = [row for row in cells if row["metric"] == found["of"] and row["subject"] == found["subject"]]
            assert any(row["flag"] for row in cells), found
    shares = {(row["table"], row["row"]) for row in every if row["metric"] == "AR share of tokens"}
    wrong = {
        one for one in shares if one in {(row["table"], row["row"]) for row in every if row["verdict"] == "disagrees"}
    }
    for row in ALL:
        if row["metric"] == "perplexity" and (row["table"], row["row"]) in shares - wrong and row["flag"]:
            assert "50B" in row["flag"]  # all rows of these token counts are flagged, since they differ as a group


def test_what_is_open(every: list[Row]):
    names = {(row["table"], row["metric"]) for row in every if row["verdict"] == "open"}
    assert names == {
        ("zoology_claims", "claim: gap closed"),
        ("zoology_claims", "claim: largest gap"),
        ("zoology_claims", "claim: mean share of gap"),
        ("based_claims", "claim: lead in recall"),
        ("based_claims", "claim: prefill faster than FlashAttention-2, 360M"),
        ("based_claims", "claim: prefill faster than Mamba, 360M"),
        ("based_claims", "claim: recall accuracy in % of attention"),
        ("based_table1", "share of the gap"),
    }


def test_recomputed_numbers(every: list[Row]):
    """Known beforehand, from the same tables by other people's arithmetic."""
    gaps = {row["row"]: row["value"] for row in every if row["metric"] == "share of the gap"}
    known = {
        "Long Conv 125M": 40.1, "H3 125M": 87.8, "Hyena 125M": 112.9, "RWKV 125M": 122.4, "Long Conv 355M": 40.5,
        "H3 355M": 65.6, "Hyena 355M": 71.7, "RWKV 355M": 126.7, "Based 1.35b/10b": 22, "Mamba 1.32b/10b": 28,
        "Based 363m/10b": 23, "Mamba 358m/10b": 40, "Based 363m/30b": 34, "Based 1.35b/50b": 64,
    }  # fmt: skip
    assert {name: pytest.approx(gaps[name], abs=1) for name in known} == known
    assert gaps["Mamba 1.32b/50b"] is None
    claimed = {row["metric"]: row["value"] for row in every if row["table"] == "zoology_claims"}
    assert claimed["claim: mean share of gap"] == pytest.approx(79.1, abs=0.05)
    assert claimed["claim: gap closed"] == pytest.approx(90.4, abs=0.06)


def test_every_claim_of_a_paper_finds_its_cells():
    used = {row["claim"] for row in ALL if row.get("claim")}
    assert used == {*CLAIMS, "none"}
    for found in claims([row for row in ALL if row.get("claim") in CLAIMS], ALL):
        assert found["value"] is not None


def test_rows_without_what_a_check_needs_are_passed_over():
    bare = [{"subject": "a", "metric": "perplexity", "value": None, "unit": "1", "flag": None, "kind": "published"}]
    assert all(check(bare) == [] for check in CHECKS) and claims(bare, ALL) == []


def test_one_table_and_unknown_ones():
    assert set(audit("jrt_table2").column("metric").to_pylist()) == {"average"}
    with pytest.raises(ValueError, match=r"table: one of based_checkpoints, .*, or a .csv or .jsonl file, got 'nope'"):
        audit("nope")
    with pytest.raises(ValueError, match="table: nothing can be recomputed from jrt_table7"):
        audit("jrt_table7")
