"""What the paper prints (arXiv 2402.01093v2): its tables as rows, and the text's claims that have no table."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

FULL_TOKENS = {1_000_000: "1M", 8_000_000: "8M", 64_000_000: "64M"}


def printed_rows() -> list[dict[str, Any]]:
    """Perplexities of Table 8 and of Table 4 (the best of each method), sizes with other numbers of experts."""
    from recallscope.published import published_table

    return published_table("grangier_table8", "grangier_table4", "grangier_experts").to_pylist()


@cache
def printed_costs() -> Mapping[str, Mapping[str, float]]:
    """The cost table by method: `parameters pre-training`, `cost generic training`, `budget specialisation 1M`, ..."""
    from recallscope.published import published_table

    found: dict[str, dict[str, float]] = {}
    for row in published_table("grangier_costs").to_pylist():
        tokens = FULL_TOKENS.get(row.get("specialisation_tokens") or 0, "")
        name = " ".join(filter(None, [row["metric"], row["phase"], tokens]))
        found.setdefault(row["subject"], {})[name] = row["value"]
    return found
