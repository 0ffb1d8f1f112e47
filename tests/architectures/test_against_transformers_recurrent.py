"""Recurrent mixers against the layers of the transformers library, with the same weights.

Where the library computes in float32 whatever it is given, so does the test; otherwise in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from recallscope.architectures.feed_forward import ChannelMixing
from recallscope.architectures.mixers import MLSTM, RGLRU, RWKV4, Mamba, Mamba2
from torch import Tensor, nn

WIDTH, LENGTH = 32, 70
TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-10}  # at values of order 1


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        yield


def randomised(mixer: Any) -> Any:
    """With gains, biases, skips and decays that are no longer what they start as, where a slip would not show."""
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    return mixer


def assert_same(mixer: nn.Module, layer: nn.Module, weights: dict[str, Tensor], run: Callable[..., Tensor]) -> None:
    """`run(layer, x)` is what the mixer gives, once *all* weights of the layer are those given."""
    dtype = next(mixer.parameters()).dtype
    layer.to(dtype).load_state_dict(weights)
    x = torch.randn(2, LENGTH, WIDTH, dtype=dtype)
    with torch.no_grad():
        want, got = run(layer.eval(), x), mixer.eval()(x)
    assert want[:, -1].std() > 0.01  # the tolerance is far below what is compared
    torch.testing.assert_close(got, want, rtol=0, atol=TOLERANCES[dtype])


def convolution(name: str, conv: Any) -> dict[str, Tensor]:
    """The taps as `nn.Conv1d` has them."""
    return {f"{name}.weight": conv.weight.T[:, None], f"{name}.bias": conv.bias}


@pytest.mark.parametrize("shape", [{}, {"expand": 3, "state_size": 5, "conv_width": 3, "step_rank": 7}], ids=str)
def test_mamba(shape):
    from transformers import MambaConfig
    from transformers.models.mamba.modeling_mamba import MambaMixer

    mixer = randomised(Mamba(WIDTH, **shape))
    config = MambaConfig(
        hidden_size=WIDTH,
        state_size=mixer.state_size,
        expand=mixer.inner // WIDTH,
        conv_kernel=mixer.conv.width,
        time_step_rank=mixer.step_rank,
    )
    weights = {
        "in_proj.weight": mixer.input.weight,
        **convolution("conv1d", mixer.conv),
        "x_proj.weight": mixer.select.weight,
        "dt_proj.weight": mixer.step_up.weight,
        "dt_proj.bias": mixer.step_up.bias,
        "A_log": mixer.log_rate.T,
        "D": mixer.skip,
        "out_proj.weight": mixer.out.weight,
    }
    assert_same(mixer, MambaMixer(config, layer_idx=0), weights, lambda layer, x: layer(x))


@pytest.mark.parametrize("groups", [1, 2])
def test_mamba2(groups):
    from transformers import Mamba2Config
    from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer

    mixer = randomised(Mamba2(WIDTH, head_width=8, state_size=12, groups=groups, chunk=32))
    config = Mamba2Config(
        hidden_size=WIDTH,
        num_heads=mixer.heads,
        head_dim=mixer.head_width,
        state_size=mixer.state_size,
        n_groups=groups,
        chunk_size=16,
    )
    layer = Mamba2Mixer(config, layer_idx=0)
    weights = {
        "in_proj.weight": mixer.input.weight,
        **convolution("conv1d", mixer.conv),
        "dt_bias": mixer.step_bias,
        "A_log": mixer.log_rate,
        "D": mixer.skip,
        "norm.weight": mixer.gain,
        "out_proj.weight": mixer.out.weight,
    }
    assert_same(mixer, layer, weights, lambda layer, x: layer(x))


def test_rwkv4():
    from transformers import RwkvConfig
    from transformers.models.rwkv.modeling_rwkv import RwkvSelfAttention

    mixer = randomised(RWKV4(WIDTH, chunk=16))
    receptance, key, value = mixer.mix[:, None, None]
    weights = {
        "time_mix_receptance": receptance,
        "time_mix_key": key,
        "time_mix_value": value,
        "time_decay": mixer.decay,
        "time_first": mixer.bonus,
        "receptance.weight": mixer.receptance.weight,
        "key.weight": mixer.key.weight,
        "value.weight": mixer.value.weight,
        "output.weight": mixer.out.weight,
    }
    layer = RwkvSelfAttention(RwkvConfig(hidden_size=WIDTH))
    assert_same(mixer, layer, weights, lambda layer, x: layer(x)[0])


def test_channel_mixing_of_rwkv4():
    from transformers import RwkvConfig
    from transformers.models.rwkv.modeling_rwkv import RwkvFeedForward

    layer = randomised(ChannelMixing(WIDTH, 48, receptance=True))
    key, receptance = layer.mix[:, None, None]
    weights = {
        "time_mix_key": key,
        "time_mix_receptance": receptance,
        "key.weight": layer.key.weight,
        "receptance.weight": layer.receptance.weight,
        "value.weight": layer.down.weight,
    }
    theirs = RwkvFeedForward(RwkvConfig(hidden_size=WIDTH, intermediate_size=48))
    assert_same(layer, theirs, weights, lambda layer, x: layer(x)[0])


@pytest.mark.parametrize("shape", [{}, {"recurrent_width": 42, "blocks": 3, "conv_width": 3}], ids=str)
def test_rg_lru(shape):
    from transformers import RecurrentGemmaConfig
    from transformers.models.recurrent_gemma.modeling_recurrent_gemma import RecurrentGemmaRecurrentBlock

    mixer = randomised(RGLRU(WIDTH, chunk=16, **shape))
    config = RecurrentGemmaConfig(
        hidden_size=WIDTH,
        lru_width=mixer.inner,
        num_attention_heads=mixer.blocks,
        conv1d_width=mixer.conv.width,
        hidden_activation="gelu",
    )
    gate, x = mixer.input.weight.chunk(2)
    (enter, forget), (enter_bias, forget_bias) = mixer.gates.chunk(2, -1), mixer.gates_bias.chunk(2, -1)
    weights = {
        "linear_y.weight": gate,
        "linear_y.bias": torch.zeros(mixer.inner),  # ours has none
        "linear_x.weight": x,
        "linear_x.bias": torch.zeros(mixer.inner),
        "linear_out.weight": mixer.out.weight,
        "linear_out.bias": torch.zeros(WIDTH),
        **convolution("conv_1d", mixer.conv),
        "rg_lru.recurrent_param": mixer.rate,
        "rg_lru.input_gate_weight": enter,
        "rg_lru.input_gate_bias": enter_bias,
        "rg_lru.recurrent_gate_weight": forget,
        "rg_lru.recurrent_gate_bias": forget_bias,
    }
    positions = torch.arange(1, LENGTH + 1)[None]  # the library lets what stands at position 0 enter undiminished
    layer = RecurrentGemmaRecurrentBlock(config, 0)
    assert_same(mixer, layer, weights, lambda layer, x: layer(x, positions, None, use_cache=False)[0])


@pytest.mark.parametrize("shape", [{}, {"heads": 2, "key_width": 12, "value_width": 24}], ids=str)
def test_mlstm(shape):
    from transformers import xLSTMConfig
    from transformers.models.xlstm.modeling_xlstm import xLSTMLayer

    mixer = randomised(MLSTM(WIDTH, chunk=16, **shape)).double()
    heads, mixer.norm.eps = mixer.heads, 1.0  # at 1e-5 the norm would hide the denominator before it
    config = xLSTMConfig(
        hidden_size=WIDTH,
        num_heads=heads,
        qk_dim_factor=heads * mixer.key_width / WIDTH,
        v_dim_factor=heads * mixer.value_width / WIDTH,
        mode="train",  # the other mode keeps its state in float32
        chunk_size=10,
        norm_eps=1.0,
        norm_reduction_force_float32=False,
        eps=0.0,  # nothing is added to the denominator
        gate_soft_cap=1e8,  # nor are gates bounded
    )
    with torch.no_grad():  # the library's norm subtracts the mean of each head: let it be zero
        value = mixer.value.weight.unflatten(0, (heads, -1))
        mixer.value.weight -= value.mean(1, keepdim=True).expand_as(value).flatten(0, 1)
    q, k = mixer.qk.weight.chunk(2)
    (enter, forget), (enter_bias, forget_bias) = mixer.gates.weight.chunk(2), mixer.gates.bias.chunk(2)
    weights = {
        "q.weight": q,
        "k.weight": k,
        "v.weight": mixer.value.weight,
        "ogate_preact.weight": mixer.output_gate.weight,
        "igate_preact.weight": enter,
        "igate_preact.bias": enter_bias,
        "fgate_preact.weight": forget,
        "fgate_preact.bias": forget_bias,
        "multihead_norm.weight": mixer.norm.weight.repeat(heads),
        "out_proj.weight": mixer.out.weight,
    }
    assert_same(mixer, xLSTMLayer(config), weights, lambda layer, x: layer(x)[0])
