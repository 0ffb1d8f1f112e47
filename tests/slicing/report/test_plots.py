"""Figures of a report: the numbers drawn are the report's, and the look is safe for colour-blind readers."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from recallscope import look
from recallscope.slicing.report import plots as _plots

from .fake_report import fake_report

plots: Any = _plots  # the traces of a plotly figure have no static types


def _partition(report: dict[str, Any], model: str, by: str) -> list[dict[str, Any]]:
    return next(c["partitions"][by] for c in report["comparisons"] if c["model"] == model)


def _traces(figure: Any, name: str) -> list[Any]:
    return [trace for trace in figure.data if trace.name == name]


# ---- waterfall


@pytest.mark.parametrize("model", ["based", "mamba"])
def test_waterfall_bars_are_the_contributions_end_to_end(model: str) -> None:
    report = fake_report()
    bars = plots.waterfall(report, model).data[0]
    contributions = [row["contribution"] for row in _partition(report, model, "recall")]
    gap = next(c["gap"]["value"] for c in report["comparisons"] if c["model"] == model)
    assert list(bars.y) == ["AR hit", "repeat, frequent", "new, rare", "new, frequent", "gap"]
    assert list(bars.x) == [*contributions, gap]
    ends = np.add(bars.base, bars.x)
    np.testing.assert_allclose(bars.base[1:-1], ends[:-2], rtol=0, atol=1e-15)
    assert bars.base[0] == 0 and bars.base[-1] == 0
    assert ends[-2] == pytest.approx(gap, abs=1e-12)


def test_waterfall_keeps_the_sign_and_writes_it() -> None:
    report = fake_report()
    figure = plots.waterfall(report, "based")
    assert figure.data[0].x[3] < 0  # "new, frequent" favours the model
    assert [note.text for note in figure.layout.annotations][3] == f"{figure.data[0].x[3]:+.4f}".replace("-", "−")


def test_waterfall_whiskers_reach_the_interval_and_are_absent_without_one() -> None:
    report = fake_report()
    row = _partition(report, "based", "recall")[0]
    bars = plots.waterfall(report, "based").data[0]
    assert bars.x[0] + bars.error_x.array[0] == pytest.approx(row["contribution_high"])
    assert bars.x[0] - bars.error_x.arrayminus[0] == pytest.approx(row["contribution_low"])
    row["contribution_low"] = row["contribution_high"] = None
    bars = plots.waterfall(report, "based").data[0]
    assert bars.error_x.array[0] is None and bars.error_x.arrayminus[0] is None


def test_waterfall_of_unknown_model_or_partition() -> None:
    with pytest.raises(ValueError, match="model: expected one of based, mamba; got 'gpt'"):
        plots.waterfall(fake_report(), "gpt")
    with pytest.raises(ValueError, match="by: expected one of recall, distance"):
        plots.waterfall(fake_report(), "based", by="colour")


# ---- difference against distance and count


def test_distance_figure_has_every_bin_once_and_the_new_bin_apart() -> None:
    report = fake_report()
    figure = plots.loss_gap_by_distance(report)
    line, new = _traces(figure, "based")
    rows = {row["slice"]: row for row in _partition(report, "based", "distance")}
    assert list(line.x) == [f"{2**k:,}" for k in range(11)]
    assert list(line.y) == [rows[str(2**k)]["difference"] for k in range(11)]
    assert list(new.x) == ["new"] and list(new.y) == [rows["new"]["difference"]]
    assert list(figure.layout.xaxis.categoryarray)[-1] == "new"
    assert [trace.showlegend for trace in (line, new)] == [True, False]


def test_bins_are_ordered_by_edge_whatever_the_order_and_the_writing() -> None:
    report = fake_report(models=("attention", "based"))
    rows = _partition(report, "based", "distance")
    names = ["new", "1", "2-3", "4–7", "8..15", "[16, 32)", "32-63", "64+", "≥ 128", "256-511", "512", "1,024-2,047"]
    for row, name in zip(rows, names, strict=True):
        row["slice"] = name
    wanted = [row["difference"] for row in rows[1:]]
    rows.reverse()
    line = plots.loss_gap_by_distance(report).data[0]
    assert list(line.x) == [f"{2**k:,}" for k in range(11)]
    assert list(line.y) == wanted


def test_empty_bins_are_left_out_not_zero() -> None:
    report = fake_report(models=("attention", "based"))
    _partition(report, "based", "distance")[3] |= {"tokens": 0, "difference": None}
    line = plots.loss_gap_by_distance(report).data[0]
    assert "4" not in line.x and len(line.x) == 10


def test_difference_whiskers_are_contribution_over_token_share() -> None:
    report = fake_report()
    row = _partition(report, "based", "distance")[5]
    line = plots.loss_gap_by_distance(report).data[0]
    at = list(line.x).index(row["slice"])
    assert line.y[at] + line.error_y.array[at] == pytest.approx(row["contribution_high"] / row["token_share"])
    row |= {"difference_low": row["difference"] - 1.0, "difference_high": row["difference"] + 2.0}
    line = plots.loss_gap_by_distance(report).data[0]
    assert (line.error_y.arrayminus[at], line.error_y.array[at]) == pytest.approx((1.0, 2.0))


def test_ticks_name_bins_that_exist() -> None:
    axis = plots.loss_gap_by_count(fake_report()).layout.xaxis
    assert set(axis.tickvals) <= set(axis.categoryarray)  # by name: numbers would be read as names of other bins
    assert axis.ticktext is None and "0" in axis.tickvals


def test_position_keeps_the_order_of_the_report() -> None:
    figure = plots.loss_gap_by_position(fake_report())
    assert list(figure.data[0].x) == [f"quarter {k}" for k in (1, 2, 3, 4)]


def test_no_such_partition() -> None:
    report = fake_report(models=("attention", "based"))
    del report["comparisons"][0]["partitions"]["count"]
    with pytest.raises(ValueError, match="expected a partition 'count'"):
        plots.loss_gap_by_count(report)


# ---- share against threshold


def test_curve_is_the_share_in_percent_with_its_band() -> None:
    report = fake_report()
    curve = report["comparisons"][0]["curve"]
    (line,) = _traces(plots.share_by_threshold(report), "based")
    assert list(line.y) == [row["share"] * 100 for row in curve]
    assert list(line.x[1:]) == [row["per_million"] for row in curve[1:]]
    assert line.x[0] == pytest.approx(curve[1]["per_million"] / 4)  # the threshold 0 has no logarithm
    band = plots.share_by_threshold(report).data[0]
    assert sorted(band.y) == sorted(100 * row[end] for row in curve for end in ("share_low", "share_high"))


def test_refused_shares_leave_holes() -> None:
    (line,) = _traces(plots.share_by_threshold(fake_report()), "mamba")
    assert set(line.y) == {None}


def test_threshold_axis_falls_back_to_counts() -> None:
    report = fake_report()
    for comparison in report["comparisons"]:
        for row in comparison["curve"]:
            row["per_million"] = None
    figure = plots.share_by_threshold(report)
    assert "in the training text" in figure.layout.xaxis.title.text
    assert max(figure.data[1].x) == 1000
    assert figure.layout.shapes[0].x0 == 2
    assert figure.layout.annotations[0].x == pytest.approx(math.log10(2))


# ---- the look


def test_markup_in_names_is_shown_not_obeyed() -> None:
    report = fake_report(models=("attention", "based<b>&"))
    assert plots.loss_gap_by_distance(report).data[0].name == "based&lt;b&gt;&amp;"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("attention", "attention"),
        ("gpt2", "attention"),
        ("Llama-3.2-1B", "attention"),
        ("based-363m", "linear attention"),
        ("gated_delta", "delta rule"),
        ("gla-1.3B", "gated linear attention"),
        ("mamba2-130m", "state space"),
        ("H3", "state space"),
        ("hyena", "convolution"),
        ("rwkv-7", "delta rule"),
        ("rwkv-4", "recurrent"),
        ("sliding_window", "sliding window"),
        ("jamba", "hybrid"),
        ("optimal", "other"),
        ("ours", "other"),
    ],
)
def test_family_of_a_name(name: str, wanted: str) -> None:
    assert look.family(name) == wanted


def test_models_of_one_family_share_colour_and_marker_but_not_dash() -> None:
    one, two = look.styles(["based-1b", "based-360m"]).values()
    assert (one.color, one.symbol) == (two.color, two.symbol) and one.dash != two.dash
    assert look.styles(["ours"], {"ours": "delta rule"})["ours"].color == look.FAMILIES["delta rule"].color
    with pytest.raises(ValueError, match=r"families: expected one of attention.*got 'magic' for 'ours'"):
        look.styles(["ours"], {"ours": "magic"})


def test_published_points_are_hollow() -> None:
    style = look.FAMILIES["state space"]
    assert look.marker(style)["symbol"] == "square"
    assert look.marker(style, "published")["symbol"] == "square-open"
    with pytest.raises(ValueError, match="origin: expected 'own' or 'published'"):
        look.marker(style, "borrowed")  # pyright: ignore[reportArgumentType]


def _linear(color: str) -> np.ndarray:
    channel = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(channel <= 0.04045, channel / 12.92, ((channel + 0.055) / 1.055) ** 2.4)


def _luminance(color: str) -> float:
    return float(_linear(color) @ [0.2126, 0.7152, 0.0722])


def _contrast(one: str, two: str) -> float:
    low, high = sorted([_luminance(one), _luminance(two)])
    return (high + 0.05) / (low + 0.05)


# Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB; the first is normal vision.
_VISIONS = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def _lab(linear: np.ndarray) -> np.ndarray:
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
    )
    x, y, z = np.cbrt(np.maximum(to_xyz @ linear / [0.95047, 1.0, 1.08883], 0.008856))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", _VISIONS)
def test_family_colours_stay_apart_for_colour_blind_readers(vision: str) -> None:
    matrix = np.array(_VISIONS[vision])
    seen = {name: _lab(np.clip(matrix @ _linear(s.color), 0, 1)) for name, s in look.FAMILIES.items()}
    nearest = min((float(np.linalg.norm(seen[a] - seen[b])), a, b) for a, b in itertools.combinations(seen, 2))
    assert nearest[0] > 14, nearest


def test_family_colours_and_texts_have_contrast_on_both_pages() -> None:
    for theme, page in look.BACKGROUND.items():
        for style in look.FAMILIES.values():
            assert _contrast(style.color, page) >= 3, (theme, style)  # graphics, WCAG 1.4.11
        assert _contrast(look.INK[theme], page) >= 7 and _contrast(look.MUTED[theme], page) >= 4.5


def test_markers_differ_for_every_family() -> None:
    assert len({style.symbol for style in look.FAMILIES.values()}) == len(look.FAMILIES)


def test_templates_light_and_dark() -> None:
    figure = plots.loss_gap_by_distance(fake_report())
    assert figure.layout.template.layout.paper_bgcolor == look.BACKGROUND["light"]
    assert look.themed(figure, dark=True).layout.template.layout.paper_bgcolor == look.BACKGROUND["dark"]
