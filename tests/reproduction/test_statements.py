"""Rank correlations, verdicts and entries, against values worked out by hand or by another route."""

from __future__ import annotations

import math

import numpy as np
import pytest
from recallscope.evidence import evidence
from recallscope.reproduction import Remade, entry_lines, rank_correlation, statement, verdict
from recallscope.reproduction import plots as remade
from recallscope.reproduction.entry import number
from recallscope.reproduction.statements import Spread


def test_rank_correlation_by_hand():
    """Differences of ranks 1, 1, 1, 1, 0: ρ = 1 - 6 · 4 / (5 · 24) = 0.8."""
    found, n = rank_correlation([1, 2, 3, 4, 5], [20, 10, 40, 30, 50])
    half = 1.959963984540054 * math.sqrt((1 + 0.8**2 / 2) / 2)
    assert n == 5 and found.value == pytest.approx(0.8)
    assert found[1:] == pytest.approx([math.tanh(math.atanh(0.8) + sign * half) for sign in (-1, 1)])


def test_rank_correlation_of_ties_is_that_of_mean_ranks():
    x, y = [1, 1, 2, 3, 3, 4], [5, 7, 7, 8, 9, 9]
    ranks = [[np.mean([k + 1 for k, other in enumerate(sorted(v)) if other == one]) for one in v] for v in (x, y)]
    assert rank_correlation(x, y)[0].value == pytest.approx(np.corrcoef(ranks[0], ranks[1])[0, 1])


@pytest.mark.parametrize("pairs", [([1, 2, 3, 4], [1, 3, 2, 4]), (range(9), range(9)), (range(9), range(9, 0, -1))])
def test_few_pairs_and_perfect_order_have_no_interval(pairs):
    assert rank_correlation(*pairs)[0][1:] == (None, None)


@pytest.mark.parametrize(("x", "y"), [([1, 2], [1, 2]), ([1, 2, 3], [1, 2])])
def test_too_few_pairs_are_refused(x, y):
    with pytest.raises(ValueError, match="x, y: equally many values, at least 3, got"):
        rank_correlation(x, y)


def holding(*holds):
    return [statement(f"s{k}", Spread(float(k)), one, "as it is") for k, one in enumerate(holds)]


def test_verdicts():
    assert verdict(holding(True, True)) == "reproduced: 2 of 2 statements hold"
    assert verdict(holding(True, False, None)) == "partly: 1 of 2 statements hold"
    assert verdict([*holding(False), {"metric": "accuracy"}]) == "not: 0 of 1 statements hold"
    with pytest.raises(ValueError, match="rows: at least one statement that is decided, got none"):
        verdict(holding(None))


def test_an_entry_has_both_values_and_the_verdict():
    row = statement("share", Spread(71.66, 69.57, 73.83), False, "equal", published=Spread(98.2), unit="%", n=1200)
    lines = entry_lines(Remade("A, Figure 1", "this", "that", "`run`", "own text"), "a.py", [row])
    assert lines[2] == "`a.py` · **not (own text): 0 of 1 statements hold; share: 71.66 [69.57, 73.83] %**"
    assert "| share | 98.2 % | 71.66 [69.57, 73.83] % (n = 1,200) | equal | no |" in lines


def test_numbers():
    shown = [number(value, None, None, "1") for value in (None, 0.0, 0.0126, -0.9876, 12.346, 123.46, 12345.6)]
    assert shown == ["–", "0", "0.013", "-0.988", "12.35", "123.5", "12,346"]
    assert number(1.0, 0.99, 1.0, "1") == "1 [0.99, 1]" and number(2.0, 2.0, 2.0, "nats") == "2 nats"


@pytest.mark.parametrize("name", [name for name in dir(remade) if callable(getattr(remade, name))])
def test_tables_without_their_rows_are_refused(name):
    other = evidence([{"subject": "a", "metric": "speed", "value": 1.0, "unit": "m/s", "kind": "measured"}])
    with pytest.raises(ValueError, match=r"table: rows of the metric '.*got none"):
        getattr(remade, name)(other)
