"""The accounting of four budgets, predictions between cells, the choice and where it changes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recallscope.budgets import Budgets, Cost, break_even, choose, flips, gpu_hours, known
from recallscope.budgets.cells import Cell, Grid, measured_grids, over_seeds
from recallscope.budgets.choice import best_method, least_changes
from recallscope.budgets.prediction import Prediction, Refusal, predict
from scipy import stats

PRINTED = known("published")


def grid(
    method="SLM", pays="generic_training", parameters=10.0, spent=(1, 10, 100), tokens=(100, 1000, 10_000)
) -> Grid:
    """ln perplexity = 5 - 0.1 ln spent - 0.2 ln tokens: interpolation of logarithms is exact."""
    cells = [
        Cell(s, t, t / 1000, value := 5 - 0.1 * math.log(max(s, 1)) - 0.2 * math.log(t), value - 0.01, value + 0.01)
        for s in spent for t in tokens
    ]  # fmt: skip
    return Grid(method, pays, parameters, 0.5, tuple(cells))


def test_costs_add_up_and_break_even_where_both_cost_the_same():
    a, b = Cost(600, 0.5, 2e-9), Cost(0, 130)
    assert a.total(4) == 602 and a.total(4, 1e9) == 604
    n = break_even(a, b)
    assert n is not None and a.total(n) == pytest.approx(b.total(n)) and n == pytest.approx(600 / 129.5)
    assert break_even(b, a) == n
    assert (
        break_even(a, a) is None
        and break_even(Cost(1, 1), Cost(2, 2)) is None
        and break_even(Cost(1, 1), Cost(1, 2)) is None
    )
    assert gpu_hours(3.6e15, 1e12, 0.5) == 2


@given(st.floats(1, 100), st.integers(100, 10_000))
def test_between_cells_a_power_law_is_exact_and_the_interval_that_of_the_cells(spent, tokens):
    found = predict(grid(), Budgets(spent, 1e9, 10, tokens), 7)
    assert isinstance(found, Prediction)
    exact = 5 - 0.1 * math.log(spent) - 0.2 * math.log(tokens)
    assert math.log(found.perplexity or 0) == pytest.approx(exact, abs=1e-9)
    assert math.log(found.high or 0) == pytest.approx(exact + 0.01, abs=1e-9)
    assert found.cost.generic == pytest.approx(spent) and found.cost.specialise == pytest.approx(tokens / 1000)


def test_beyond_the_evidence_nothing_is_extrapolated():
    most = predict(grid(), Budgets(1e6, 1e9, 10, 10**6), 1)
    assert isinstance(most, Prediction) and most.perplexity == pytest.approx(
        math.exp(5 - 0.1 * math.log(100) - 0.2 * math.log(1e4))
    )
    assert most.cost.generic == 100 and most.tokens == 10_000 and len(most.notes) == 2
    assert predict(grid(), Budgets(0.5, 1e9, 9, 50), 1) == Refusal(
        "SLM", (("inference", 10.0), ("specialisation_tokens", 100.0))
    )
    assert predict(grid(), Budgets(0.5, 1e9, 10, 100), 1) == Refusal("SLM", (("generic_training", 1),))


def test_a_share_too_small_buys_fewer_tokens_and_the_domains_divide_it():
    found = predict(grid(), Budgets(10, 3.5, 10, 10_000), 7)
    assert (
        isinstance(found, Prediction)
        and found.tokens == pytest.approx(500)
        and found.cost.total(7) == pytest.approx(13.5)
    )
    assert predict(grid(), Budgets(10, 0.5, 10, 10_000), 7) == Refusal("SLM", (("specialisation_training", 7 * 0.1),))


def test_pre_training_of_a_domain_alone_is_paid_from_its_share():
    own = grid("SLM-is", "specialisation_training")
    found = predict(own, Budgets(0, 55, 10, 1000), 5)
    assert isinstance(found, Prediction) and found.cost.generic == 0 and found.cost.specialise == pytest.approx(11)
    assert math.log(found.perplexity or 0) == pytest.approx(5 - 0.1 * math.log(10) - 0.2 * math.log(1000))
    refused = predict(own, Budgets(0, 5, 10, 1000), 5)
    assert refused == Refusal("SLM-is", (("specialisation_training", 10.0),))
    assert isinstance(predict(own, Budgets(0, 10, 10, 1000), 5), Prediction)


def test_off_the_cells_the_interval_grows_by_the_error_of_left_out_cells():
    cells = tuple(Cell(s, 100, 1, value, value, value) for s, value in ((1.0, 3.0), (10.0, 2.5), (100.0, 2.4)))
    on, off = (predict(Grid("SLM", "generic_training", 1, 0, cells), Budgets(s, 10, 1, 100), 1) for s in (10, 30))
    assert isinstance(on, Prediction) and isinstance(off, Prediction)
    assert on.low == on.high == pytest.approx(math.exp(2.5))
    assert math.log((off.high or 0) / (off.perplexity or 1)) == pytest.approx(2.7 - 2.5)  # of 3.0 and 2.4 without 2.5


def test_printed_answers_are_the_cells_of_the_tables():
    """Grangier et al. 2024, Table 8, and the cost table's 0.02 hours of fine-tuning on 1M."""
    for hours, tokens, method, value in ((200, 8_000_000, "SLM", 15.12), (600, 1_000_000, "SLM-pn", 16.95),
                                         (400, 64_000_000, "LLM", 10.28)):  # fmt: skip
        found = predict(PRINTED.grids[method], Budgets(hours, 1000, 1e9, tokens), 10)
        assert isinstance(found, Prediction) and found.perplexity == pytest.approx(value, abs=1e-9)
        assert (found.low, found.high) == (pytest.approx(value - 0.005), pytest.approx(value + 0.005))
    assert PRINTED.grids["SLM-pn"].column(1_000_000)[0].tuning == 0.02


def test_the_papers_recommendation_and_its_five_domains():
    """Figure 1: inference large: LLM; few domains: sampling by importance; many: projected network. 650 / 130 = 5."""
    small = Budgets(650, 650, 126e6, 1_000_000)
    assert best_method(PRINTED.grids, small, 5) == "SLM-is" and best_method(PRINTED.grids, small, 6) == "SLM-pn"
    assert best_method(PRINTED.grids, Budgets(650, 650, 771e6, 1_000_000), 6) == "LLM"
    sampled = choose(PRINTED.grids, small, 5)
    assert sampled.best and sampled.best.perplexity is None and sampled.best.high == pytest.approx(16.945)
    assert sampled.best.cost.total(5) == pytest.approx(650) and not sampled.undecided
    changes = {(one.axis, one.method): one.value for one in flips(PRINTED.grids, small, 6)}
    assert changes["domains", "SLM-is"] == 5
    assert changes["specialisation_training", "SLM-is"] == pytest.approx(780)
    assert changes["inference", "LLM"] == pytest.approx(771e6)


def test_a_bound_goes_before_a_value_that_equals_it_and_leaves_lower_values_undecided():
    budgets, value = Budgets(10, 1e9, 10, 1000), 5 - 0.1 * math.log(10) - 0.2 * math.log(1000)
    bound = Grid("SLM-is", "", 10, 0.5, (Cell(0, 1000, 1, None, None, value),))
    answer = choose({"SLM": grid(), "SLM-is": bound}, budgets, 1)
    assert [one.method for one in answer.ranked] == ["SLM-is", "SLM"] and answer.undecided == ("SLM",)


def test_every_change_is_one_and_the_nearest_on_its_side():
    budgets = Budgets(300, 200, 800e6, 5_000_000)
    now = best_method(PRINTED.grids, budgets, 12)
    for one in flips(PRINTED.grids, budgets, 12):
        if one.axis == "domains":
            inside = one.value + (1 if one.value < 12 else -1)
            assert best_method(PRINTED.grids, budgets, int(inside)) == now
            assert best_method(PRINTED.grids, budgets, int(one.value)) == one.method != now


def test_budgets_that_no_method_meets_name_what_binds():
    answer = choose(PRINTED.grids, Budgets(500, 50, 1e6, 1_000_000), 3)
    assert answer.best is None and answer.undecided == ()
    assert {name for one in answer.refused for name, _ in one.binding} == {"inference", "specialisation_training"}
    assert least_changes(PRINTED.grids, answer) == {"inference": 126e6}
    assert least_changes(PRINTED.grids, choose(PRINTED.grids, Budgets(50, 1e-9, 1e6, 10), 3)) == {}


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Budgets(-1, 1, 1, 1), "generic_training: finite, at least 0"),
        (lambda: Budgets(1, math.nan, 1, 1), "specialisation_training: finite"),
        (lambda: Budgets(1, 1, 0, 1), "inference: finite"),
        (lambda: choose(PRINTED.grids, Budgets(1, 1, 1, 1), 0), "domains: at least 1, got 0"),
        (lambda: gpu_hours(1, 1, 2), "peak, utilisation: above 0, the latter at most 1, got 1 and 2"),
        (lambda: known("nowhere"), "evidence: published, own"),
        (lambda: measured_grids([]), "rows: perplexities of specialised models"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def rows(values: dict[tuple[str, int], float]):
    return [{"domain": domain, "seed": seed, "value": value} for (domain, seed), value in values.items()]


def test_means_over_seeds_are_students():
    logs = np.array([[3.0, 3.2, 3.1], [2.0, 2.4, 2.5]])
    values = {(d, s): math.exp(logs[i, s]) for i, d in enumerate("ab") for s in range(3)}
    mean, low, high = over_seeds(rows(values))
    ends = stats.t.interval(0.95, 2, logs.mean(0).mean(), stats.sem(logs.mean(0)))
    assert (mean, low, high) == (pytest.approx(logs.mean()), pytest.approx(ends[0]), pytest.approx(ends[1]))
    assert over_seeds(rows({("a", 0): math.e})) == (1.0, None, None)
    del values["b", 2]
    with pytest.raises(ValueError, match="every domain with every seed"):
        over_seeds(rows(values))
