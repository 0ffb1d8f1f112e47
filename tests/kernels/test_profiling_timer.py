"""Graphs and their fallbacks, with clocks that are made up: no GPU is needed."""

from __future__ import annotations

import gc
import weakref

import pytest
from recallscope_kernels.profiling import time_calls
from recallscope_kernels.profiling.timer import EVENTS, GRAPH, SHORT, WALL, Clock, made_ready, seconds_of_launch


def clock(seconds, capture):
    """Takes `seconds(call)` for any call."""

    def once(call):
        call()
        return seconds(call)

    return Clock(EVENTS, once, capture)


def test_short_calls_are_timed_as_graphs():
    log = []

    def eager():
        log.append("eager")

    def replay():
        log.append("replay")

    def captured(call):
        assert call is eager
        return replay

    timed = time_calls({"a": eager}, budget=1e-9, clock=clock(lambda call: {eager: 5e-5, replay: 1e-5}[call], captured))
    assert log == ["eager"] * 3 + ["replay"] * 5  # two warm, one to see that it is short
    assert (timed["a"].seconds, timed["a"].timer, timed["a"].note) == (1e-5, GRAPH, None)


def test_a_graph_keeps_the_operands_of_its_call():
    class Operands:
        pass

    def call_of(operands):
        return lambda: operands

    given = Operands()
    alive = weakref.ref(given)
    ready = made_ready(call_of(given), clock(lambda call: 1e-5, lambda call: lambda: None))
    del given
    gc.collect()
    assert ready.timer == GRAPH and alive() is not None
    del ready
    gc.collect()
    assert alive() is None


def test_long_calls_are_not():
    def captured(call):
        raise AssertionError("a long call was captured")

    timed = time_calls({"a": lambda: None}, budget=1e-9, clock=clock(lambda call: SHORT, captured))["a"]
    assert (timed.seconds, timed.timer, timed.note) == (SHORT, EVENTS, None)


@pytest.mark.parametrize("hidden", [False, True])
def test_a_call_that_cannot_be_captured_is_launched_and_says_why(hidden):
    def captured(call):
        try:
            raise RuntimeError("operation not permitted when stream is capturing\nand more")
        except RuntimeError:
            if hidden:  # as when ending the capture raises once more
                raise RuntimeError("capture was invalidated")  # noqa: B904
            raise

    timed = time_calls({"a": lambda: None}, budget=1e-9, clock=clock(lambda call: 1e-5, captured))["a"]
    assert timed.timer == EVENTS and timed.note == "no graph: operation not permitted when stream is capturing"


def test_a_cpu_has_no_graphs():
    timed = time_calls({"a": lambda: None}, budget=1e-9)["a"]
    assert timed.timer == WALL and timed.note is None


def test_seconds_of_a_launch():
    launch = seconds_of_launch("cpu", launches=20, rounds=5)
    assert 1e-8 < launch.low <= launch.seconds <= launch.high < 1e-2 and launch.n == 5
