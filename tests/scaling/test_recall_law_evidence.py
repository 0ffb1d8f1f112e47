"""The committed grid: its rows follow from its sums, its statements from its rows, and its figure draws them."""

import runpy
from itertools import product
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from recallscope.evidence import evidence, read_evidence
from recallscope.reproduction import statements_of
from recallscope.reproduction.plots.recall_law import loss_against_state
from recallscope.reproduction.recall_law import recall_law_statements
from recallscope.scaling.recall import AGAIN, Design, cells, compare_forms, grid_of, state_effects
from recallscope.scaling.recall.rows import EFFECT, LEFT_OUT, LOSS, SHARE
from recallscope.scaling.recall.sums import GROUPS

FOLDER = Path(__file__).parents[2] / "paper_figures"


@pytest.fixture(scope="module")
def rows():
    return read_evidence(FOLDER / "evidence" / "recall_law.jsonl").to_pylist()


@pytest.fixture(scope="module")
def sums():
    return pq.read_table(FOLDER / "evidence" / "recall_law_sums.parquet")


def test_every_cell_is_there_and_its_losses_are_those_of_the_sums(rows, sums):
    measured = [row for row in rows if row["metric"] == LOSS]
    expected = [row["cell"] for design in (Design(), AGAIN) for row in cells(design)]
    assert sorted(row["cell"] for row in measured) == sorted(expected * len(GROUPS))
    names, tokens = sums.column("slice").to_pylist(), sums.column("tokens").to_pylist()
    for row in measured:
        kept = [k for k, name in enumerate(names) if name in GROUPS[row["group"]]]
        losses = sums.column(f"loss_{row['cell']}").to_pylist()
        assert row["n"] == sum(tokens[k] for k in kept)
        assert row["value"] == pytest.approx(sum(losses[k] for k in kept) / row["n"], rel=1e-9)
        assert row["low"] < row["value"] < row["high"]
    assert sum(tokens) >= 150_000


def test_effects_and_errors_left_out_are_those_of_the_sums(rows, sums):
    grid = grid_of(cells(Design()), sums)
    whole = {
        (r["metric"], r["group"], r["form"]): r for r in rows if r["training_tokens"] is None and r["size_near"] is None
    }
    effects = state_effects(grid, ("AR", "other"), bootstrap=2)
    for group, effect in effects.items():
        assert whole[EFFECT, group, None]["value"] == pytest.approx(effect.value, rel=1e-9)
    found = compare_forms(grid, "AR", ("N, D",))["N, D"]
    assert whole[LEFT_OUT, "AR", "N, D"]["value"] == pytest.approx(found.left_out, rel=1e-3)


def test_effects_with_a_second_seed_stand_beside_those_of_the_same_cells(rows, sums):
    for seed, budget in product((0, 1), AGAIN.budgets):
        named = [f"128-{heads}-{seed}-{budget}" for heads in (1, 16)]
        losses = [
            sum(sums.column(f"loss_{name}").to_pylist()) / sum(sums.column("tokens").to_pylist()) for name in named
        ]
        found = [r for r in rows if r["metric"] == EFFECT and r["group"] == "all" and r["seed"] == seed]
        found = [r for r in found if r["training_tokens"] == budget]
        assert len(found) == 1
        assert found[0]["value"] == pytest.approx((losses[0] - losses[1]) / 2, rel=1e-9)  # a factor 16 of state


def made_up(recall, rest, share, ratios):
    """Rows from which the statements follow: effects with intervals, and errors with S over those without."""
    row = {"subject": "x", "unit": "1", "kind": "derived", "training_tokens": None, "size_near": None}
    found = []
    for one, other in (("AR", "other"), ("repeat", "new")):
        for metric, group, (low, high) in ((EFFECT, one, recall), (EFFECT, other, rest), (SHARE, one, share)):
            about = row | {"metric": metric, "group": group, "value": (low + high) / 2, "low": low, "high": high}
            found += [about, about | {"training_tokens": 1000}]
        for group, ratio in zip((one, other), ratios, strict=True):
            for form, value in (("N, D", 2.0), ("N, D, S", 2 * ratio)):
                found.append(row | {"metric": LEFT_OUT, "group": group, "form": form, "value": value})
    return found


@pytest.mark.parametrize(
    ("rows_of", "holds"),
    [
        (((-0.3, -0.2), (-0.01, 0.01), (0.8, 1.1), (0.3, 1.1)), [*[True, True, True] * 2, True, True]),
        (((-0.1, 0.1), (-0.1, 0.1), (-2.0, 2.0), (1.0, 1.0)), [*[False, True, False] * 2, False, True]),
        (((-0.3, -0.2), (-0.3, -0.2), (0.02, 0.1), (0.3, 0.3)), [*[True, False, False] * 2, True, False]),
    ],
    ids=["on recall alone", "nowhere", "everywhere"],
)
def test_statements_say_where_state_acts(rows_of, holds):
    assert [row["holds"] for row in recall_law_statements(made_up(*rows_of))] == 2 * holds


def test_the_figure_draws_every_cell_and_the_law(rows):
    figure = loss_against_state(evidence(rows))
    data: list = list(figure.data)
    points = [trace for trace in data if trace.mode == "lines+markers"]
    limits = [trace for trace in data if trace.mode == "lines"]
    assert len(points) == 4 * 9 and all(len(trace.x) == 3 for trace in points)
    assert len(limits) == 4 * 9
    assert len([trace for trace in points if trace.showlegend]) == 9


def test_the_script_writes_figure_and_table(tmp_path):
    script = runpy.run_path(str(FOLDER / "recall_law.py"))
    table = script["write_figure"](FOLDER / "recall_law.py", script["table"](), script["figure"], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plotly.min.js", "recall_law.html", "recall_law.jsonl"]
    assert len(statements_of(table.to_pylist())) == 16
