"""What the shared suite runs beside every mixer's defaults: other options, and smaller chunks and windows."""

from __future__ import annotations

from typing import Any

from recallscope.architectures.mixers import MIXERS

WIDTH = 64

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "attention": [
        {"heads": 8, "kv_heads": 2, "sinks": True, "gate": True, "rope_base": None},
        {"heads": 2, "kv_heads": 1, "key_width": 16, "qk_norm": False},
    ],
    "base_conv": [
        {"kernel": 1, "activation": True},
        {"kernel": 5, "expansion": 3, "activation": True},
        {"kernel": 80},
        {"kernel": 64, "expansion": 4},
    ],
    "based": [{"heads": 2, "key_width": 5, "chunk": 16}, {"heads": 2, "key_width": 4, "symmetric": True, "chunk": 48}],
    "block_recurrent": [
        {"heads": 2, "states": 5, "window": 16, "gate": "lstm"},
        {"heads": 8, "key_width": 6, "states": 9, "window": 7},
    ],
    "clipped_softmax": [
        {"heads": 8, "kv_heads": 2, "alpha": 2.0, "zeta": 1.03, "length": 64, "chunk": 13, "gate": True},
        {"heads": 2, "key_width": 16, "alpha": 0.0, "chunk": 1024, "qk_norm": False, "rope_base": None},
    ],
    "compressed_attention": [
        {"heads": 2, "block": 16, "overlap": False, "selected": None, "window": 16, "chunk": 40},
        {"entry": 24, "block": 3, "selected": 5, "window": 7, "index_heads": 3, "index_width": 10, "chunk": 50},
        {"entry": 12, "block": 5, "selected": None, "window": 10, "rope_width": 0, "chunk": 25},
        {"entry": 10, "block": 2, "overlap": False, "selected": 3, "window": 2, "rope_width": 10, "chunk": 64},
    ],
    "delta_net": [
        {"heads": 2, "key_width": 8, "value_width": 12, "negative": True, "chunk": 16},
        {"heads": 2, "conv_width": None, "chunk": 48},
    ],
    "diff_qkv": [
        {"heads": 4, "key_heads": 2, "value_heads": 4, "head_width": 12, "key_width": 6, "value_width": 10},
        {"heads": 4, "key_heads": 4, "value_heads": 2, "query_width": 0, "selected": 9, "qk_norm": False},
        {"query_width": 40, "activation": "silu", "selected": 5, "renormalise": True, "rope_base": None},
    ],
    "gated_delta_net": [
        {"heads": 2, "value_heads": 4, "key_width": 8, "value_width": 12, "negative": True, "chunk": 16},
        {"heads": 2, "conv_width": None, "chunk": 48},
    ],
    "gated_slots": [
        {"heads": 2, "slots": 6, "root": 1.0, "chunk": 5},
        {"heads": 8, "slots": 20, "root": 0.2, "chunk": 32},
    ],
    "gla": [
        {"heads": 2, "key_width": 6, "value_width": 10, "gate_rank": 5, "gate_root": 2.0, "conv_width": 3, "chunk": 16},
        {"heads": 8, "gate_root": 0.5, "conv_width": 1, "chunk": 32},
    ],
    "h3": [{"state_size": 6, "taps": 1, "chunk": 20}, {"state_size": 16, "taps": 3, "chunk": 100}],
    "hgrn2": [
        {"state_size": 16, "lower_bound": 0.7, "chunk": 8},
    ],
    "hyena": [{"length": 40, "filter_width": 8, "bands": 3}],
    "jrt": [{"heads": 2, "key_width": 5, "symmetric": True, "chunk": 16}],
    "kda": [
        {"heads": 2, "key_width": 8, "value_width": 12, "negative": True, "chunk": 16},
        {"heads": 2, "conv_width": None, "chunk": 64},
    ],
    "lambda_window": [
        {"heads": 4, "kv_heads": 2, "leading": 7, "window": 5, "gate": True},
        {"leading": 40, "window": 31, "rope_base": None},
        {"leading": 3, "window": 1, "qk_norm": False},
        {"leading": 0, "window": 16},
    ],
    "landmark": [
        {"heads": 8, "kv_heads": 2, "block": 7, "keep": 2, "chunk": 30, "gate": True},
        {"kv_heads": 1, "block": 10, "keep": 1, "local": 30, "chunk": 20, "rope_base": None},
        {"heads": 2, "key_width": 6, "block": 1, "chunk": 50, "qk_norm": False},
    ],
    "lightning": [
        {"heads": 2, "key_width": 12, "layer": 1, "layers": 3, "slopes": "paper", "lrpe": True, "chunk": 16},
        {"heads": 8, "layer": 2, "layers": 3, "sigmoid_gate": True, "chunk": 48},
    ],
    "linear_attention": [
        {"heads": 4, "key_width": 24, "feature_map": "relu", "normalised": False, "chunk": 16},
        {"heads": 2, "feature_map": "t2r", "features": 20, "chunk": 48},
        {"feature_map": "hedgehog"},
        {"heads": 2, "key_width": 12, "feature_map": "hedgehog", "features": 10, "normalised": False, "chunk": 32},
        {"feature_map": "cosformer", "length": 130, "chunk": 24},
        {"heads": 2, "key_width": 10, "feature_map": "performer", "features": 24, "seed": 3},
        {"key_width": 6, "feature_map": "identity", "normalised": False},
    ],
    "lizard": [
        {"heads": 8, "kv_heads": 2, "window": 5, "sinks": 1, "chunk": 16},
        {"heads": 2, "kv_heads": 1, "key_width": 12, "features": 20, "window": 48, "chunk": 32},
    ],
    "log_linear": [
        {"expand": 1, "head_width": 8, "state_size": 12, "levels": 4, "chunk": 16},
        {"head_width": 16, "state_size": 8, "chunk": 1},
    ],
    "long_convolution": [{"length": 40, "decay": False}, {"length": 1}],
    "mamba": [
        {"expand": 3, "state_size": 5, "conv_width": 2, "step_rank": 7, "chunk": 8},
    ],
    "mamba2": [
        {"expand": 3, "head_width": 16, "state_size": 12, "groups": 3, "conv_width": 3, "chunk": 24},
        {"expand": 1, "head_width": 32, "state_size": 8, "groups": 2, "conv_width": 1, "chunk": 50},
    ],
    "mamba3": [
        {"expand": 3, "head_width": 16, "state_size": 12, "chunk": 24},
        {"expand": 1, "head_width": 32, "state_size": 8, "rank": 3, "chunk": 20},
    ],
    "memsizer": [
        {"heads": 3, "slots": 5, "chunk": 48},
        {"heads": 1, "slots": 20, "chunk": 16},
    ],
    "mesa_net": [
        {"heads": 2, "key_width": 8, "value_width": 12, "iterations": 8, "chunk": 16},
        {"heads": 2, "iterations": 5, "conv_width": None, "chunk": 48},
    ],
    "mla": [
        {"heads": 2, "key_width": 6, "latent": 10, "rope_width": 4, "query_latent": 12},
        {"heads": 8, "latent": 5, "rope_width": 8},
    ],
    "mlstm": [
        {"heads": 2, "key_width": 6, "value_width": 10, "forget": "exp", "chunk": 16},
        {"heads": 8, "chunk": 48},
    ],
    "native_sparse": [
        {"heads": 8, "kv_heads": 2, "compress_block": 8, "select_block": 32, "window": 9, "chunk": 48, "gate": True},
        {"key_width": 6, "compress_block": 4, "stride": 4, "select_block": 4, "selected": 3, "window": 4, "chunk": 25},
        {"kv_heads": 1, "compress_block": 6, "stride": 2, "select_block": 8, "qk_norm": False, "rope_base": None},
    ],
    "ngram_head": [
        {"order": 2, "codes": 4},
        {"order": 3, "codes": 2, "seed": 1},
    ],
    "pooling": [
        {"queries": 3, "rank": 5, "chunk": 16},
        {"queries": 1, "rank": 70, "chunk": 48},
    ],
    "primer": [{"convolve": "k", "kv_heads": 2, "gate": True}, {"heads": 2, "convolve": "vq", "rope_base": None}],
    "recurrent_transformer": [
        {"heads": 2, "block": 12, "accumulate": True},
        {"heads": 8, "block": 1, "hidden_width": 40},
        {"block": 1, "accumulate": True, "positions": False},
    ],
    "retention": [
        {"heads": 2, "key_width": 12, "value_width": 20, "chunk": 16},
        {"heads": 8, "key_width": 5, "value_width": 5, "rope_base": None, "chunk": 48},
    ],
    "rg_lru": [
        {"recurrent_width": 48, "blocks": 3, "conv_width": 2, "chunk": 16},
        {"blocks": 1, "conv_width": 1},
    ],
    "rwkv4": [
        {"chunk": 16},
    ],
    "rwkv6": [
        {"head_width": 16, "mix_rank": 5, "decay_rank": 3, "chunk": 8},
    ],
    "rwkv7": [{"heads": 8, "rank": 5, "gate_rank": 7, "chunk": 64}, {"heads": 2, "chunk": 24}],
    "sliding_window": [{"heads": 4, "kv_heads": 2, "window": 5, "gate": True}, {"window": 1}],
    "subsampled": [{"rate": 8, "kv_heads": 2, "gate": True}, {"heads": 2, "rate": 1, "rope_base": None}],
    "ttt_linear": [{"heads": 2, "batch_tokens": 5, "rate": 0.3}, {"heads": 8, "batch_tokens": 1}],
}

SELECTIVE: set[str] = {"compressed_attention", "diff_qkv", "native_sparse", "landmark", "ngram_head"}
"""Mixers that choose what they read: their outputs may depend on less than their dataflow allows."""

UNUSED = {"jrt": {"encoder_key.weight", "encoder_value.weight"}}
"""Parameters that only a prefix uses, which the suite does not give."""

CASES = [(name, {}) for name in MIXERS] + [(name, options) for name, many in VARIANTS.items() for options in many]
