"""Figures of measured operators, from rows made by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
from recallscope.evidence import evidence
from recallscope.profiling.output import figures, figures_page
from recallscope.profiling.plots import decoding_costs, roofline_figure, time_against_length, traffic_inefficiency

ROOFS = evidence(
    {"subject": "GPU", "metric": metric, "value": value, "unit": "1/s", "kind": "measured"}
    for metric, value in (
        ("copy_bytes_per_second", 4e12),
        ("triad_bytes_per_second", 3e12),
        ("product_flops_per_second", 8e14),
    )
)


def cell(subject, t, seconds, mode="fwd", batch=16, **metrics):
    """Rows of one shape; time with quartiles 10 % off."""
    where = {"subject": subject, "t": t, "batch": batch, "mode": mode, "kind": "measured", "unit": "1"}
    around = {} if seconds is None else {"low": 0.9 * seconds, "high": 1.1 * seconds}
    yield where | {"metric": "seconds", "value": seconds} | around
    for metric, value in metrics.items():
        yield where | {"metric": metric, "value": value}


def table(*cells):
    return evidence(row for one in cells for row in one)


def traces(figure: Any) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}


def test_crossings_are_to_the_fastest_attention_at_each_length():
    made = table(
        cell("based", 1024, 4.0), cell("based", 4096, 4.0),
        cell("attention:flash", 1024, 2.0), cell("attention:flash", 4096, 9.0),
        cell("attention:cudnn", 1024, 3.0), cell("attention:cudnn", 4096, 8.0),
        cell("slow", 1024, 20.0), cell("slow", 4096, 20.0),
    )  # fmt: skip
    found = traces(time_against_length(made))
    ring = found["faster than attention"]
    # between (1024, 2) and (4096, 8) the fastest attention is T / 512: based takes 4 where T is 2048
    assert list(ring.x) == [pytest.approx(2048)] and list(ring.y) == [pytest.approx(4.0)]
    assert list(ring.customdata) == ["based"]


def test_the_ring_lies_on_the_line_of_its_subject():
    made = table(
        cell("based", 1024, 4.0), cell("based", 4096, 8.0), cell("attention", 1024, 2.0), cell("attention", 4096, 32.0)
    )
    ring = traces(time_against_length(made))["faster than attention"]
    t = ring.x[0]
    assert ring.y[0] == pytest.approx(4 * (t / 1024) ** 0.5)
    assert ring.y[0] == pytest.approx(2 * (t / 1024) ** 2)


def test_cells_that_are_empty_are_not_drawn():
    made = table(cell("based", 1024, 4.0), cell("based", 4096, None), cell("lost", 1024, None))
    found = traces(time_against_length(made))
    assert list(found["based"].x) == [1024] and "lost" not in found
    with pytest.raises(ValueError, match="table: rows of `recallscope profile`, with seconds by length; got none"):
        time_against_length(table(cell("lost", 1024, None)))


def test_the_largest_batch_is_drawn_against_length_and_named():
    made = table(cell("based", 1024, 4.0, batch=1), cell("based", 1024, 5.0, batch=8))
    figure: Any = time_against_length(made)
    assert list(traces(figure)["based"].y) == [5.0] and ", B = 8 " in figure.layout.yaxis.title.text


def test_traffic():
    made = table(
        cell("based", 1024, 1.0, traffic_inefficiency=1.1, hbm_bytes=11.0, fused_bytes=10.0),
        cell("based", 2048, 1.0, traffic_inefficiency=1.05),
        cell("attention", 1024, 1.0),
    )
    found = traces(traffic_inefficiency(made))
    assert list(found["based"].y) == [1.1, 1.05] and list(found["fused limit"].y) == [1, 1]
    assert "attention" not in found
    with pytest.raises(ValueError, match="table: HBM bytes were never counted; `recallscope profile --counters`"):
        traffic_inefficiency(table(cell("based", 1024, 1.0)))


def test_decoding_against_batch_and_context():
    cells = [
        cell("based", t, 1e-3 * b * math.sqrt(t), "decode", b) for b, t in ((1, 100), (4, 100), (1, 400), (4, 400))
    ]
    figure: Any = decoding_costs(table(*cells))
    left, below, right, last = figure.data
    assert list(left.x) == [1, 4] and list(left.y) == [pytest.approx(20), pytest.approx(80)]  # ms at T = 400
    assert list(below.y) == [pytest.approx(50), pytest.approx(50)]  # tokens a second
    assert list(right.x) == [100, 400] and list(right.y) == [pytest.approx(40), pytest.approx(80)]  # at B = 4
    assert list(last.y) == [pytest.approx(100), pytest.approx(50)]
    assert [a.text for a in figure.layout.annotations] == ["T = 400", "B = 4"]
    assert [left.error_y.array[0], left.error_y.arrayminus[0]] == [pytest.approx(2)] * 2


def test_decoding_with_one_batch_has_one_column():
    figure: Any = decoding_costs(table(*(cell("based", t, 1e-3, "decode") for t in (100, 400))))
    assert len(figure.data) == 2 and list(figure.data[0].x) == [100, 400]
    with pytest.raises(ValueError, match=r"table: rows of decoding steps \(`--mode decode`\), got fwd"):
        decoding_costs(table(cell("based", 100, 1.0)))


def test_rows_of_two_modes_are_refused():
    with pytest.raises(ValueError, match="table: rows of one mode, got decode, fwd"):
        time_against_length(table(cell("based", 100, 1.0), cell("based", 200, 1.0, "decode")))


def test_the_roofline_of_several_batches():
    made = table(*(cell("based", 1024, 1e-3, "fwd", b, useful_flops=b * 2e9, fused_bytes=b * 1e7) for b in (1, 4)))
    figure: Any = roofline_figure(made, ROOFS)
    points = traces(figure)["based"]
    assert list(points.x) == [200, 200] and list(points.y) == [2e12, 8e12]
    assert max(figure.data[0].y) == 8e14


def test_a_page_has_all_figures_and_escapes_its_text():
    counted = cell("based", 1024, 1e-3, useful_flops=1e9, fused_bytes=1e6, traffic_inefficiency=1.2)
    fwd = table(counted, cell("attention", 1024, 1e-3, useful_flops=1e9, fused_bytes=1e6))
    assert len(figures(fwd, ROOFS)) == 3
    decode = table(cell("based", 1024, 1e-3, "decode", useful_flops=1e9, fused_bytes=1e6))
    made = figures(decode, ROOFS)
    assert len(made) == 2
    page = figures_page(made, "a < b", "T & U")
    assert page.count("Plotly.newPlot") == 2 and "<pre>a &lt; b</pre>" in page and "<h1>T &amp; U</h1>" in page
