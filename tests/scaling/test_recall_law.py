"""The AR-aware law on grids whose law is known: constants inside their intervals, state on AR alone or on both."""

import numpy as np
import pytest
from recallscope.scaling.law import LossLaw
from recallscope.scaling.recall.effects import difference, state_effects
from recallscope.scaling.recall.law import compare_forms, fit_recall_law, state_share
from recallscope.scaling.recall.logs import log_form_errors
from recallscope.scaling.recall.losses import Grid, group_losses, resampled_errors
from recallscope.scaling.recall.sums import GROUPS, SLICES

AR = LossLaw(2.0, (60.0, 400.0, 9.0), (0.4, 0.35, 0.3), ("N", "D", "S"))
OTHER = LossLaw(1.5, (60.0, 300.0), (0.4, 0.35), ("N", "D"))
WIDTHS, BUDGETS, HEADS = (32, 64, 128, 256), (3e5, 1e6, 3e6), (1, 4, 16)
STARTS = 100


def synthetic(ar=AR, other=OTHER, error=2e-3, documents=60, seed=0) -> Grid:
    """Cells of laws known: documents differ in length and level, runs by a common factor of `error`."""
    rng = np.random.default_rng(seed)
    cells = [(w, h, d) for w in WIDTHS for h in HEADS for d in BUDGETS]
    sizes = {
        "N": np.array([24.0 * w * w for w, _, _ in cells]), "D": np.array([d for _, _, d in cells]),
        "S": np.array([2.0 * w * w / h for w, h, _ in cells]),
    }  # fmt: skip
    run = np.arange(len(cells)) // len(BUDGETS)
    tokens = rng.integers(20, 300, (documents, len(SLICES))).astype(float)
    level = np.exp(0.1 * rng.standard_normal(documents))
    shift = np.exp(error * rng.standard_normal(run.max() + 1))[run]
    means = np.stack([law.loss(**{name: sizes[name] for name in law.terms}) for law in (ar, other)], 1)
    place = [0 if name in GROUPS["AR"] else 1 for name in SLICES]
    levels = level[:, None] * tokens.sum(0) / (level[:, None] * tokens).sum(0)  # mean 1 over the tokens of each slice
    losses = (means * shift[:, None])[:, None, place] * levels * tokens
    return Grid(tuple(f"c{i}" for i in range(len(cells))), sizes, run, tokens, losses)


def high_end(interval) -> float:
    assert interval is not None and interval[0] < interval[1]
    return interval[1]


def test_the_fit_is_the_law_where_there_is_no_error():
    found = fit_recall_law(synthetic(error=0.0), "AR", starts=STARTS, bootstrap=0)
    np.testing.assert_allclose(found.law.row(), AR.row(), rtol=1e-4)
    assert found.residual < 1e-8 and found.left_out < 1e-6
    assert found.rows.shape == (0, 7) and set(found.intervals.values()) == {None}


def test_each_constant_is_inside_its_interval():
    found = fit_recall_law(synthetic(seed=1), "AR", starts=STARTS, bootstrap=150)
    for name, value in AR.constants().items():
        low, high = found.intervals[name] or (0.0, 0.0)
        assert low < value < high, name
    moved, interval = state_share(found, synthetic())
    low, high = interval or (0.0, 0.0)
    truth = float(np.ptp(9.0 * np.array([2 * 32**2 / 16, 2 * 256**2]) ** -0.3))
    assert low < truth < high and moved == pytest.approx(truth, rel=0.1)


def test_state_on_ar_alone_is_told_apart_from_state_on_both():
    alone, both = (
        synthetic(seed=2),
        synthetic(other=LossLaw(1.5, (60.0, 300.0, 9.0), (0.4, 0.35, 0.3), AR.terms), seed=2),
    )
    for grid, other_too in ((alone, False), (both, True)):
        effects = state_effects(grid, ("AR", "other"))
        assert high_end(effects["AR"].interval) < 0
        assert (high_end(effects["other"].interval) < 0) == other_too
        assert (high_end(difference(effects["AR"], effects["other"])[1]) < 0) == (not other_too)


def test_the_forms_are_told_apart_by_runs_left_out():
    grid = synthetic(seed=3)
    for group, with_state in (("AR", True), ("other", False)):
        forms = compare_forms(grid, group, ("N, D", "N, D, S"), starts=STARTS)
        ratio = forms["N, D, S"].left_out / forms["N, D"].left_out
        assert ratio < 0.5 if with_state else ratio > 0.9


def test_log_forms_are_least_squares_with_runs_left_out():
    grid = synthetic(error=0.0, documents=1)
    n, d, s = (np.log(grid.sizes[name]) - np.log(grid.sizes[name]).mean() for name in "NDS")
    y = 1 - 0.1 * n - 0.2 * d - 0.05 * s - 0.02 * d * s
    grid.losses[:] = np.exp(y)[:, None, None] * grid.tokens
    for form in ("log: N, D, S, DS", "log: N, D, S, DS, NS"):
        assert max(log_form_errors(grid, "AR", form)) < 1e-12
    x = np.column_stack([np.ones(len(y)), n, d, s])
    fitted = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    hat = x @ np.linalg.inv(x.T @ x) @ x.T
    left = [  # the closed form of leaving out: (I - H)⁻¹ e within the block of a run
        np.linalg.solve(np.eye(3) - hat[np.ix_(run, run)], fitted[run]) for run in np.arange(len(y)).reshape(-1, 3)
    ]
    expected = np.sqrt(np.mean(fitted**2)), np.sqrt(np.mean(np.square(left)))
    assert log_form_errors(grid, "AR", "log: N, D, S") == pytest.approx(expected, rel=1e-9)


def test_the_effect_is_the_slope_with_an_intercept_for_each_size_and_budget():
    grid = synthetic(seed=4)
    pairs = np.unique(np.stack([grid.sizes["N"], grid.sizes["D"]], 1), axis=0, return_inverse=True)[1].ravel()
    design = np.column_stack([np.log(grid.sizes["S"]) / np.log(4), np.eye(pairs.max() + 1)[pairs]])
    slope = np.linalg.lstsq(design, group_losses(grid, "AR"), rcond=None)[0][0]
    assert state_effects(grid, ("AR",), bootstrap=2)["AR"].value == pytest.approx(slope, rel=1e-10)


def test_losses_of_resampled_documents_are_those_of_the_documents_repeated():
    grid = synthetic(documents=5)
    weights = np.array([[2.0, 0, 1, 0, 2]])
    rows = [0, 0, 2, 4, 4]
    chosen = [SLICES.index(name) for name in GROUPS["repeat"]]
    expected = grid.losses[:, rows][:, :, chosen].sum((1, 2)) / grid.tokens[rows][:, chosen].sum()
    np.testing.assert_allclose(group_losses(grid, "repeat", weights)[0], expected, rtol=1e-12)


def test_errors_of_a_run_are_drawn_together():
    run, residuals = np.array([0, 1, 2, 0, 1, 2]), np.array([-6.0, -4, -1, 0, 3, 8])
    wider = np.sqrt(3 / 2) * 4.302653 / 1.959964  # Student's quantile with two degrees of freedom, and the normal one
    drawn = resampled_errors(residuals, run, 200, 1, np.random.default_rng(0)) / wider
    for k in range(3):
        assert {tuple(pair) for pair in np.round(drawn[:, [k, k + 3]], 5)} == {(-6.0, 0.0), (-4.0, 3.0), (-1.0, 8.0)}
    assert len({tuple(row) for row in np.round(drawn[:, :3], 5)}) > 20  # runs independently of each other


def test_documents_that_weigh_on_all_cells_alike_scale_the_law_of_a_resample():
    grid = synthetic(error=0.0)
    found = fit_recall_law(grid, "AR", starts=STARTS, bootstrap=20)
    drawn = np.random.default_rng(0).multinomial(60, np.full(60, 1 / 60), 20)  # the draws of seed 0
    factor = [(w @ grid.losses[0][:, :2]).sum() / (w @ grid.tokens[:, :2]).sum() for w in drawn] / group_losses(
        grid, "AR"
    )[0]
    assert np.std(factor) > 0.005
    np.testing.assert_allclose(
        found.rows / found.law.row(), np.where([1, 1, 0, 1, 0, 1, 0], factor[:, None], 1), rtol=2e-3
    )


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda grid: fit_recall_law(grid, "AR", "S"), "form: one of N, D; N, D, S"),
        (lambda grid: log_form_errors(grid, "AR", "log: S"), "form: one of log: N, D; "),
        (lambda grid: group_losses(grid, "recall"), "group: one of AR, other"),
        (lambda grid: state_share(fit_recall_law(grid, "AR", "D", starts=5, bootstrap=0), grid), "with the size S"),
        (
            lambda grid: resampled_errors(np.zeros(3), np.array([0, 0, 1]), 1, 0, np.random.default_rng(0)),
            "as many cells",
        ),
        (
            lambda grid: resampled_errors(np.zeros(2), np.array([0, 1]), 1, 2, np.random.default_rng(0)),
            "more than 2 runs",
        ),
    ],
)
def test_bad_input_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call(synthetic())
