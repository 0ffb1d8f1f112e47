"""Every operator against its float64 reference, token by token: outputs, states, all gradients."""

from __future__ import annotations

import pytest
import torch
from kernel_cases import LENGTHS, assert_close, gradients, make, poisoned, some_state
from recallscope_kernels import (
    attention_decode,
    based,
    based_decode,
    delta_rule_decode,
    gla_decode,
    kda_decode,
    lightning_decode,
    linear_attention_decode,
    rwkv7_decode,
    selective_scan_decode,
    simple_gla_decode,
)
from recallscope_kernels.ops import OPERATORS, Shape, decoding, operands
from recallscope_kernels.ops.based import based_reference, taylor_features
from recallscope_kernels.ops.based.rolled import rolled_features, rolled_features_backward, rolled_order

RECURRENT = [name for name in OPERATORS if not name.endswith("attention") or name == "linear_attention"]
STEPS = {
    "based": based_decode,
    "jrt_prefix": lambda q, k, v, *prefix_and_state: based_decode(q, k, v, prefix_and_state[-1]),
    "linear_attention": linear_attention_decode,
    "lightning": lightning_decode,
    "simple_gla": simple_gla_decode,
    "gla": gla_decode,
    "delta_rule": lambda q, k, v, beta, state: delta_rule_decode(q, k, v, beta, None, state),
    "gated_delta_rule": delta_rule_decode,
    "kda": kda_decode,
    "rwkv7": rwkv7_decode,
    "selective_scan": selective_scan_decode,
}


@pytest.fixture(autouse=True)
def filled_with_nan():
    """What torch allocates without a value is NaN."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(("dtype", "time"), [*((torch.float64, t) for t in LENGTHS), (torch.float32, LENGTHS[-1])])
@pytest.mark.parametrize("name", RECURRENT)
def test_outputs_states_and_gradients(name, dtype, time):
    operator = OPERATORS[name]
    for state in (None, some_state(name, dtype)):
        given = [poisoned(u).requires_grad_() for u in make(name, time, dtype)]
        exact = [u.detach().double().requires_grad_() for u in given]
        states = [] if state is None else [state.clone().requires_grad_(), state.double().requires_grad_()]
        got = operator.run(*given, initial_state=states[0] if states else None, output_final_state=True)
        want = operator.reference(*exact, initial_state=states[1] if states else None)
        assert got[0].dtype == dtype
        assert_close("outputs", got[0], want[0], dtype)
        assert_close("state", got[1], want[1], dtype)  # type: ignore[arg-type]
        mine, theirs = gradients(got, given + states[:1]), gradients(want, exact + states[1:])
        for i, pair in enumerate(zip(mine, theirs, strict=True)):
            assert_close(f"gradient {i}", *pair, dtype)


@pytest.mark.parametrize("implementation", [None, "flash", "math"])
@pytest.mark.parametrize("time", LENGTHS)
def test_attention(time, implementation):
    given = [poisoned(u).requires_grad_() for u in make("attention", time, torch.float64)]
    exact = [u.detach().requires_grad_() for u in given]
    got = OPERATORS["attention"].run(*given, implementation=implementation)
    want = OPERATORS["attention"].reference(*exact)[0]
    assert_close("outputs", got[0], want, torch.float64)
    for pair in zip(gradients(got, given), gradients((want, None), exact), strict=True):
        assert_close("gradient", *pair, torch.float64)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", OPERATORS)
def test_half_precision_rounds_results_only(name, dtype):
    given = make(name, 130, dtype)
    got, want = OPERATORS[name].run(*given), OPERATORS[name].reference(*given)
    assert_close("outputs", got[0], want[0], dtype)


@pytest.mark.parametrize(("key", "value"), [(1, 1), (3, 5), (8, 64), (16, 16)])
def test_based_at_other_widths(key, value):
    given = make("based", 37, torch.float64, key, value)
    for chunk in (1, 16, 100):
        got, want = based(*given, scale=0.7, chunk=chunk, output_final_state=True), based_reference(*given, scale=0.7)
        assert_close("outputs", got[0], want[0], torch.float64)
        assert_close("state", got[1], want[1], torch.float64)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", RECURRENT)
def test_two_calls_are_one(name):
    given, run = make(name, 130, torch.float64), OPERATORS[name].run
    begin, rest = [u[:, :47] for u in given], [u[:, 47:] for u in given]
    if name == "jrt_prefix":  # all of the prefix before any token
        begin[3:], rest[3:] = given[3:], [u[:, :0] for u in given[3:]]
    if name in ("fft_convolution", "short_convolution", "selective_scan"):  # one filter, or rates, for both
        begin[-1] = rest[-1] = given[-1]
    whole = run(*given, output_final_state=True)
    first, state = run(*begin, output_final_state=True)
    second, state = run(*rest, initial_state=state, output_final_state=True)
    assert_close("outputs", torch.cat([first, second], 1), whole[0], torch.float64)
    assert_close("state", state, whole[1], torch.float64)


@pytest.mark.parametrize("name", STEPS)
def test_decoding_is_one_more_token(name):
    state, token = some_state(name, torch.float64), make(name, 1, torch.float64)
    want, last = OPERATORS[name].reference(*token, initial_state=state)
    assert_close("outputs", STEPS[name](*token, state), want, torch.float64)
    assert_close("state, in place", state, last, torch.float64)


@pytest.mark.parametrize("implementation", [None, "flash", "math"])
def test_attention_decodes_from_its_cache(implementation):
    q, k, v = make("attention", 40, torch.float64)
    want, _ = OPERATORS["attention"].reference(q, k, v)
    keys, values = (torch.full_like(u, torch.nan) for u in (k, v))
    for t in range(40):
        now = slice(t, t + 1)
        got = attention_decode(q[:, now], k[:, now], v[:, now], keys, values, t, implementation=implementation)
        assert_close("outputs", got, want[:, now], torch.float64)
    past = (k[:, :39], v[:, :39])
    got, (whole, _) = OPERATORS["attention"].run(
        q[:, 39:], k[:, 39:], v[:, 39:], initial_state=past, output_final_state=True
    )
    assert_close("outputs", got, want[:, 39:], torch.float64)
    assert torch.equal(whole, k)


@pytest.mark.parametrize("name", OPERATORS)
def test_decoding_calls_need_no_arguments(name):
    assert decoding(name, Shape(2, 10, 3, 16, 16))().shape[:3] == (2, 1, 3)


@pytest.mark.parametrize("name", [name for name in OPERATORS if not name.endswith("convolution")])
def test_nan_in_is_nan_out_from_there_on(name):
    given = make(name, 130, torch.float32)
    given[1][0, 70, 1, 0] = torch.nan
    o = OPERATORS[name].run(*given)[0]
    assert o[0, 70:, 1].isnan().all()
    assert not o[1].isnan().any() and not o[0, :, 0].isnan().any()
    assert not o[0, :64, 1].isnan().any()


@pytest.mark.parametrize("width", [1, 2, 3, 8, 16, 17])
def test_features_have_the_taylor_product(width):
    x, y = torch.randn(2, 5, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    s = (x * y).sum(-1)
    for features in (taylor_features, rolled_features):
        torch.testing.assert_close((features(x) * features(y)).sum(-1), 1 + s + s**2 / 2, rtol=1e-12, atol=1e-12)
    assert torch.equal(
        taylor_features(x).shape[-1] * torch.ones(1), torch.tensor([1.0 + width + width * (width + 1) / 2])
    )
    torch.testing.assert_close(rolled_features(x), taylor_features(x)[..., rolled_order(width, x.device)])
    grad = torch.randn(rolled_features(x).shape, dtype=torch.float64)
    x.requires_grad_()
    (want,) = torch.autograd.grad(taylor_features(x)[..., rolled_order(width, x.device)], x, grad)
    torch.testing.assert_close(rolled_features_backward(x.detach(), grad), want)


def test_the_state_is_that_of_the_mixer():
    """`Based(symmetric=True)` of the architectures can go on where the operator stopped."""
    from recallscope.architectures.mixers.based import Based, symmetric_taylor_features

    torch.manual_seed(0)
    mixer = Based(24, heads=2, key_width=4, symmetric=True).double()
    x = torch.randn(1, 30, 24, dtype=torch.float64)
    want, (state,) = mixer.prefill(x)
    q, k = mixer.qk(x).unflatten(-1, (2, 2, -1)).unbind(-3)
    v = mixer.value(x).unflatten(-1, (2, -1))
    o, last = based(q, k, v, output_final_state=True)
    assert_close("outputs", mixer.out(o.flatten(-2)), want, torch.float64)
    assert_close("state", last, state, torch.float64)  # type: ignore[arg-type]
    torch.testing.assert_close(taylor_features(q), symmetric_taylor_features(q), rtol=0, atol=0)


def test_custom_ops_are_checked_by_torch():
    q, k, v = (u.requires_grad_() for u in operands("based", Shape(1, 5, 2, 4, 3), torch.float64))
    state = some_state("based", torch.float64, 4, 3)[:1]
    utilities = ("test_schema", "test_autograd_registration", "test_faketensor")  # whole compilation takes ten seconds
    chunked, step = torch.ops.recallscope.based_chunked, torch.ops.recallscope.based_decode
    torch.library.opcheck(chunked, (q, k, v, 0.5, state.requires_grad_(), 4), test_utils=utilities)
    one = [u.detach() for u in operands("based", Shape(1, 1, 2, 4, 3), torch.float64)]
    torch.library.opcheck(step, (*one, state.detach().clone(), 0.5), test_utils=utilities)
