"""Cuts: the closed-form states of all mixers, and what no closed form says."""

from __future__ import annotations

import json

import networkx as nx
import numpy as np
import pytest
from mixer_variants import CASES, WIDTH
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.names import architecture
from recallscope.bounds.dataflow import Cut, Wiring, minimum_cut, recall_capacity, state_cut, unroll, wiring

ONE_UNREAD = {"block_recurrent", "compressed_attention", "lambda_window", "lizard", "sliding_window"}
"""Mixers that keep w entries of a window of w, of which no later token reads the oldest."""

AT_MOST = {"compressed_attention", "landmark", "log_linear", "native_sparse", "recurrent_transformer", "ttt_linear"}
"""Mixers that declare the most they ever keep."""


@pytest.mark.parametrize("name, key", [(name, json.dumps(options)) for name, options in CASES])
def test_the_cut_is_the_closed_form_state_of_every_mixer(name, key):
    arch = Architecture(name, ModelConfig(0, WIDTH, ({"mixer": name} | json.loads(key),), 0))
    (flow,) = wiring(arch).layers
    for t in (5, 33):  # shift buffers, of at most 4 inputs, are full
        unread = 0
        if name in ONE_UNREAD:
            unread = sum(s.elements for s in flow.spans if s.last is not None and (s.first or 0) + s.last <= t)
        cut, closed = state_cut(arch, t).size, arch.state_elements(t)
        assert cut >= closed - unread if name in AT_MOST else cut == closed - unread


def test_states_of_hybrids_add_up():
    layers = (
        {"mixer": "based", "heads": 1, "key_width": 2},
        {"mixer": "sliding_window", "heads": 1, "window": 4},
        {"mixer": "rwkv6", "head_width": 4, "ffn": "rwkv4"},
        {"mixer": "attention", "heads": 2, "kv_heads": 1},
    )
    config = ModelConfig(0, 8, layers, 16, loops=2)
    based, window, rwkv, attention, shift = 7 * 9, 2 * 8, 8 * 5, 2 * 4, 8
    for t in (1, 3, 9):
        want = 2 * (based + window * min(t, 3) + rwkv + shift + attention * t)
        assert state_cut(config, t) == state_cut(wiring(config), t)
        assert state_cut(config, t).size == want
        assert state_cut(config, t, bits_per_element=16).size == 16 * want


def test_shared_caches_are_kept_once():
    arch = architecture(mixer="attention", width=8, heads=2, layers=6)
    assert state_cut(wiring(arch), 5).size == arch.state_elements(5) == 6 * 16 * 5
    one = wiring(arch, shared={4: 3, 5: 3})  # the upper half reads one cache
    assert state_cut(one, 5).size == 4 * 16 * 5
    three = wiring(arch, shared={1: 0, 3: 2, 5: 4})
    assert state_cut(three, 5).size == 3 * 16 * 5
    # of one token, a layer that borrows the first layer's cache has no more than that layer made of its embedding
    assert recall_capacity(wiring(arch, shared=dict.fromkeys(range(1, 6), 0)), 0, 5).size == 8


def test_an_unlimited_read_is_an_infinite_cut():
    graph = nx.DiGraph()
    graph.add_node("a", time=0)
    graph.add_node("b", time=1, capacity=3)
    graph.add_edge("a", "b")
    assert state_cut(graph, 1) == Cut(float("inf"), ("a",))
    assert minimum_cut(graph, ["a"], ["b"]) == Cut(3, ("b",))
    graph.add_node("c", time=1)
    graph.add_edge("a", "c")
    assert minimum_cut(graph, ["a"], ["c"]) == Cut(float("inf"), ())


# Between tokens and outputs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("t, after", [(1, 1), (3, 8), (8, 3), (8, 8)])
def test_inputs_and_outputs_limit_what_a_state_can_be_used_for(t, after):
    """D = 8 elements come in at each position and go out at each; in between, a state of S or a cache of 2 H_kv K."""
    text, questions = range(t), range(t, t + after)
    state = architecture(mixer="retention", width=8, heads=1, key_width=4, value_width=5)
    assert recall_capacity(state, text, questions).size == min(8 * t, 20, 8 * after)
    wide = architecture(mixer="attention", width=8, heads=2)  # keeps 16 of 8
    assert recall_capacity(wide, text, questions).size == min(8 * t, 8 * after) < state_cut(wide, t).size
    narrow = architecture(mixer="attention", width=8, heads=4, kv_heads=1)  # keeps 4 of 8
    assert recall_capacity(narrow, text, questions).size == min(4 * t, 8 * after)


def test_tokens_say_less_than_their_embeddings():
    arch = architecture(mixer="retention", width=8, heads=1, key_width=4, value_width=5)
    cut = recall_capacity(arch, range(3), range(3, 9), bits_per_element=16, token_bits=np.log2(100))
    assert cut.size == 3 * np.log2(100) and cut.nodes == (("token", 0), ("token", 1), ("token", 2))
    assert recall_capacity(arch, range(99), range(99, 140), bits_per_element=16, token_bits=np.log2(100)).size == 320


@pytest.mark.parametrize("gap", range(3, 14))
@pytest.mark.parametrize("tokens, questions", [(1, 1), (3, 2), (2, 5)])
def test_two_windows_squeeze_recall_through_the_positions_that_both_reach(tokens, questions, gap):
    """Two windows of 6: beyond one of them, all hops at positions gap - 5 to tokens + 4, D elements at each."""
    width, last = 4, 6
    model = Wiring(width, (Dataflow((Span(0, last, 2 * width),)),) * 2)
    got = recall_capacity(model, range(tokens), range(gap, gap + questions)).size
    hops = max(tokens + 2 * (last - 1) - gap, 0)
    if gap - tokens >= last - 1:  # nothing in sight of one window
        assert got == width * min(tokens, questions, hops)
    assert got <= width * min(tokens, questions)


def test_over_the_longest_distance_one_vector_passes():
    model = Wiring(4, (Dataflow((Span(0, 5, 8),)),) * 3)
    for distance, vectors in ((12, 1), (13, 0)):
        assert recall_capacity(model, 0, distance).size == 4 * vectors
    # from 6 tokens to 6 outputs, one hop further each time
    capacities = [recall_capacity(model, range(6), range(gap, gap + 6)).size for gap in range(12, 19)]
    assert capacities == [24, 20, 16, 12, 8, 4, 0]


def test_a_hybrid_recalls_a_window_exactly_and_the_rest_through_its_state():
    window = {"mixer": "sliding_window", "heads": 1, "window": 5}
    config = ModelConfig(0, 8, (window, {"mixer": "retention", "heads": 1, "key_width": 4, "value_width": 4}), 0)
    near, far = recall_capacity(config, range(4), range(4, 8)), recall_capacity(config, range(4), range(20, 24))
    assert near.size > 16 and far.size == 16  # the state's 4 · 4
    assert [node[0] for node in far.nodes] == ["state"]


def test_reading_twice_lets_a_prompt_be_read_with_its_end_in_mind():
    """JRT-prompt: what follows a token reaches its second reading; and each reading passes the state once more."""
    arch = architecture(mixer="retention", width=8, heads=1, key_width=2, value_width=3)  # a state of 6
    twice = [0, 1, 2, 3, 0, 1, 2, 3]
    assert recall_capacity(arch, [2, 3], [0, 1]).size == 0  # the future, read once
    assert recall_capacity(arch, [2, 3], [4, 5], reading=twice).size == 6
    assert state_cut(unroll(arch, twice), 4).size == state_cut(unroll(arch, twice), 7).size == 6  # no larger state
    for passes in (1, 2, 3):  # A = {0, 1, 2}, B = {3, 4, 5}: what B's outputs get of A
        on_b = [6 * p + i for p in range(passes) for i in (3, 4, 5)]
        got = recall_capacity(arch, [0, 1, 2], on_b, reading=list(range(6)) * passes).size
        assert got == min(6 * passes, 3 * 8)
