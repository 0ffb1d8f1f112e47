"""Adapters of libraries: what they call, with the parameters and layouts that the libraries have."""

from __future__ import annotations

import importlib
import importlib.util
import inspect

import pytest
import torch
from kernel_cases import assert_close, make, some_state
from library_doubles import MODULES
from recallscope_kernels.ops import OPERATORS, _libraries

LIBRARIES = {"fla", "fla-parallel", "fla-fused-chunk", "flash-attn", "flash-attn-3", "mamba-ssm"}
CASES = [(name, library) for name, o in OPERATORS.items() for library in o.implementations if library in LIBRARIES]
CACHED = ("attention", "window_attention")
NO_STATE_IN = ("based", "selective_scan", *CACHED)


@pytest.fixture
def doubles(monkeypatch):
    monkeypatch.setattr(_libraries, "find_spec", lambda name: name)
    monkeypatch.setattr(_libraries, "import_module", MODULES.__getitem__)
    monkeypatch.setattr(_libraries, "on_gpu", lambda q: True)


@pytest.mark.skipif(importlib.util.find_spec("fla") is None, reason="flash-linear-attention is not installed")
@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("fla.")])
def test_doubles_have_the_parameters_of_the_library(module):
    for name, double in vars(MODULES[module]).items():
        real = inspect.signature(getattr(importlib.import_module(module), name)).parameters.values()
        mine = inspect.signature(double).parameters.values()
        assert [(p.name, p.default) for p in mine] == [(p.name, p.default) for p in real][: len(mine)]


@pytest.mark.usefixtures("doubles")
@pytest.mark.parametrize("scale", [None, 0.3])
@pytest.mark.parametrize(("name", "library"), CASES)
def test_outputs(name, library, scale):
    dtype = torch.float16 if name in CACHED else torch.float32
    given, options = make(name, 70, dtype, 16, 12), {} if scale is None else {"scale": scale}
    o, state = OPERATORS[name].run(*given, implementation=library, **options)
    assert o.dtype == dtype and state is None
    assert_close("outputs", o, OPERATORS[name].reference(*given, **options)[0], dtype)


@pytest.mark.usefixtures("doubles")
@pytest.mark.parametrize(("name", "library"), [case for case in CASES if case[0] not in NO_STATE_IN])
def test_states_in_and_out(name, library):
    given, state = make(name, 9, torch.float32, 16, 12), some_state(name, torch.float32, 16, 12)
    options = {"initial_state": state, "output_final_state": True, "implementation": library}
    o, last = OPERATORS[name].run(*given, **options)
    want = OPERATORS[name].reference(*given, initial_state=state)
    assert_close("outputs", o, want[0], torch.float32)
    assert_close("state", last, want[1], torch.float32)


@pytest.mark.usefixtures("doubles")
@pytest.mark.parametrize("library", ["flash-attn", "flash-attn-3"])
@pytest.mark.parametrize(("name", "time", "past"), [("attention", 1, 20), ("window_attention", 30, 90)])
def test_keys_and_values_before(name, library, time, past):
    q, k, v = make(name, past + time, torch.float16)
    before, new = (k[:, :past], v[:, :past]), (q[:, past:], k[:, past:], v[:, past:])
    o, (keys, _) = OPERATORS[name].run(
        *new, initial_state=before, output_final_state=True, implementation=library, scale=0.5
    )
    want, last = OPERATORS[name].reference(*new, initial_state=before, scale=0.5)
    assert_close("outputs", o, want, torch.float16)
    assert torch.equal(keys.double(), last[0])


@pytest.mark.usefixtures("doubles")
def test_flash_attention_takes_half_precision():
    for name in CACHED:
        with pytest.raises(ValueError, match="flash-attn takes float16 or bfloat16, got torch"):
            OPERATORS[name].run(*make(name, 8, torch.float32), implementation="flash-attn")


@pytest.mark.usefixtures("doubles")
def test_mamba_cannot_keep_all():
    """Its step is -ln α, so that values are divided by it: NaN where nothing decays, not a wrong number."""
    q, k, v, log_decay = make("simple_gla", 8, torch.float32)
    log_decay[0, 5, 0] = 0
    o, _ = OPERATORS["simple_gla"].run(q, k, v, log_decay, implementation="mamba-ssm")
    assert o[0, 5:, 0].isnan().all() and o.isnan().sum() == 3 * 16


@pytest.mark.usefixtures("doubles")
def test_mamba_s_selective_scan_gives_a_state_and_takes_none():
    given = make("selective_scan", 9, torch.float32, 16, 12)
    _, last = OPERATORS["selective_scan"].run(*given, implementation="mamba-ssm", output_final_state=True)
    assert_close("state", last, OPERATORS["selective_scan"].reference(*given)[1], torch.float32)
    with pytest.raises(ValueError, match="initial_state: mamba-ssm's selective scan takes no state in"):
        OPERATORS["selective_scan"].run(*given, implementation="mamba-ssm", initial_state=last)


@pytest.mark.parametrize(("name", "library"), CASES)
def test_missing_is_one_line(name, library):
    given = make(name, 8, torch.float32)
    with pytest.raises(ValueError, match=r"^implementation: [a-z0-9-]+ (is not installed \(.+\)|runs on a GPU, .+)$"):
        OPERATORS[name].run(*given, implementation=library)
    if library == "flash-attn-3" and importlib.util.find_spec("flash_attn_interface") is None:
        with pytest.raises(ValueError, match="flash-attn-3 is not installed"):
            OPERATORS[name].run(*given, implementation=library)
