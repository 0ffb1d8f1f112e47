"""Closed forms of the recurrent transformer against the module, the counter, and every cell that the note prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sympy
import torch
from recallscope.architectures.costs import B, T
from recallscope.architectures.counting import count_flops
from recallscope.architectures.recurrent_transformer import (
    BlockState,
    TransformerModel,
    TransformerShape,
    note_flops,
    parameters_count,
    prefill_flops,
    state_elements,
)
from recallscope.evidence import read_evidence

REGULAR = [{}, {"layers": 3}, {"layers": 2, "classes": 10}, {"positions": False}]
RECURRENT = [
    {"block": 1},
    {"block": 4, "positions": False},
    {"block": 5, "variant": "accumulate", "learned": True},
    {"block": 4, "variant": "accumulate_outputs", "classes": 10},
]


def shape(**options: Any) -> TransformerShape:
    return TransformerShape(17, 24, 3, 40, **options)


@pytest.mark.parametrize("options", REGULAR + RECURRENT)
def test_parameters_are_those_of_the_module(options: dict[str, Any]):
    model = TransformerModel(shape(**options))
    assert parameters_count(shape(**options)) == sum(weight.numel() for weight in model.parameters())


@pytest.mark.parametrize("options", REGULAR + RECURRENT)
@pytest.mark.parametrize("t", [1, 3, 4, 5, 20, 23])
def test_flops_are_those_that_are_counted(options: dict[str, Any], t: int):
    model = TransformerModel(shape(**options))
    with count_flops() as counted:
        model(torch.zeros(2, t, dtype=torch.long))
    assert prefill_flops(shape(**options), t, 2) == counted.flops


@pytest.mark.parametrize("options", RECURRENT)
def test_state_is_what_survives_between_two_blocks(options: dict[str, Any]):
    """Read block by block from nothing but the state's tensors, without the rest of their storage."""
    model = TransformerModel(shape(**options)).double()
    ids, w = torch.randint(17, (1, 18)), options["block"]
    state, logits, seen = None, [], 0
    for part in ids.split(w, 1):
        before, state = model.step(part, seen, state)
        logits += [] if before is None else [before]
        seen += part.shape[1]
        kept = [tensor for tensor in state if tensor is not None]
        assert sum(tensor.numel() for tensor in kept) == state_elements(shape(**options), seen)
        state = BlockState(state.hidden.clone(), None if state.beside is None else state.beside.clone())
    assert state is not None
    torch.testing.assert_close(torch.cat([*logits, model.close(state)], 1), model(ids), rtol=0, atol=1e-12)


@pytest.mark.parametrize("options", RECURRENT)
def test_every_element_of_the_state_is_read(options: dict[str, Any]):
    """None could be left out: the rest of the text has a gradient at each."""
    model = TransformerModel(shape(**options)).double()
    ids, w, state = torch.randint(17, (1, 20)), options["block"], None
    for at in (0, w, 2 * w):
        _, state = model.step(ids[:, at : at + w], at, state)
    assert state is not None
    leaves = [tensor.detach().requires_grad_() for tensor in state if tensor is not None]
    y, after = model.step(ids[:, 3 * w : 4 * w], 3 * w, BlockState(leaves[0], leaves[1] if leaves[1:] else None))
    assert y is not None
    pull = [torch.randn_like(out) for out in (y, model.close(after))]
    total = sum((out * one).sum() for out, one in zip((y, model.close(after)), pull, strict=True))
    assert isinstance(total, torch.Tensor)
    for gradient in torch.autograd.grad(total, leaves):
        assert (gradient != 0).all()


def test_the_copy_model_keeps_6144_floats_and_the_unit_recurrence_384():
    copy = TransformerShape(16, 96, 6, 4128, 32, variant="accumulate", learned=True)
    unit = TransformerShape(65, 384, 6, 256, 1)
    assert state_elements(copy, 4128) == 2 * 32 * 96 == 6144
    assert state_elements(unit, 256) == 384
    assert state_elements(TransformerShape(65, 384, 6, 256, layers=6), 256) == 2 * 6 * 384 * 256


def test_costs_are_expressions_in_tokens_and_batch():
    recurrent = shape(block=4, variant="accumulate")
    state, flops = state_elements(recurrent, T), prefill_flops(recurrent, T, B)
    for t in (1, 4, 5, 8, 23):
        assert state.subs(T, t) == state_elements(recurrent, t)
        assert flops.subs({T: t, B: 3}) == prefill_flops(recurrent, t, 3)
    assert prefill_flops(shape(layers=2), T, 1) == sympy.expand(T * (2 * 24 * 17 + 48 * 24**2) + 8 * 24 * T**2)


def test_the_count_of_the_note_in_its_letters():
    d, n, k, layers = sympy.symbols("D N K L", positive=True)
    assert sympy.expand(note_flops(d, n, layers=layers) - layers * (n**2 * d + n * d**2)) == 0
    assert sympy.expand(note_flops(d, n, 1, layers) - layers * n * (4 * d + 2 * d**2)) == 0
    assert sympy.expand(note_flops(d, n, k, layers) - layers * n / k * (4 * d * k**2 + 2 * k * d**2)) == 0
    ratio = sympy.limit(note_flops(d, n, k) / note_flops(d, n), n, sympy.oo)
    assert ratio == 0  # linear in N against quadratic


CELLS = [
    row
    for row in read_evidence(
        Path(__file__).parents[2] / "paper_figures/evidence/recurrent_transformer.jsonl"
    ).to_pylist()
    if row["kind"] == "published"
]


def digits(printed: str) -> tuple[str, float]:
    """`10.74M` as `10.74` and what one unit of its last digit is worth."""
    number, scale = printed, 1.0
    for letter, worth in (("K", 1e3), ("M", 1e6)):
        if printed.endswith(letter):
            number, scale = printed[:-1], worth
    mantissa, _, power = number.partition("e")
    return mantissa, scale * 10.0 ** int(power or 0) * 10.0 ** -len(mantissa.partition(".")[2])


def shape_of(row: dict[str, Any]) -> TransformerShape:
    options = {name: row[name] for name in ("block", "layers", "variant", "learned", "positions", "classes")}
    named = {name: value for name, value in options.items() if value is not None}
    return TransformerShape(row["vocabulary"], row["width"], row["heads"], row["context"], **named)


TRUNCATED = {"10.74M", "1.79M", "90K", "53.6K"}
"""Printed parameters that are ours with the further digits cut off, but not rounded."""


@pytest.mark.parametrize("row", [row for row in CELLS if row["metric"] == "parameters"], ids=lambda r: r["printed"])
def test_parameters_of_the_tables(row: dict[str, Any]):
    printed, unit = digits(row["printed"])
    ours = parameters_count(shape_of(row))
    assert int(ours / unit) == round(float(printed) * 10 ** len(printed.partition(".")[2]))
    assert (abs(ours - row["value"]) <= unit / 2) == (row["printed"] not in TRUNCATED)


def test_parameters_of_the_tables_to_the_last():
    ours = {row["printed"]: parameters_count(shape_of(row)) for row in CELLS if row["metric"] == "parameters"}
    without = 12 * 384**2 + 2 * 384 + 384 + 65 * 384
    assert without == 1_795_584 and ours["1.79M"] == without
    assert ours["1.89M"] == without + 256 * 384
    assert ours["10.74M"] == ours["1.89M"] + 5 * (12 * 384**2 + 2 * 384)
    assert ours["90K"] == 4 * (12 * 32**2 + 64) + 32 + (256 + 1024 + 10) * 32
    assert ours["53.6K"] == 12 * 32**2 + 64 + 32 + (256 + 1024 + 10) * 32 + 1
    assert ours["508.7K"] == 12 * 96**2 + 3 * 96 + (16 + 4128) * 96  # selective copy: α is not learned


@pytest.mark.parametrize(
    "row", [row for row in CELLS if row["metric"] == "FLOPs per sample"], ids=lambda r: f"{r['subject']} {r['task']}"
)
def test_flops_of_the_tables_are_rounded_right(row: dict[str, Any]):
    _, unit = digits(row["printed"])
    ours = note_flops(row["width"], row["context"], row["block"], row["layers"])
    assert abs(ours - row["value"]) <= unit / 2


def test_training_flops_of_the_tables_do_not_follow_from_samples():
    for task, factor in (("copy", 1.8), ("selective copy", 47.7)):
        cell = {row["metric"]: row for row in CELLS if row["task"] == task}
        product = cell["training samples"]["value"] * note_flops(96, 4128, 32)
        assert cell["training FLOPs"]["value"] / product == pytest.approx(factor, rel=0.01)
        assert cell["training FLOPs"]["flag"]
