"""Costs of whole models: the sum over layers, counted on the real model; presets, Hugging Face shapes, crossings."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import sympy
import torch
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig, mixer_options
from recallscope.architectures.costs import B, T, cost, crossings, formula
from recallscope.architectures.counting import count_flops
from recallscope.architectures.hugging_face import FAMILIES, from_hugging_face
from recallscope.architectures.mixers import MIXERS
from recallscope.architectures.model import LanguageModel
from recallscope.architectures.names import architecture
from recallscope.architectures.plots import cost_against_length
from recallscope.architectures.presets import PRESETS
from recallscope.architectures.tables import cost_table, crossing_lines, format_costs

CONFIG = ModelConfig(
    50,
    64,
    (
        {"mixer": "rwkv4", "ffn": "rwkv4", "ffn_width": 32},
        {"mixer": "rwkv7", "ffn": "rwkv7"},
        {"mixer": "attention", "heads": 4, "kv_heads": 2},
        {"mixer": "hyena", "length": 16, "ffn_width": 0},
        {"mixer": "sliding_window", "window": 3, "ffn_width": 8, "experts": 5, "active_experts": 2, "shared_width": 12},
        {"mixer": "based", "key_width": 4, "chunk": 4},
        {"mixer": "based", "key_width": 4, "chunk": 4},
    ),
    24,
)
QUANTITIES = ("parameters_count", "state_elements", "read_elements", "write_elements", "decode_flops")


@pytest.mark.parametrize("tied, loops", [(False, 1), (True, 1), (False, 3)])
def test_costs_of_a_model_are_counted_on_it(tied, loops):
    config = replace(CONFIG, tied=tied, loops=loops, inject=True)
    shape, model = Architecture("test", config), LanguageModel(config)
    assert shape.parameters() == sum(p.numel() for p in model.parameters())
    ids = torch.randint(0, 50, (2, 23), generator=torch.Generator().manual_seed(0))
    with count_flops() as training:
        model(ids).sum().backward()
    with torch.no_grad():
        with count_flops() as prefill:
            _, states = model.prefill(ids)
        with count_flops() as decode:
            model.step(ids[:, 0], states)
    assert shape.training_flops(23, 2) == training.flops
    assert shape.prefill_flops(23, 2) == prefill.flops
    assert shape.decode_flops(24, 2) == decode.flops
    measured = sum(one.numel() for state in states for one in state if one.ndim and one.shape[0] == 2) / 2
    assert shape.state_elements(23) == measured


def test_blocks_of_rwkv_keep_a_token_for_each_shift():
    assert architecture("rwkv4:ffn=rwkv4,ffn_width=8192").state_elements(4096) == 10_240
    assert architecture("rwkv7:heads=32,ffn=rwkv7,ffn_width=8192").state_elements(4096) == 135_168
    with pytest.raises(ValueError, match="ffn: one of swiglu, rwkv4, rwkv7, experts with swiglu alone, got 'mlp'"):
        architecture("rwkv4:ffn=mlp,ffn_width=8").parameters()


def test_useful_flops_are_those_of_the_pairs_that_a_causal_mask_keeps():
    layer = architecture(mixer="attention", width=64, heads=4)
    projections = 2 * 4 * 64**2
    assert layer.useful_flops(100) == sum(projections + 4 * 64 * t for t in range(1, 101))
    assert layer.prefill_flops(100) - layer.useful_flops(100) == 4 * 64 * (100 * 100 - 100 * 101 // 2)


def test_expressions_and_integers_agree():
    shape = Architecture("test", CONFIG)
    expressions: Any = cost(shape, 16, 32)
    for t, batch in ((1, 1), (23, 2), (1000, 7)):
        at = {T: t, B: batch}
        assert expressions.parameters == shape.parameters()
        assert expressions.state.subs(at) == shape.state_elements(t)
        assert expressions.training_flops.subs(at) == shape.training_flops(t, batch)
        assert expressions.decode_flops.subs(at) == shape.decode_flops(t, batch)
        for name in ("prefill_bytes", "decode_bytes"):
            exact = getattr(expressions, name).subs(at)
            assert abs(float(exact) - getattr(shape, name)(t, batch, 16, 32)) <= 1


def test_bytes_by_hand():
    shape = architecture(mixer="attention", width=8, layers=3, heads=2, ffn_width=10, vocabulary=20, qk_norm=False)
    blocks = 3 * (4 * 64 + 3 * 8 * 10 + 2 * 8)
    assert shape.parameters() == blocks + 8 + 2 * 160
    weights = blocks + 8 + 160 + 5 * 8  # the embedding's rows of five sequences
    assert shape.decode_bytes(7, 5) == 2 * (weights + 5 * 3 * (2 * 8 * 7 + 2 * 8))
    assert shape.decode_bytes(7, 5, 4, 8) == -(-(4 * weights + 8 * 5 * 3 * (2 * 8 * 7 + 2 * 8)) // 8)
    assert shape.prefill_bytes(7) == 2 * (weights + 2 * 8 + 7 * 6 * 2 * 8 + 3 * 2 * 8 * 7)
    assert shape.training_bytes(7) == 2 * (2 * (weights + 2 * 8) + shape.parameters() + 7 * 6 * 5 * 8)


def test_lightning_layers_know_their_place():
    shape = architecture("lightning:width=64,heads=4,layers=3")
    assert [(layer["layer"], layer["layers"]) for layer in shape.config.layers] == [(0, 3), (1, 3), (2, 3)]
    assert shape.state_elements(10) == 3 * architecture("lightning:width=64,heads=4").state_elements(10)
    with pytest.raises(ValueError, match=r"options: lightning takes .*, got layer"):
        architecture("lightning:width=64,layer=1,layers=3")


def test_experts_that_a_batch_reads_against_simulation():
    shape = Architecture("test", CONFIG)
    expert, tokens = 3 * 64 * 8, 6
    chosen = torch.rand(4000, tokens, 5, generator=torch.Generator().manual_seed(0)).topk(2, -1).indices
    read = sum((chosen == e).any(-1).any(-1).double().mean().item() for e in range(5))
    unread = shape.parameters() - 50 * 64 + tokens * 64 - shape._read_weights(tokens)
    assert unread == pytest.approx((5 - read) * expert, rel=0.1)
    assert shape.active_parameters() == shape.parameters() - 3 * expert


@pytest.mark.parametrize("name", MIXERS)
def test_formulas_in_letters_give_the_mixers_numbers(name):
    mixer = MIXERS[name](256)
    letters = {"D": "width", "H": "heads", "H_kv": "kv_heads", "K": "key_width", "V": "value_width"}
    letters |= {"N": "state_size", "W": "window", "C": "chunk", "F": "features"}
    parts = dict(mixer.named_modules(remove_duplicate=False))

    def number(symbol: str) -> int:
        """A symbol is an attribute, of the mixer or (after the name and `_`) of a part of it."""
        if hasattr(mixer, letters.get(symbol, symbol)):
            return getattr(mixer, letters.get(symbol, symbol))
        found = [part for part in parts if part and symbol.startswith(part.replace(".", "_") + "_")]
        part = max(found, key=len, default="")
        attribute = symbol.removeprefix(part.replace(".", "_") + "_") if part else symbol
        return getattr(parts[part], letters.get(attribute, attribute))

    for quantity in ("parameters_count", "state_elements"):
        found: Any = formula(name, quantity)
        values = {symbol: number(symbol.name) for symbol in found.free_symbols - {T}}
        form = getattr(mixer, quantity)
        assert found.subs(values | {T: 100}) == (form() if quantity == "parameters_count" else form(100))


def test_formulas_read_like_the_papers():
    h, k, d = sympy.symbols("H_kv K D", positive=True, integer=True)
    assert formula("attention", "state_elements") == 2 * h * k * T
    assert formula("sliding_window", "state_elements", fixed=("window",)) == 2 * h * k * sympy.Min(64, T)
    assert formula("hyena", "write_elements") == 4 * d
    with pytest.raises(ValueError, match="mixer: one of attention"):
        formula("nothing", "state_elements")


def test_crossings_by_hand():
    assert crossings(2 * T, sympy.Min(T, 64) + 100) == [82]
    assert crossings(3 * T, sympy.Min(T, 64) + 100) == [50]  # before the minimum changes
    assert crossings(2 * T, sympy.Min(T, 64) + 64) == [64]  # just where it does, and only once
    assert crossings(T**2, 100 * T) == [100]
    assert crossings(sympy.Integer(5), T, longest=4) == []
    assert crossings(sympy.Min(T, 10), sympy.Min(T, 10)) == []
    rough = crossings(T * sympy.ceiling(sympy.log(T, 2)), 1000 * sympy.Integer(1))
    assert rough == [min(t for t in range(2, 1000) if t * (t - 1).bit_length() > 1000)]
    with pytest.raises(ValueError, match="expressions in t alone, got also"):
        crossings(T * B, T)


# What the authors call a model against the parameters of its shape: equal to the digits in the name.
@pytest.mark.parametrize(
    "name, parameters, relative",
    [
        ("based-363m", 363e6, 0.01),
        ("based-1.4b", 1.4e9, 0.04),
        ("jrt-rnn-356m", 356e6, 0.01),
        ("jrt-rnn-1.3b", 1.3e9, 0.06),
        ("mamba-358m", 358e6, 0.02),
        ("mamba-1.3b", 1.3e9, 0.04),
        ("transformer++-360m", 360e6, 0.01),
        ("transformer++-1.3b", 1.3e9, 0.01),
        ("yi-6b", 6e9, 0.02),
        ("qwen3-next-80b-a3b", 80e9, 0.01),
        ("kimi-linear-48b-a3b", 48e9, 0.03),
        ("deepseek-v3", 671e9, 0.001),
        ("mamba-codestral-7b", 7.3e9, 0.01),
        ("jamba-v0.1", 52e9, 0.02),
    ],
)
def test_presets_have_the_size_in_their_name(name, parameters, relative):
    assert architecture(name).parameters() == pytest.approx(parameters, rel=relative)


def test_presets_have_the_published_state():
    """Arora et al. 2024 (arXiv 2407.05483): 273 features and a denominator a head; 128 keys and values."""
    based = architecture("based-363m")
    assert based.state_elements(2048) == 5 * (1024 * 273 + 16 * 273) + 5 * 2 * 128 * 1024 + 17 * 2 * 2048
    assert architecture("transformer++-360m").state_elements(2048) == 100_663_296
    mamba = architecture("mamba-358m").state_elements(2048)
    assert mamba == 46 * 2 * 1024 * 16 + 46 * 2 * 1024 * 3


def test_every_preset_has_a_source():
    assert all(preset.source for preset in PRESETS.values())


SMALL = {
    "vocab_size": 100, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 5, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 32, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
LATENT = {"num_key_value_heads": 4, "kv_lora_rank": 24, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8}
EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 16}
FURTHER = {
    "deepseek_v3": LATENT | EXPERTS | {
        "n_routed_experts": 8, "n_group": 2, "topk_group": 1, "n_shared_experts": 2, "q_lora_rank": 20,
        "first_k_dense_replace": 1,
    },
    "kimi_linear": LATENT | EXPERTS | {
        "num_local_experts": 8, "n_shared_experts": 1, "linear_num_heads": 4, "linear_head_dim": 16,
    },
    "mamba2": {"head_dim": 32, "num_heads": 4, "state_size": 16, "n_groups": 2, "expand": 2},
    "qwen3_next": EXPERTS | {
        "num_experts": 6, "shared_expert_intermediate_size": 24, "linear_num_key_heads": 2, "linear_num_value_heads": 4,
        "linear_key_head_dim": 8, "linear_value_head_dim": 16,
    },
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen3_moe": EXPERTS | {"num_experts": 6, "mlp_only_layers": [0]},
}  # fmt: skip


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_shapes_of_hugging_face_have_the_parameters_of_the_real_model(family, tied):
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(family, **SMALL | FURTHER.get(family, {}), tie_word_embeddings=tied)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    shape = Architecture(family, from_hugging_face(json.loads(json.dumps(config.to_dict(), default=str))))
    assert shape.parameters() == sum(p.numel() for p in model.parameters())


def test_names(tmp_path):
    assert architecture("attention:width=64,heads=2,rope_base=None").state_elements(10) == 2 * 64 * 10
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text(CONFIG.to_json())
    assert architecture(str(tmp_path / "mine")).config == CONFIG
    (tmp_path / "llama.json").write_text(json.dumps(SMALL | {"model_type": "llama"}))
    assert architecture(str(tmp_path / "llama.json")).state_elements(3) == 5 * 2 * 2 * 32 * 3


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("nothing", {}, "architecture: a preset .*based-363m.*, a mixer with options .*attention.*, got 'nothing'"),
        ("attention:hats=3", {}, "options: attention takes width, .*heads.*kv_heads.*, got hats"),
        ("attention:heads", {}, "architecture: options as name=value, separated by commas, got 'heads'"),
        ("attention:layers=0", {}, "layers: an integer from 1 to 10000, got 0"),
        ("attention:width=0", {}, "width: an integer from 1 to 16777216, got 0"),
        ("based-363m", {"width": 3}, "options: none beside a preset or folder, got width"),
        (None, {}, "name, mixer: exactly one of them, got None and None"),
        (None, {"mixer": "nothing"}, "mixer: one of attention"),
    ],
)
def test_bad_names(name, options, message):
    with pytest.raises(ValueError, match=message):
        architecture(name, **options)


@pytest.mark.parametrize("name", MIXERS)
def test_options_of_any_kind_give_numbers_or_one_clear_error(name):
    refused = 0
    for option in mixer_options(name):
        for value in (0, -1, 3, "abc", 1.5, None, True):
            options: dict[str, Any] = {option: value}
            try:
                found = architecture(mixer=name, width=64, **options)
                assert found.parameters() > 0 and found.decode_flops(100) > 0 and found.prefill_flops(100) > 0
            except ValueError:
                refused += 1
    assert refused >= len(mixer_options(name))


def test_bad_folders(tmp_path):
    with pytest.raises(ValueError, match=r"must hold a config\.json"):
        architecture(str(tmp_path))
    for text, message in (
        ("{", r"config\.json is not JSON"),
        ('{"a": 1}', "is not a model shape"),
        ('{"model_type": "bert"}', "model_type: one of deepseek_v3, .*llama.*, got .bert."),
        ('{"model_type": "llama"}', "config: llama needs '.*', which is missing"),
    ):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ValueError, match=message):
            architecture(str(tmp_path))


def test_unknown_layer_options():
    with pytest.raises(ValueError, match=r"layers: based takes heads, key_width, .*ffn_width.*, got keys"):
        ModelConfig(50, 16, ({"mixer": "based", "keys": 3},), 24)
    with pytest.raises(ValueError, match="active_experts: between 1 and experts = 2, got 3"):
        LanguageModel(ModelConfig(50, 16, ({"mixer": "based", "experts": 2, "active_experts": 3},), 24))


def test_table_and_text():
    shapes = [architecture("attention:width=64,heads=2"), architecture("sliding_window:width=64,window=10")]
    table = cost_table(shapes, [5, 1000], batch=2)
    rows = {(r["subject"], r["t"], r["metric"]): r["value"] for r in table.to_pylist()}
    assert rows["attention:width=64,heads=2", 1000, "state_bytes"] == 2 * 2 * 64 * 1000
    assert rows["sliding_window:width=64,window=10", 1000, "state_elements"] == 2 * 64 * 10
    text = format_costs(table, ("state_elements", "state_bytes")).splitlines()
    assert text[0].split() == ["architecture", "t", "state", "elements", "state", "bytes"]
    assert text[3].split() == ["attention:width=64,heads=2", "1,000", "128,000", "250", "KiB"]
    assert crossing_lines(shapes, ("state_elements",)) == []
    other = architecture("based:width=64,key_width=4")
    assert crossing_lines([shapes[0], other], ("state_elements",)) == [
        f"state elements: {shapes[0].name} = {other.name} at t = {21 * 68 / 128:,.1f}"
    ]
    figure: Any = cost_against_length(table, "state_bytes")
    assert [trace.name for trace in figure.data] == [one.name for one in shapes]
    with pytest.raises(ValueError, match=r"metric: one of .*state_bytes.*, got 'hats'"):
        cost_against_length(table, "hats")
    with pytest.raises(ValueError, match="lengths, batch: at least 1"):
        cost_table(shapes, [0])
    with pytest.raises(ValueError, match="state_dtype: one of float32"):
        cost_table(shapes, [1], state_dtype="int3")
