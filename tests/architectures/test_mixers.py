"""One suite for every mixer: parallel = recurrent, causal, and what a mixer declares = what is measured on it."""

from __future__ import annotations

import functools
import json
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from mixer_variants import CASES, SELECTIVE, UNUSED, VARIANTS, WIDTH
from recallscope.architectures.counting import count_flops
from recallscope.architectures.mixers import MIXERS
from tolerances import TOLERANCES

BATCH = 2
LENGTHS = (1, 2, 63, 64, 65, 130)
LONGEST = max(LENGTHS)

every_mixer = pytest.mark.parametrize(
    "name, key", [(name, json.dumps(options)) for name, options in CASES], ids=lambda value: value.strip("{}")
)


def make(name: str, key: str, dtype: torch.dtype = torch.float64) -> Any:
    """The mixer with its initial weights and noise on them: zeros and ones would hide what is forgotten."""
    torch.manual_seed(0)
    mixer = MIXERS[name](WIDTH, **json.loads(key)).eval()
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return mixer.to(dtype)


def inputs(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(BATCH, LONGEST, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)


def steps(mixer: Any, x: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, list[Any]]:
    state = mixer.init_state(x.shape[0]) if state is None else state
    outputs, states = [], [state]
    for t in range(x.shape[1]):
        y, state = mixer.step(x[:, t], state)
        outputs.append(y)
        states.append(state)
    return torch.stack(outputs, 1), states


@functools.cache
def recurrent_run(name: str, key: str, dtype: torch.dtype) -> tuple[torch.Tensor, list[Any]]:
    """Outputs of the step form over the longest input and the state after each token, 0 included."""
    with torch.no_grad():
        return steps(make(name, key, dtype), inputs(dtype))


def assert_close(what: str, got: torch.Tensor, want: torch.Tensor, quantity: str = "parallel against step") -> None:
    bound = TOLERANCES[quantity, str(got.dtype).removeprefix("torch.")]
    scale = max(1.0, want.abs().max().item()) if want.numel() else 1.0
    assert got.shape == want.shape, f"{what}: shape {tuple(got.shape)}, want {tuple(want.shape)}"
    error = (got - want).abs().max().item() if want.numel() else 0.0
    assert error <= bound * scale, f"{what}: error {error:.2e} over {bound:.0e} times {scale:.2g}"


def state_tensors(state: Any) -> list[torch.Tensor]:
    """What the surface calls state: tensors that start with the batch."""
    return [one for one in state if one.ndim and one.shape[0] == BATCH]


def test_variants_name_mixers():
    assert set(VARIANTS) <= set(MIXERS) and SELECTIVE <= set(MIXERS)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@every_mixer
def test_parallel_equals_step(name, key, dtype):
    mixer, x = make(name, key, dtype), inputs(dtype)
    want, states = recurrent_run(name, key, dtype)
    with torch.no_grad():
        for length in LENGTHS:
            y, state = mixer.prefill(x[:, :length])
            assert_close(f"outputs of {length}", y, want[:, :length])
            for got, one in zip(state_tensors(state), state_tensors(states[length]), strict=True):
                assert_close(f"state after {length}", got, one)
            assert torch.equal(y, mixer(x[:, :length]))


@pytest.mark.parametrize("cut", [1, 37, 64, 100])
@every_mixer
def test_parallel_goes_on_from_a_carried_state(name, key, cut):
    mixer, x = make(name, key), inputs()
    want, states = recurrent_run(name, key, torch.float64)
    with torch.no_grad():
        y, state = mixer.prefill(x[:, cut:], states[cut])
        assert_close("outputs after steps", y, want[:, cut:])
        for got, one in zip(state_tensors(state), state_tensors(states[-1]), strict=True):
            assert_close("state", got, one)
        _, state = mixer.prefill(x[:, :cut])
        more, _ = steps(mixer, x[:, cut : cut + 3], state)
        assert_close("steps after prefill", more, want[:, cut : cut + 3])


@every_mixer
def test_the_future_does_not_matter(name, key):
    mixer, x = make(name, key), inputs()
    changed = x.clone()
    changed[:, 70] += 1.0
    with torch.no_grad():
        before, after = mixer(x), mixer(changed)
    assert_close("outputs before", after[:, :70], before[:, :70])
    assert (after[:, 70] - before[:, 70]).abs().max() > 1e-6


@every_mixer
def test_gradients_equal_those_of_the_steps(name, key):
    x = inputs()[:, :33]
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    gradients = []
    for run in (lambda mixer, u: mixer(u), lambda mixer, u: steps(mixer, u)[0]):
        mixer, u = make(name, key), x.clone().requires_grad_()
        (run(mixer, u) * weights).sum().backward()
        gradients.append({"input": u.grad} | {k: p.grad for k, p in mixer.named_parameters()})
    for what, want in gradients[1].items():
        if what in UNUSED.get(name, ()):
            continue
        assert want is not None and want.any(), f"{what} has no gradient"
        assert_close(f"gradient of {what}", gradients[0][what], want, "gradient against step")


@every_mixer
def test_declared_parameters_and_state_are_measured(name, key):
    mixer = make(name, key)
    assert mixer.parameters_count() == sum(p.numel() for p in mixer.parameters())
    _, states = recurrent_run(name, key, torch.float64)
    for t in LENGTHS:
        assert mixer.state_elements(t) == sum(one.numel() for one in state_tensors(states[t])) / BATCH, t
        assert 0 <= mixer.read_elements(t) <= mixer.state_elements(t)
        assert mixer.state_elements(t) - mixer.state_elements(t - 1) <= mixer.write_elements(t)


@pytest.mark.parametrize("length", LENGTHS)
@every_mixer
def test_declared_flops_are_counted(name, key, length):
    mixer, x = make(name, key, torch.float32), inputs(torch.float32)[:, :length]
    _, states = recurrent_run(name, key, torch.float32)
    with torch.no_grad():
        with count_flops() as prefill:
            mixer.prefill(x)
        with count_flops() as decode:
            mixer.step(x[:, -1], states[length - 1])
    assert mixer.prefill_flops(length, BATCH) == prefill.flops
    assert mixer.decode_flops(length, BATCH) == decode.flops


@every_mixer
def test_declared_training_flops_are_counted(name, key):
    mixer, x = make(name, key, torch.float32), inputs(torch.float32).requires_grad_()
    with count_flops() as training:
        mixer(x).sum().backward()
    assert mixer.training_flops(LONGEST, BATCH) == training.flops


@every_mixer
def test_formulas_hold_as_expressions(name, key):
    mixer = make(name, key)
    t, batch = sympy.symbols("t B", positive=True, integer=True)
    for length in (65, 130):
        lengths = np.array([2, length], dtype=object)
        for formula in (mixer.state_elements, mixer.read_elements, mixer.write_elements):
            assert sympy.sympify(formula(t)).subs(t, length) == formula(length)
            assert np.all(formula(lengths) == np.array([formula(2), formula(length)]))
        for formula in (mixer.prefill_flops, mixer.training_flops, mixer.decode_flops):
            assert sympy.sympify(formula(t, batch)).subs({t: length, batch: 3}) == formula(length, 3)
        assert np.all(mixer.decode_flops(lengths) == np.array([mixer.decode_flops(2), mixer.decode_flops(length)]))


@every_mixer
def test_outputs_depend_on_what_the_dataflow_says(name, key):
    mixer, x = make(name, key), inputs()[:1, :70].requires_grad_()
    y = mixer(x)
    for t in (0, 1, 30, 69):
        (gradient,) = torch.autograd.grad((y[0, t] * torch.arange(1, WIDTH + 1)).sum(), x, retain_graph=True)
        size, declared = gradient[0].abs().amax(-1), mixer.dataflow().visible(t)
        clearly = set(torch.nonzero(size > 1e-12 * size.max()).flatten().tolist())  # above what an FFT rounds
        assert clearly <= declared, f"{t} reads {sorted(clearly - declared)}"
        at_all = set(torch.nonzero(size).flatten().tolist())  # however much has decayed
        assert name in SELECTIVE or declared <= at_all, f"{t} does not read {sorted(declared - at_all)}"


@every_mixer
def test_dataflow_accounts_for_the_state(name, key):
    mixer = make(name, key)
    for t in (64, 130):  # shift buffers have their full length from the start
        flow = mixer.dataflow()
        kept = sum(span.elements * len(span.visible(t - 1)) for span in flow.spans)
        assert kept + flow.state >= mixer.state_elements(t)


@every_mixer
def test_bad_states_are_refused(name, key):
    mixer, x = make(name, key), inputs()
    state = mixer.init_state(BATCH)
    if not state:
        pytest.skip("no state")
    for bad in (state[:-1], (state[0].to(torch.float16), *state[1:]), mixer.init_state(BATCH + 1)):
        with pytest.raises(ValueError, match="state"):
            mixer.step(x[:, 0], bad)
        with pytest.raises(ValueError, match="state"):
            mixer.prefill(x, bad)
