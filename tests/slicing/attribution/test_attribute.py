"""Attribution against hand-computed fractions, brute force over subsets, literal leave-one-out, and raw rows."""

from __future__ import annotations

import itertools
import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from recallscope.slicing.attribution import (
    attribute,
    curve,
    format_table,
    interaction,
    position_standardised,
    report,
    shapley,
)
from recallscope.slicing.attribution.shapley import shapley_weights
from recallscope.slicing.attribution.statistics import Interval, bootstrap, fieller, jackknife
from scipy import stats

COLUMNS = ("document", "distance_bin", "count_bin", "rare", "opportunity", "position", "tokens", "loss_a", "loss_b")
HIT, REPEAT, RARE, OTHER = (3, 2, 1, 1), (3, 9, 0, 2), (0, 2, 1, 3), (0, 9, 0, 0)


def atoms_of(rows: list[tuple[Any, ...]], ids: list[str] | None = None, **metadata: Any) -> pa.Table:
    """Atoms from rows in the order of `COLUMNS`; further loss columns are named in the metadata's models."""
    models = metadata.get("models", ["a", "b"])
    names = [*COLUMNS[:7], *(f"loss_{model}" for model in models)]
    kinds = [pa.int32(), *[pa.int8()] * 5, pa.int64(), *[pa.float64()] * len(models)]
    table = {name: pa.array([r[k] for r in rows], kinds[k]) for k, name in enumerate(names)}
    labels = [ids[r[0]] if ids else f"doc {r[0]}" for r in rows]
    meta = {"format": "recallscope-atoms-1", "models": models, "window": 8, "ngram": 2, "training_tokens": 16_000_000}
    meta |= {"threshold": {"count": 2, "per_million": 0.125}, **metadata}
    table = pa.table(table | {"document_id": pa.array(labels).dictionary_encode()})
    return table.replace_schema_metadata({b"recallscope": json.dumps(meta).encode()})


def random_atoms(seed: int, documents: int, gap: float = 0.3, rows: int = 12) -> pa.Table:
    """Random atoms; model b is worse by `gap` nats on average and by more on rare repeats."""
    rng = np.random.default_rng(seed)
    out = []
    for document in range(documents):
        for _ in range(rows):
            distance, count = int(rng.integers(0, 9)), int(rng.integers(-1, 12))
            rare = -1 if count < 0 else int(count <= 2)
            tokens = int(rng.integers(1, 50))
            worse = gap * (2.0 if distance and rare == 1 else 0.5) + 0.3 * rng.standard_normal()
            loss = tokens * rng.gamma(3.0)
            key = (distance, count, rare, int(rng.integers(0, 4)), int(rng.integers(0, 4)))
            out.append((document, *key, tokens, loss, loss + tokens * worse))
    return atoms_of(out)


def column(table: pa.Table, name: str) -> list[Any]:
    return table.column(name).to_pylist()


def limits(interval: Interval) -> list[float]:
    assert interval.low is not None and interval.high is not None
    return [interval.low, interval.high]


def limits_of(row: dict[str, Any]) -> list[float]:
    return [row["share_low"], row["share_high"]]


# ---- the decomposition

BY_HAND = [
    # document 0: an AR hit costs b 3 nats on 2 tokens, the rest 1 nat on 8
    (0, *HIT, 0, 2, 1.0, 4.0),
    (0, *OTHER, 1, 8, 10.0, 11.0),
    # document 1: an AR hit 5 nats on 2 tokens, the rest is 1 nat better on 8
    (1, *HIT, 0, 2, 1.0, 6.0),
    (1, *OTHER, 1, 8, 12.0, 11.0),
]


def test_values_by_hand() -> None:
    result = attribute(atoms_of(BY_HAND), intervals=False)
    assert result.gap.value == 8 / 20 and result.gap.significant is None
    hit, repeat, rare, other = result.table.to_pylist()
    assert (hit["tokens"], hit["token_share"]) == (4, 0.2)
    assert (hit["loss_reference"], hit["loss_model"], hit["difference"]) == (0.5, 2.5, 2.0)
    assert (hit["contribution"], hit["share"]) == (8 / 20, 1.0)
    assert (other["difference"], other["contribution"], other["share"]) == (0.0, 0.0, 0.0)
    for empty in (repeat, rare):
        assert empty["tokens"] == 0 and empty["contribution"] == 0.0
        assert empty["loss_reference"] is empty["loss_model"] is empty["difference"] is None


def test_intervals_by_hand() -> None:
    # U = (3, 5), D = (4, 4), level 1/2 with t_1 = 1: D has no spread, so Fieller is the mean's interval over 4:
    # U has mean 4 and standard error 1, S in 1 -+ 1/4; c = U / n with n = (10, 10): 0.4 -+ 0.1
    hit = attribute(atoms_of(BY_HAND), level=0.5).table.to_pylist()[0]
    assert_allclose((hit["share_low"], hit["share_high"]), (0.75, 1.25), rtol=1e-14)
    assert_allclose((hit["contribution_low"], hit["contribution_high"]), (0.3, 0.5), rtol=1e-14)


@pytest.mark.parametrize(("name", "method"), [("fieller", fieller), ("jackknife", jackknife), ("bootstrap", bootstrap)])
def test_methods_are_the_named_ones(name: str, method: Any) -> None:
    atoms = random_atoms(1, 30)
    row = attribute(atoms, method=name).table.to_pylist()[0]
    frame = {key: atoms.column(key).to_numpy() for key in COLUMNS}
    d = frame["loss_b"] - frame["loss_a"]
    hit = (frame["distance_bin"] > 0) & (frame["rare"] == 1)
    # documents in the order of their ids as text, as bootstrap draws go by position
    order = sorted(range(30), key=lambda k: f"doc {k}")
    u_k, d_k = (np.array([x[frame["document"] == k].sum() for k in order]) for x in (d * hit, d))
    expected = method(u_k, d_k)
    assert_allclose([row["share"], *limits_of(row)], [expected.value, *limits(expected)], rtol=1e-9)


BY = ["recall", "distance", "count", "position", "opportunity", "distance within repeat", ("recall", "position")]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8), st.sampled_from(BY))
def test_contributions_sum_to_the_gap(seed: int, documents: int, by: Any) -> None:
    result = attribute(random_atoms(seed, documents), by, intervals=False)
    assert math.isclose(math.fsum(column(result.table, "contribution")), result.gap.value, abs_tol=1e-12)
    assert math.isclose(math.fsum(column(result.table, "token_share")), 1.0, abs_tol=1e-12)
    for row in result.table.to_pylist():
        if row["tokens"]:
            assert math.isclose(row["token_share"] * row["difference"], row["contribution"], abs_tol=1e-12)
    assert math.isclose(math.fsum(column(result.table, "share")), 1.0, abs_tol=1e-9)


def test_shares_may_exceed_one_and_be_negative() -> None:
    rows = [r for k in range(30) for r in ((k, *HIT, 0, 10, 5.0, 8.0 + 0.01 * k), (k, *OTHER, 0, 90, 90.0, 89.0))]
    hit, _, _, other = attribute(atoms_of(rows)).table.to_pylist()
    assert hit["share"] > 1.4 and hit["share_low"] > 1.0
    assert other["share"] < -0.4 and other["share_high"] < 0.0


def test_shares_are_refused_without_a_significant_gap() -> None:
    result = attribute(random_atoms(2, 12, gap=0.0))
    assert result.gap.significant is False and result.gap.low is not None and result.gap.high is not None
    assert result.gap.low < 0 < result.gap.high
    for name in ("share", "share_low", "share_high"):
        assert set(column(result.table, name)) == {None}
    assert None not in column(result.table, "contribution_low")
    assert any("not significant; shares are refused" in note for note in result.notes)


@pytest.mark.parametrize("method", ["fieller", "jackknife", "bootstrap"])
def test_shares_and_gap_agree_on_significance(method: str) -> None:
    seen = set()
    for seed in range(30):
        result = attribute(random_atoms(seed, 8, gap=0.06), method=method, draws=50)
        gap = result.gap
        assert gap.low is not None and gap.high is not None
        assert gap.significant == (gap.low * gap.high > 0) == (column(result.table, "share")[0] is not None)
        seen.add(gap.significant)
    assert seen == {True, False}


def test_equal_models_have_no_shares() -> None:
    rows = [(k, *HIT, 0, 3, 1.0, 1.0) for k in range(5)]
    result = attribute(atoms_of(rows))
    assert result.gap.value == 0.0 and set(column(result.table, "share")) == {None}
    assert any("gap to a is exactly 0" in note for note in result.notes)


# ---- documents


def test_duplicates_of_one_id_do_not_shrink_the_interval() -> None:
    atoms = random_atoms(3, 25)
    once, twice = attribute(atoms), attribute(pa.concat_tables([atoms, atoms]))
    for name in set(once.table.column_names) - {"tokens", "model", "slice"}:
        assert_allclose(
            np.array(column(twice.table, name), float),
            np.array(column(once.table, name), float),
            rtol=1e-9,
            err_msg=name,
        )
    copies = atoms.set_column(
        atoms.schema.get_field_index("document_id"),
        "document_id",
        pa.array([f"{name} copy" for name in column(atoms, "document_id")]).dictionary_encode(),
    )
    apart = attribute(pa.concat_tables([atoms, copies], promote_options="none"))
    width = [r.gap.high - r.gap.low for r in (once, apart) if r.gap.high is not None and r.gap.low is not None]
    assert width[1] < 0.75 * width[0]


def test_order_of_rows_and_documents_does_not_matter() -> None:
    atoms = random_atoms(4, 10)
    shuffled = atoms.take(np.random.default_rng(0).permutation(atoms.num_rows))
    one, other = attribute(atoms, method="bootstrap", draws=300), attribute(shuffled, method="bootstrap", draws=300)
    for name in ("contribution", "share", "share_low", "share_high"):
        assert_allclose(column(other.table, name), column(one.table, name), rtol=1e-9)


def test_one_document() -> None:
    atoms = atoms_of([(0, *HIT, 0, 2, 1.0, 4.0), (0, *OTHER, 0, 8, 10.0, 11.0)])
    with pytest.raises(ValueError, match="one document: no interval possible"):
        attribute(atoms)
    result = attribute(atoms, intervals=False)
    assert column(result.table, "share") == [0.75, 0.0, 0.0, 0.25]
    assert set(column(result.table, "share_low")) == {None}
    found = report(atoms)
    assert found["comparisons"][0]["gap"] == {"value": 0.4, "low": None, "high": None, "significant": None}
    assert "No intervals: one document." in found["notes"]
    with pytest.raises(ValueError, match="one document: no interval possible"):
        report(atoms, intervals=True)


def test_few_documents_are_noted() -> None:
    assert any(note.startswith("19 documents: below 20") for note in attribute(random_atoms(5, 19)).notes)
    assert not any("below 20" in note for note in attribute(random_atoms(5, 20)).notes)


def test_simultaneous_bands_contain_the_pointwise_value_and_are_wider() -> None:
    atoms = random_atoms(6, 60)
    one, all_of = attribute(atoms, "distance").table, attribute(atoms, "distance", simultaneous=True).table
    width = [np.subtract(column(t, "contribution_high"), column(t, "contribution_low")) for t in (one, all_of)]
    assert (width[1] > 1.1 * width[0]).all()
    assert column(one, "share_low") == column(all_of, "share_low")


# ---- models


def three_models() -> pa.Table:
    rows = [(k, *HIT, 0, 10, 5.0, 8.0 + 0.1 * (k % 3), 6.0 + 0.1 * (k % 2)) for k in range(24)]
    return atoms_of(rows, models=["a", "b", "c.d-e_1"])


def test_every_model_against_the_first() -> None:
    result = attribute(three_models())
    assert [(g.model, g.reference) for g in result.gaps] == [("b", "a"), ("c.d-e_1", "a")]
    assert column(result.table, "model") == ["b"] * 4 + ["c.d-e_1"] * 4
    with pytest.raises(ValueError, match=r"exactly one model, this attribution has \['b', 'c.d-e_1'\]"):
        _ = result.gap
    swapped = attribute(three_models(), model="a", reference="b")
    assert swapped.gap.value == -result.gaps[0].value
    assert column(swapped.table, "share")[0] == column(result.table, "share")[0] == 1.0


def test_unknown_models_and_settings_are_refused() -> None:
    atoms = three_models()
    with pytest.raises(ValueError, match=r"model must be one of \['a', 'b', 'c.d-e_1'\], got 'x'"):
        attribute(atoms, model="x")
    with pytest.raises(ValueError, match=r"reference must be one of .*, got 'x'"):
        attribute(atoms, reference="x")
    with pytest.raises(ValueError, match="model must differ from the reference 'a'"):
        attribute(atoms, model="a")
    with pytest.raises(ValueError, match=r"method must be one of \('fieller', 'jackknife', 'bootstrap'\), got 'bca'"):
        attribute(atoms, method="bca")
    with pytest.raises(ValueError, match="level must lie strictly between 0 and 1, got 95"):
        attribute(atoms, level=95)
    with pytest.raises(ValueError, match="draws must be at least 1, got 0"):
        attribute(atoms, draws=0)


def test_unknown_counts_are_said() -> None:
    rows = [(k, d, -1, -1, 0, 0, 5, 5.0, 6.0 + 0.1 * k) for k in range(5) for d in (0, 2)]
    result = attribute(atoms_of(rows, training_tokens=None, threshold={"count": None, "per_million": None}))
    assert column(result.table, "slice") == ["repeat", "new"]
    assert any("Training counts are unknown" in note for note in result.notes)
    rows = [(k, d, 3, -1, 0, 0, 5, 5.0, 6.0 + 0.1 * k) for k in range(5) for d in (0, 2)]
    result = attribute(atoms_of(rows, training_tokens=None, threshold={"count": None, "per_million": None}))
    assert any("No threshold for rarity" in note for note in result.notes)


# ---- Shapley and Owen


def subset_value(d: np.ndarray, members: np.ndarray, subset: Any) -> Fraction:
    """v(T): sum of d over tokens in the union of the slices in T, in exact arithmetic."""
    inside = members[:, list(subset)].any(axis=1)
    return sum((Fraction(x) for x in d[inside].tolist()), Fraction(0))


def brute_shapley(d: np.ndarray, members: np.ndarray) -> list[float]:
    """Mean marginal contribution over all orders."""
    m = members.shape[1]
    total = [Fraction(0)] * m
    for size, j in itertools.product(range(m), range(m)):
        weight = Fraction(math.factorial(size) * math.factorial(m - size - 1), math.factorial(m))
        for subset in itertools.combinations([k for k in range(m) if k != j], size):
            total[j] += weight * (subset_value(d, members, (*subset, j)) - subset_value(d, members, subset))
    return [float(x) for x in total]


def brute_owen(d: np.ndarray, members: np.ndarray, groups: list[int]) -> list[float]:
    """Mean marginal contribution over the orders in which each group arrives in one piece."""
    m, total, orders = members.shape[1], [Fraction(0)] * members.shape[1], 0
    for order in itertools.permutations(range(m)):
        runs = [group for group, _ in itertools.groupby(order, key=lambda j: groups[j])]
        if len(runs) != len(set(groups)):
            continue
        orders += 1
        for k, j in enumerate(order):
            total[j] += subset_value(d, members, order[: k + 1]) - subset_value(d, members, order[:k])
    return [float(x / orders) for x in total]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 30))
def test_shapley_equals_brute_force(seed: int, slices: int, tokens: int) -> None:
    rng = np.random.default_rng(seed)
    members, d = rng.random((tokens, slices)) < 0.5, rng.standard_normal(tokens)
    phi = d @ shapley_weights(members)
    assert_allclose(phi, brute_shapley(d, members), atol=1e-12)
    assert_allclose(phi.sum(), d[members.any(axis=1)].sum(), atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_owen_equals_brute_force(seed: int, slices: int) -> None:
    rng = np.random.default_rng(seed)
    members, d = rng.random((12, slices)) < 0.6, rng.standard_normal(12)
    groups = rng.integers(0, 3, slices).tolist()
    assert_allclose(d @ shapley_weights(members, groups), brute_owen(d, members, groups), atol=1e-12)


def test_owen_with_singletons_or_one_group_is_shapley() -> None:
    members = np.random.default_rng(0).random((40, 5)) < 0.5
    plain = shapley_weights(members)
    assert_allclose(shapley_weights(members, [4, 2, 0, 1, 3]), plain)
    assert_allclose(shapley_weights(members, [7] * 5), plain)


def test_shapley_table_by_hand() -> None:
    # repeat & rare tokens carry 6 nats, repeat & frequent 2, new & rare 1, the rest 3; 40 tokens
    rows = [(0, *HIT, 0, 10, 0.0, 6.0), (0, *REPEAT, 0, 10, 0.0, 2.0), (0, *RARE, 0, 10, 0.0, 1.0)]
    table = shapley(atoms_of([*rows, (0, *OTHER, 0, 10, 0.0, 3.0)]), ("repeat", "rare"), intervals=False)
    assert column(table, "slice") == ["repeat", "rare", "none of these"]
    assert_allclose(column(table, "contribution"), [5 / 40, 4 / 40, 3 / 40], rtol=1e-14)
    assert_allclose(column(table, "inclusive"), [8 / 40, 7 / 40, 3 / 40], rtol=1e-14)
    assert_allclose(column(table, "share"), [5 / 12, 4 / 12, 3 / 12], rtol=1e-14)


def test_shapley_intervals_are_those_of_its_document_sums() -> None:
    atoms = random_atoms(7, 30)
    row = shapley(atoms, ("repeat", "rare")).to_pylist()[0]
    frame = {key: atoms.column(key).to_numpy() for key in COLUMNS}
    d, repeat, rare = frame["loss_b"] - frame["loss_a"], frame["distance_bin"] > 0, frame["rare"] == 1
    part = d * repeat / (1.0 + rare)
    u_k, d_k = (np.array([x[frame["document"] == k].sum() for k in range(30)]) for x in (part, d))
    expected = fieller(u_k, d_k)
    assert_allclose(limits_of(row), limits(expected), rtol=1e-9)


def test_bad_flags_are_refused() -> None:
    atoms = random_atoms(8, 3)
    with pytest.raises(
        ValueError, match=r"flags must be distinct, at least one and at most 16, got \['rare', 'rare'\]"
    ):
        shapley(atoms, ("rare", "rare"))
    with pytest.raises(ValueError, match="groups must name one group for each of the 2 slices"):
        shapley(atoms, ("rare", "repeat"), groups=[1])
    with pytest.raises(ValueError, match=r"members must be \[tokens, slices\], got shape \(3,\)"):
        shapley_weights([True, False, True])


# ---- controls


def test_curve_against_raw_rows() -> None:
    atoms = random_atoms(9, 30)
    frame = {key: atoms.column(key).to_numpy() for key in COLUMNS}
    d, n = frame["loss_b"] - frame["loss_a"], frame["tokens"].sum()
    table = curve(atoms)
    assert column(table, "count") == sorted([2, *((1 << b) - 1 for b in range(12))])  # 2 is the headline
    for row in table.to_pylist():
        known = (frame["distance_bin"] > 0) & (frame["count_bin"] >= 0)
        largest = (1 << frame["count_bin"].astype(np.int64).clip(0)) - 1  # largest count in the row's bin
        hit = known & (largest <= row["count"] if row["count"] != 2 else frame["rare"] == 1)
        u_k, d_k = (np.array([x[frame["document"] == k].sum() for k in range(30)]) for x in (d * hit, d))
        expected = fieller(u_k, d_k)
        assert_allclose(row["token_share"], frame["tokens"][hit].sum() / n)
        assert_allclose(row["contribution"], d[hit].sum() / n)
        assert_allclose(row["difference"], d[hit].sum() / frame["tokens"][hit].sum())
        assert_allclose([row["share"], *limits_of(row)], [expected.value, *limits(expected)], rtol=1e-9)
        assert row["per_million"] == row["count"] / 16


def test_headline_of_the_curve_is_the_ar_hit() -> None:
    atoms = random_atoms(10, 30)
    (point,) = [row for row in curve(atoms).to_pylist() if row["count"] == 2]
    hit = attribute(atoms).table.to_pylist()[0]
    for name in ("token_share", "difference", "contribution", "share", "share_low", "share_high"):
        assert_allclose(point[name], hit[name], rtol=1e-12)


def test_curve_without_counts_is_empty_and_without_training_tokens_has_no_rate() -> None:
    rows = [(k, 2, -1, -1, 0, 0, 5, 5.0, 6.0 + 0.1 * k) for k in range(5)]
    assert curve(atoms_of(rows)).num_rows == 0
    rows = [(k, 2, 1, 1, 0, 0, 5, 5.0, 6.0 + 0.1 * k) for k in range(5)]
    assert set(column(curve(atoms_of(rows, training_tokens=None)), "per_million")) == {None}


def test_interaction_by_hand() -> None:
    deltas = {HIT: 2.0, RARE: 0.75, REPEAT: 0.5, OTHER: 0.25}
    rows = [(k, *kind, 0, 4, 8.0, 8.0 + 4 * delta) for k in range(3) for kind, delta in deltas.items()]
    (row,) = interaction(atoms_of(rows)).to_pylist()
    assert row == {"model": "b", "value": 1.0, "low": 1.0, "high": 1.0}  # (2 - 0.75) - (0.5 - 0.25)
    (row,) = interaction(atoms_of([r for r in rows if r[1:5] != RARE])).to_pylist()
    assert row == {"model": "b", "value": None, "low": None, "high": None}


def test_interaction_interval_is_near_the_literal_jackknife() -> None:
    documents = 60
    atoms = random_atoms(11, documents, rows=40)
    code = np.array(column(atoms, "document"))

    def value(table: pa.Table) -> float:
        return column(interaction(table, intervals=False), "value")[0]

    left = np.array([value(atoms.filter(pa.array(code != k))) for k in range(documents)])
    error = math.sqrt((documents - 1) / documents * ((left - left.mean()) ** 2).sum())
    (row,) = interaction(atoms).to_pylist()
    half = float(stats.t.ppf(0.975, documents - 1)) * error
    # the linearised and the jackknife error differ at relative order 1 / documents
    assert_allclose(row["high"] - row["value"], half, rtol=0.05)
    assert_allclose(row["value"] - row["low"], half, rtol=0.05)


def test_position_standardised_removes_a_difference_of_position() -> None:
    # the model loses 1 nat in the first quarter and 3 in the last, whatever the slice; hits stand late
    rows = []
    for k in range(4):
        for kind, early, late in ((HIT, 1, 9), (OTHER, 15, 5)):
            rows += [(k, *kind, 0, early, 5.0, 5.0 + early), (k, *kind, 3, late, 5.0, 5.0 + 3 * late)]
    found = {row["slice"]: row for row in position_standardised(atoms_of(rows)).to_pylist()}
    assert (found["AR hit"]["difference"], found["new, frequent"]["difference"]) == (2.8, 1.5)
    expected = 16 / 30 * 1 + 14 / 30 * 3
    for name in ("AR hit", "new, frequent"):
        assert_allclose([found[name][c] for c in ("standardised", "low", "high")], expected, rtol=1e-12)


def test_position_standardised_is_null_where_a_slice_lacks_a_quarter() -> None:
    rows = [(k, *HIT, 3, 5, 5.0, 6.0) for k in range(3)] + [
        (k, *OTHER, p, 5, 5.0, 6.0) for k in range(3) for p in (0, 3)
    ]
    found = {row["slice"]: row for row in position_standardised(atoms_of(rows)).to_pylist()}
    assert_allclose(found["AR hit"]["difference"], 0.2)
    assert found["AR hit"]["standardised"] is found["AR hit"]["low"] is None
    assert found["new, frequent"]["standardised"] is not None
    assert found["new, rare"]["difference"] is None


# ---- report and text


def test_report_has_the_agreed_shape_and_is_json() -> None:
    atoms = random_atoms(12, 30)
    found = json.loads(json.dumps(report(atoms), allow_nan=False))
    assert (found["format"], found["reference"], found["models"]) == ("recallscope-report-1", "a", ["a", "b"])
    assert found["settings"]["threshold"] == {"count": 2, "per_million": 0.125}
    assert found["settings"]["window"] == 8 and found["settings"]["text"] is None
    frame = {key: atoms.column(key).to_numpy() for key in COLUMNS}
    assert found["totals"]["tokens"] == frame["tokens"].sum() and found["totals"]["documents"] == 30
    assert_allclose(found["totals"]["losses"]["b"], frame["loss_b"].sum() / frame["tokens"].sum())
    (comparison,) = found["comparisons"]
    assert set(comparison) == {
        "model",
        "reference",
        "gap",
        "partitions",
        "curve",
        "interaction",
        "shapley",
        "notes",
    }
    for by, rows in comparison["partitions"].items():
        expected = attribute(atoms, by).table.drop_columns(["model"]).to_pylist()
        assert rows == expected, by
        assert_allclose(sum(row["contribution"] for row in rows), comparison["gap"]["value"], rtol=1e-12)
    assert list(comparison["partitions"]) == ["recall", "distance", "count", "position", "opportunity"]
    assert comparison["curve"] == curve(atoms).drop_columns(["model"]).to_pylist()
    assert comparison["shapley"] == shapley(atoms).drop_columns(["model"]).to_pylist()
    assert comparison["interaction"] == interaction(atoms).drop_columns(["model"]).to_pylist()[0]


def test_report_of_a_weak_gap_holds_nulls_not_zeros() -> None:
    (comparison,) = json.loads(json.dumps(report(random_atoms(2, 12, gap=0.0)), allow_nan=False))["comparisons"]
    assert comparison["gap"]["significant"] is False
    for rows in (*comparison["partitions"].values(), comparison["curve"], comparison["shapley"]):
        assert {row["share"] for row in rows} == {None}
    assert any("refused" in note for note in comparison["notes"])


def test_format_table() -> None:
    text = format_table(attribute(atoms_of(BY_HAND), level=0.5))
    assert text.split("\n\n")[0].splitlines() == [
        "b against a: gap +0.4000 nats per token (+0.4000 to +0.4000)",
        "slice             tokens  difference  contribution            interval  share of gap         interval",
        "AR hit             20.0%     +2.0000       +0.4000  +0.3000 to +0.5000        100.0%  75.0% to 125.0%",
        "repeat, frequent    0.0%           -       +0.0000  +0.0000 to +0.0000          0.0%     0.0% to 0.0%",
        "new, rare           0.0%           -       +0.0000  +0.0000 to +0.0000          0.0%     0.0% to 0.0%",
        "new, frequent      80.0%     +0.0000       +0.0000  -0.1000 to +0.1000          0.0%  -25.0% to 25.0%",
    ]
    assert "note: 2 documents: below 20" in text


def test_format_table_shows_refusals_as_dashes() -> None:
    text = format_table(attribute(random_atoms(2, 12, gap=0.0)))
    rows = [line for line in text.splitlines() if line.startswith(("AR hit", "new, "))]
    assert len(rows) == 4 and all(line.split()[-2:] == ["-", "-"] for line in rows)
