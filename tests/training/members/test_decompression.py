"""The decoder of compression: its equation, its gradients, many copies at once, and that it learns."""

from __future__ import annotations

import math

import pytest
import torch
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.model import LanguageModel
from recallscope.tasks.mad.compression import MadCompression
from recallscope.training.members.decompression import Decompression, sinusoids
from torch.func import functional_call, stack_module_state, vmap

LAYERS = ({"mixer": "attention", "heads": 2}, {"mixer": "gla", "heads": 2})


def decompression(seed: int, width: int = 16, layers: tuple = LAYERS, tied: bool = False) -> Decompression:
    torch.manual_seed(seed)
    made = Decompression(LanguageModel(ModelConfig(6, width, layers, 24, tied=tied)))
    torch.nn.init.normal_(made.model.head.weight)  # it starts at zero
    return made.double()


def asked(batch: int = 3, length: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    examples = MadCompression(6, length).sample(batch, 5)
    return examples.inputs.long(), examples.positions.long()


@pytest.mark.parametrize("slots, width", [(5, 8), (3, 7), (4, 2), (1, 4), (300, 6)])
def test_sinusoids_entry_by_entry(slots, width):
    table = sinusoids(slots, width).double()
    half = width // 2
    assert table.shape == (slots, width)
    for slot in range(slots):
        for j in range(half):
            angle = slot * 10000 ** (-j / (half - 1)) if half > 1 else slot
            assert table[slot, j].item() == pytest.approx(math.sin(angle), abs=1e-4)
            assert table[slot, half + j].item() == pytest.approx(math.cos(angle), abs=1e-4)
    assert width % 2 == 0 or (table[:, -1] == 0).all()


def test_each_slot_is_the_equation():
    made = decompression(0)
    inputs, positions = asked()
    with torch.no_grad():
        for norm in made.norms:
            norm.weight.copy_(torch.rand(16) + 0.5)  # type: ignore[operator]
        for layer in made.layers:
            layer.bias.copy_(torch.randn(16))  # type: ignore[operator]
        logits = made.at(inputs, positions)
        assert logits.shape == (3, 7, 6)

        def rms(v, norm):
            return v / (v.square().mean() + 1e-5).sqrt() * norm.weight

        def gelu(v):
            return v * 0.5 * (1 + torch.erf(v / 2**0.5))

        hidden = made.model.hidden(inputs)
        for row in range(3):
            for slot in range(7):
                x = hidden[row, 6] + sinusoids(7, 16)[slot]
                for i in 0, 1:
                    x = gelu(made.layers[i].weight @ rms(x, made.norms[i]) + made.layers[i].bias)  # type: ignore[operator]
                wanted = made.model.head.weight @ rms(x, made.norms[2])
                torch.testing.assert_close(logits[row, slot], wanted, rtol=0, atol=1e-6)


def test_untrained_it_says_nothing():
    torch.manual_seed(1)
    made = Decompression(LanguageModel(ModelConfig(6, 16, LAYERS, 24)))
    assert (made.at(*asked()) == 0).all()


def test_every_weight_has_a_gradient():
    made = decompression(2)
    for name, weight in made.named_parameters():  # the residual branches end in zeros, too
        if weight.ndim == 2 and not weight.any():
            torch.nn.init.normal_(weight, std=0.1)
        assert name
    made.at(*asked()).square().sum().backward()
    assert [name for name, weight in made.named_parameters() if weight.grad is None or not weight.grad.any()] == []


@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
@pytest.mark.parametrize("tied", [False, True])
def test_copies_together_are_copies_alone(tied):
    copies = [decompression(seed, tied=tied) for seed in range(3)]
    (inputs, positions), shape = asked(), copies[0]
    weights, buffers = stack_module_state(copies)  # type: ignore[arg-type]

    class At(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = shape

        def forward(self, ids, at):
            return self.inner.at(ids, at)

    module = At()
    weights, buffers = ({f"inner.{n}": t for n, t in tensors.items()} for tensors in (weights, buffers))
    weights = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
    ids, at = torch.stack([inputs, inputs.flip(0), inputs.roll(1, 0)]), positions.expand(3, *positions.shape)
    together = vmap(lambda w, b, i, p: functional_call(module, (w, b), (i, p)))(weights, buffers, ids, at)
    grads = torch.autograd.grad(together.square().sum(), list(weights.values()))
    for i, one in enumerate(copies):
        alone = one.at(ids[i], at[i])
        torch.testing.assert_close(together[i], alone, rtol=0, atol=1e-9)
        alone.square().sum().backward()
        for name, grad in zip(weights, grads, strict=True):
            wanted = one.get_parameter(name.removeprefix("inner.")).grad
            torch.testing.assert_close(grad[i], wanted, rtol=1e-9, atol=1e-8, msg=name)


def test_it_learns_to_decode():
    torch.manual_seed(0)
    task = MadCompression(5, 4)
    made = Decompression(LanguageModel(ModelConfig(5, 32, ({"mixer": "attention", "heads": 2},) * 2, 64)))
    optimizer = torch.optim.AdamW(made.parameters(), lr=5e-3)
    for step in range(250):
        examples = task.sample(64, step)
        logits = made.at(examples.inputs.long(), examples.positions.long())
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), examples.answers.flatten().long()).backward()
        optimizer.step()
        optimizer.zero_grad()
    test = task.sample(256, 10_000)
    right = made.at(test.inputs.long(), test.positions.long()).argmax(-1) == test.answers
    assert right.float().mean() > 0.9 > task.chance() + 0.4
