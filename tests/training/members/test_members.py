"""Members trained together against the same models trained one by one with torch's own modules and AdamW."""

from dataclasses import replace

import pytest
import torch
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.mixers import MIXERS
from recallscope.architectures.model import LanguageModel
from recallscope.tasks import MQAR
from recallscope.training.members.members import Member, Members
from recallscope.training.members.scores import answer_losses
from torch.nn import functional as F

TASK = MQAR(vocabulary=64, length=16, pairs=2)
RATES = (1e-3, 1e-2)
STEPS = 3


def shape(mixer: str, **options) -> ModelConfig:
    return ModelConfig(64, 32, ({"mixer": "base_conv"}, {"mixer": mixer, **options}), 0)


def members(config: ModelConfig, seeds=(0, 1), rates=RATES) -> list[Member]:
    return [Member(rate, seed) for seed in seeds for rate in rates]


def batch(seed: int, step: int) -> tuple[torch.Tensor, ...]:
    examples = TASK.sample(4, seed=100 * seed + step)
    return examples.inputs.long(), examples.positions.long(), examples.answers.long()


def rates(some: list[Member], factor: float = 1.0) -> list[float]:
    return [factor * member.rate for member in some]


def stacked(all_members: list[Member], step: int) -> list[torch.Tensor]:
    return [torch.stack(column) for column in zip(*(batch(m.seed, step) for m in all_members), strict=True)]


def trained_alone(config: ModelConfig, member: Member, steps: int = STEPS) -> tuple[torch.Tensor, list[float]]:
    """Weights and losses of a plain loop: torch's module, its AdamW, the usual labels."""
    torch.manual_seed(member.seed)
    model = LanguageModel(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=member.rate, weight_decay=0.1)
    losses = []
    for step in range(steps):
        inputs, positions, answers = batch(member.seed, step)
        logits = model(inputs)
        asked = torch.stack([logits[b, positions[b]] for b in range(len(inputs))])
        loss = F.cross_entropy(asked.flatten(0, 1), answers.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return torch.cat([weight.detach().flatten() for weight in model.parameters()]), losses


def test_members_are_what_plain_loops_give():
    config = shape("attention")
    everyone = members(config)
    together = Members(lambda: LanguageModel(config), everyone, weight_decay=0.1)
    losses = torch.stack([together.step(*stacked(everyone, step), rates(everyone)) for step in range(STEPS)])  # type: ignore[arg-type]
    for row, member in enumerate(everyone):
        weights, alone = trained_alone(config, member)
        assert torch.allclose(losses[:, row], torch.tensor(alone), atol=1e-5)
        assert torch.allclose(together.flat[row], weights, atol=2e-5)


@pytest.mark.parametrize("mixer", [name for name in MIXERS if name != "subsampled"])  # which draws at random
def test_every_mixer_has_the_gradients_of_its_own_module(mixer):
    config = shape(mixer, **({"head_width": 16} if mixer == "rwkv6" else {}))
    everyone = members(config, rates=(1e-3,))
    models = []
    for member in everyone:
        torch.manual_seed(member.seed)
        models.append(LanguageModel(config))
    together = Members(lambda: LanguageModel(config), everyone, weight_decay=0.1)
    generator = torch.Generator().manual_seed(5)
    noise = 0.1 * torch.randn(together.flat.shape, generator=generator)
    with torch.no_grad():  # branches start at zero, and with them most gradients
        together.flat += noise
        for model, row in zip(models, noise, strict=True):
            for weight, part in zip(
                model.parameters(), row.split([w.numel() for w in model.parameters()]), strict=True
            ):
                weight += part.view_as(weight)
    inputs, positions, answers = stacked(everyone, 0)
    together.step(inputs, positions, answers, [0.0] * len(everyone))
    for row, model in enumerate(models):
        F.cross_entropy(model.at(inputs[row], positions[row]).flatten(0, 1), answers[row].flatten()).backward()
        grads = [torch.zeros_like(w) if w.grad is None else w.grad for w in model.parameters()]
        expected = torch.cat([grad.flatten() for grad in grads])
        scale = expected.abs().max()
        assert torch.allclose(together._grads[row], expected, atol=2e-5 * float(scale), rtol=1e-3)
        assert float((expected != 0).float().mean()) > 0.1  # long filters have taps beyond these tokens


def test_members_left_go_on_as_if_nothing_had_happened():
    config = shape("linear_attention")
    everyone = members(config)
    together = Members(lambda: LanguageModel(config), everyone, weight_decay=0.1)
    together.step(*stacked(everyone, 0), rates(everyone))  # type: ignore[arg-type]
    together.keep([1, 2])
    left = [everyone[1], everyone[2]]
    assert together.members == left and len(together) == 2
    for step in (1, 2):
        together.step(*stacked(left, step), rates(left))  # type: ignore[arg-type]
    for row, member in enumerate(left):
        assert torch.allclose(together.flat[row], trained_alone(config, member)[0], atol=2e-5)


def test_state_is_restored_bit_for_bit():
    config = shape("gla")
    everyone = members(config)

    def fresh() -> Members:
        return Members(lambda: LanguageModel(config), everyone, weight_decay=0.1)

    through, stopped = fresh(), fresh()
    for one in (through, stopped):
        one.step(*stacked(everyone, 0), rates(everyone))  # type: ignore[arg-type]
        one.keep([0, 3])
    again = fresh()
    again.load_state_dict(stopped.state_dict())
    left = [everyone[0], everyone[3]]
    for one in (through, again):
        one.step(*stacked(left, 1), rates(left, 0.5))  # type: ignore[arg-type]
    assert again.members == left
    assert torch.equal(through.flat, again.flat)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, on itself
@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")  # compiled, a kernel call per member
def test_compiled_members_have_the_same_losses():
    """Also on a batch of another length, as mixes of tasks have them."""
    config = shape("attention", qk_norm=False, rope_base=None)
    everyone = members(config, seeds=(0,))
    plain = Members(lambda: LanguageModel(config), everyone, 0.1)
    compiled = Members(lambda: LanguageModel(config), everyone, 0.1, compile=True)
    for length in (16, 24):
        drawn = replace(TASK, length=length).sample(4)
        batches = [part.long().expand(2, -1, -1) for part in (drawn.inputs, drawn.positions, drawn.answers)]
        ours, theirs = (one.step(*batches, rates(everyone)) for one in (plain, compiled))  # type: ignore[arg-type]
        assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("mixer", ["attention", "mla", "native_sparse", "based", "mamba2", "gated_delta_net"])
def test_bfloat16_is_close_and_keeps_float32_weights(mixer):
    config = shape(mixer)
    everyone = members(config, seeds=(0,))
    together = Members(lambda: LanguageModel(config), everyone, 0.1)
    losses = together.step(*stacked(everyone, 0), rates(everyone), bfloat16=True)  # type: ignore[arg-type]
    assert together.flat.dtype == torch.float32
    assert torch.allclose(losses, torch.full((2,), 64.0).log(), atol=0.02)  # the head starts at zero


def test_losses_of_answers_by_hand():
    outputs = torch.tensor([[[[0.0, 0.0], [0.0, 0.0]]], [[[2.0, 0.0], [5.0, 5.0]]]])  # [2, 1, 2, 2]
    answers = torch.tensor([[[0, -100]], [[0, -100]]])
    expected = torch.tensor([2.0, 1 + torch.e**-2.0]).log()
    assert torch.allclose(answer_losses(outputs, answers), expected, atol=1e-6)
    numbers = torch.tensor([[[[1.0], [3.0]]]])
    assert torch.allclose(answer_losses(numbers, torch.tensor([[[0.0, 1.0]]])), torch.tensor([2.5]))
