"""The plans of Based's Figures 1 and 3 and of JRT's Figure 2, as published and small."""

from __future__ import annotations

import pytest
from recallscope.architectures.architecture import Architecture
from recallscope.training.sweeps.plans import BASED_RATES, PLANS
from recallscope.training.sweeps.subjects import cannot_bind, stacked_subject


def one(name: str):
    (sweep,) = PLANS[name]()
    return sweep


@pytest.mark.parametrize(
    ("name", "windows", "width"),
    [
        ("based-figure1", [8, 16, 32, 64, 128, 256, 512, 1024], 128),
        ("based-figure1-small", [4, 8, 16, 32, 64], 32),
    ],
)
def test_every_model_of_figure1_has_a_convolution_and_two_mixers(name, windows, width):
    """Both together have no layer more than one alone; linear attention comes first, as in Based."""
    models = one(name).subjects
    stacks = [[layer["mixer"] for layer in model.config.layers] for model in models]
    assert {len(stack) for stack in stacks} == {3} and {stack[0] for stack in stacks} == {"base_conv"}
    for mixers in (["based", "sliding_window"], ["sliding_window", "sliding_window"]):
        own = [m for m, stack in zip(models, stacks, strict=True) if stack[1:] == mixers]
        assert sorted(m.config.layers[-1]["window"] for m in own) == windows
        assert {m.mixer for m in own} == {"+".join(dict.fromkeys(mixers))}
    assert stacks.count(["base_conv", "based", "based"]) == stacks.count(["base_conv", "attention", "attention"]) == 1
    assert len(models) == 2 * len(windows) + 2 and not any(cannot_bind(model.config) for model in models)
    assert {model.config.width for model in models} == {width}


def test_published_plans_of_figures_1_and_3_are_those_of_figure_2_but_for_the_models():
    published = one("based-figure2")
    for name in ("based-figure1", "based-figure3"):
        sweep = one(name)
        assert (sweep.mix, sweep.recipe, sweep.rates) == (published.mix, published.recipe, BASED_RATES)


def test_feature_maps_of_figure_3():
    models = one("based-figure3").subjects
    assert sorted({model.config.width for model in models}) == [64, 128, 192, 256, 320, 384, 448, 512]
    assert {model.config.layers[-1]["key_width"] for model in models if model.mixer == "based"} == {16, 24}
    maps = {model.config.layers[-1].get("feature_map") for model in models}
    assert maps == {None, "elu", "relu", "identity", "cosformer", "performer"} and len(models) == 8 * 7
    small = one("based-figure3-small")
    longest = max(task.length for task in small.mix.test)
    for model in small.subjects:  # the other maps keep F of the width, twice that with the positions of cosFormer
        layer, state = model.config.layers[-1], Architecture("", model.config).state_elements(longest)
        width, conv = model.config.width, 2 * model.config.width
        if model.mixer == "linear_attention":
            features = width * (2 if layer["feature_map"] == "cosformer" else 1)
            assert state == conv + features * (width + (layer["feature_map"] != "identity"))
        else:
            key = layer["key_width"]
            assert state == conv + (1 + key + key**2) * (width + 1)


def test_small_plans_have_three_seeds_and_test_beyond_what_they_train():
    for name in ("based-figure1-small", "based-figure3-small", "jrt-figure2-small"):
        sweep = one(name)
        assert len(sweep.seeds) == 3 and sweep.recipe.steps == 1000
        trained = max(task.length for task, _ in sweep.mix.train)
        assert max(task.length for task in sweep.mix.test) > trained


def test_small_set_disjointness_is_tested_both_ways_round():
    sweep = one("jrt-figure2-small")
    sizes = [(task.first, task.second) for task in sweep.mix.test]  # type: ignore[attr-defined]
    assert {(b, a) for a, b in sizes} == set(sizes) and all(a != b for a, b in sizes)
    pairs = {(model.mixer, model.config.layers[-1]["key_width"]) for model in sweep.subjects}
    assert pairs == {(mixer, key) for mixer in ("based", "jrt") for key in (2, 4, 8)}
    for model in sweep.subjects:
        assert [layer["mixer"] for layer in model.config.layers] == ["base_conv", model.mixer] * 2


def test_a_stack_of_unknown_mixers_is_refused():
    with pytest.raises(ValueError, match=r"stack: mixers of attention, .*got 'nope'"):
        stacked_subject(("base_conv", "nope:window=4"))
