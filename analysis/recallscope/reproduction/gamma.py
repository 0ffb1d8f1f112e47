"""Kausik, Scaling Efficient LLMs (arXiv 2402.14746): the exponent γ of the efficient size, and which β it hangs on."""

from __future__ import annotations

from collections.abc import Sequence

from recallscope.reproduction.statements import Row, Spread, statement
from recallscope.scaling import efficient_exponent, growth_of_corpus, published_law
from recallscope.scaling.published import LAWS, published_exponent
from recallscope.scaling.tables import EXPONENT, exponent_rows

CORPUS = "corpus for twice the skills"
CLOSE = 0.005
"""Half a unit of the last digit in print."""


def gamma_rows() -> list[Row]:
    """γ of every published law, and what the abstracts state."""
    laws = [row for name, title in LAWS.items() for row in exponent_rows(published_law(name), title)]
    return [*laws, *published_exponent()]


def gamma_statements(rows: Sequence[Row]) -> list[Row]:
    """Whether each published β gives the interval in print, and what doubling then takes; all from printed numbers."""
    printed = [row for row in rows if row["metric"] == EXPONENT and row["kind"] == "published"]
    ends = next(row for row in printed if row["value"] is None)
    middle = max(row["value"] for row in printed if row["value"] is not None)
    found = [_interval(name, title, ends, middle) for name, title in LAWS.items()]
    return [*found, *_doubling(rows)]


def _interval(name: str, title: str, ends: Row, middle: float) -> Row:
    gamma = efficient_exponent(published_law(name).exponents[1])
    close = abs(gamma.low - ends["low"]) < CLOSE and abs(gamma.high - ends["high"]) < CLOSE
    return statement(
        f"γ between 1 - 2β and 1 - β (reconstructed), β of {title}",
        Spread((gamma.low + gamma.high) / 2, gamma.low, gamma.high), close, "both ends as in print, to two digits",
        published=Spread(middle, ends["low"], ends["high"]), basis="print",
    )  # fmt: skip


def _doubling(rows: Sequence[Row]) -> list[Row]:
    least, most = growth_of_corpus(2.0, published_law("hoffmann").exponents[1])
    found = []
    for row in rows:
        if row["metric"] == CORPUS and row["value"] is not None:
            found.append(statement(
                "corpus for twice the size at the lower end of γ, as printed β gives it", Spread(most),
                most > row["value"], "more than in print, as the abstract of v3 says", published=Spread(row["value"]),
                basis="print",
            ))  # fmt: skip
        elif row["metric"] == CORPUS:
            inside = round(least) == row["low"] and round(most) == row["high"]
            found.append(statement(
                "corpus for twice the size, both ends of γ", Spread((least + most) / 2, least, most), inside,
                "3 and 5 when rounded, as the abstract of v1 says",
                published=Spread((row["low"] + row["high"]) / 2, row["low"], row["high"]), basis="print",
            ))  # fmt: skip
    return found
