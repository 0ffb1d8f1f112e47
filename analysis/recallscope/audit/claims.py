"""Claims of running text, recomputed from the tables that they speak of.

A claim is a row with `claim`, one of `CLAIMS`, and with the cells that it is computed from: conditions `of`, `to`, `by`
as `recallscope.published.matching` reads them. Several cells stand for their mean, unless `pair` names columns: then
the cells of `of` and `to` that agree in these are taken together. `n` is the number of pairs that the text names, and
`assumes` what the recomputation takes for granted.
"""

from __future__ import annotations

from collections.abc import Callable

from recallscope.audit.findings import Row, finding
from recallscope.audit.intervals import Cell, cell, deviation, difference, mean, through
from recallscope.published.where import matching

Cells = list[Cell]


def plain_mean(of: Cells, to: Cells, by: Cells) -> Cell | None:
    """Zoology (arXiv 2312.04927), abstract: 82 % of the gap, the mean of a column of Table 1."""
    return mean(of)


def lead(of: Cells, to: Cells, by: Cells) -> Cell | None:
    """Based (arXiv 2402.18668v2), abstract and Section 6.1: 10.36 points over Mamba, mean of SWDE, FDA, SQuAD."""
    return difference(mean(of), mean(to))


def below(of: Cells, to: Cells, by: Cells) -> Cell | None:
    """Zoology, abstract: 70M attention has a lower AR perplexity (Table 4) than Hyena of 1.4B (Table 5)."""
    return difference(mean(of), mean(to))


def ratio(of: Cells, to: Cells, by: Cells) -> Cell | None:
    """JRT (arXiv 2407.05483), Section 5: prefill 19.2 times as fast, from Table 5; Based: 24 times, from Table 1."""
    return through(lambda a, b: (a, b), mean(of), mean(to))


def percent_of(of: Cells, to: Cells, by: Cells) -> Cell | None:
    """JRT, Section 5: 99 % of the Transformer, from the averages of Table 2."""
    return through(lambda a, b: (100 * a, b), mean(of), mean(to))


def percent_more(of: Cells, to: Cells, by: Cells) -> Cell | None:
    """Based, Section 6.2: 56 % faster than FlashAttention-2, from the throughputs of Table 1."""
    return through(lambda a, b: (100 * (a - b), b), mean(of), mean(to))


def gap_closed(of: Cells, to: Cells, by: Cells) -> Cell | None:
    """Zoology, abstract: 97.4 % of the gap closed: (φ - φ_hybrid) / (φ - φ_attention) of Table 2's perplexities."""
    return through(lambda a, b, c: (100 * (a - c), a - b), mean(of), mean(to), mean(by))


def largest_difference(of: Cells, to: Cells, by: Cells) -> Cell | None:
    """Zoology, Section 1: "up to 2.1 perplexity points", the largest over the pairs."""
    pairs = [difference(a, b) for a, b in zip(of, to, strict=True)]
    return Cell(*(max(bounds) for bounds in zip(*pairs, strict=True)))


def mean_difference(of: Cells, to: Cells, by: Cells) -> Cell | None:
    """JRT, abstract: 11.0 points, the mean over models of Table 1's second average less its first."""
    return mean([difference(a, b) for a, b in zip(of, to, strict=True)])


def deviation_of_differences(of: Cells, to: Cells, by: Cells) -> Cell | None:
    """JRT, abstract: ± 1.3, the standard deviation (divisor n) of these differences."""
    return deviation([difference(a, b) for a, b in zip(of, to, strict=True)])


CLAIMS: dict[str, Callable[[Cells, Cells, Cells], Cell | None]] = {
    "mean": plain_mean,
    "difference": lead,
    "below": below,
    "ratio": ratio,
    "percent of": percent_of,
    "percent more": percent_more,
    "gap closed": gap_closed,
    "largest difference": largest_difference,
    "mean difference": mean_difference,
    "deviation of differences": deviation_of_differences,
}

NEEDED = {"mean": ("of",), "gap closed": ("of", "to", "by")} | {
    name: ("of", "to", "pair") for name in ("largest difference", "mean difference", "deviation of differences")
}


def claims(rows: list[Row], pool: list[Row]) -> list[Row]:
    """Every claim among the rows, recomputed from the cells of `pool`; one without `of` is open."""
    return [_claim(row, pool) for row in rows if row.get("claim")]


def _claim(row: Row, pool: list[Row]) -> Row:
    title = f"claim: {row['metric']}"
    printed = Cell(0, float("-inf"), 0) if row["claim"] == "below" else None if row["value"] is None else cell(row)
    if not row.get("of"):
        note = row.get("flag") or "names no cells"
        return finding(title, row, None, printed, row["unit"], note)
    if row["claim"] not in CLAIMS:
        raise ValueError(f"claim: one of {', '.join(CLAIMS)}, got {row['claim']!r}")
    needed = NEEDED.get(row["claim"], ("of", "to"))
    if any(not row.get(name) for name in needed):
        raise ValueError(
            f"claim: {row['claim']!r} needs {', '.join(needed)}, got {', '.join(n for n in needed if row.get(n))}"
        )
    numbers = [one for one in pool if one["value"] is not None]
    of, to, by = (matching(numbers, text) if (text := row.get(name)) else [] for name in ("of", "to", "by"))
    if not of or (row.get("to") and not to) or (row.get("by") and not by):
        return finding(title, row, None, printed, row["unit"], "no cells match")
    if row.get("pair"):
        of, to = _paired(of, to, [name.strip() for name in row["pair"].split(";")])
    found = CLAIMS[row["claim"]](*([cell(one) for one in cells] for cells in (of, to, by)))
    made = finding(
        title,
        row,
        found,
        printed,
        row["unit"],
        f"from {len(of)} pairs" if to and row.get("pair") else "",
        row.get("assumes"),
    )
    if row.get("n") not in (None, len(of)):
        made |= {"verdict": "disagrees", "note": f"from {len(of)} pairs, {row['n']} claimed"}
    return made


def _paired(of: list[Row], to: list[Row], columns: list[str]) -> tuple[list[Row], list[Row]]:
    """Cells in pairs: for each of `of` the one of `to` with the same values in these columns."""
    keys = {tuple(row.get(name) for name in columns): row for row in to}
    pairs = [(row, keys[key]) for row in of if (key := tuple(row.get(name) for name in columns)) in keys]
    if not pairs:
        raise ValueError(f"pair: columns in which cells of `of` and `to` agree, got {', '.join(columns)}")
    return [one for one, _ in pairs], [other for _, other in pairs]
