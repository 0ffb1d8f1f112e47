"""Tasks put to models: perfect ones, constant ones, random ones, and the bundled ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from recallscope.evidence import read_evidence, write_evidence
from recallscope.prompting.zero_shot import zero_shot
from recallscope.tasks._source import Source
from recallscope.tasks.mqar import MQAR
from recallscope.tasks.task import NO_ANSWER, Examples, Task
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

NAMES = {
    "whole": "accuracy",
    "possible": "accuracy among possible answers",
    "context": "accuracy among answers in context",
    "own": "accuracy among answers of the example",
    "nats": "nats",
}


def by_metric(table, distance: str | None = None) -> dict[str, dict]:
    rows = [row for row in table.to_pylist() if row.get("distance") == distance]
    return {short: next(row for row in rows if row["metric"] == name) for short, name in NAMES.items()}


def recall(ids: torch.Tensor, vocabulary: int = 4096, first: int = 0) -> torch.Tensor:
    """At every token, what followed its first occurrence in the row (from `first`), by 30 in the logit."""
    logits = torch.zeros(*ids.shape, vocabulary)
    for row, line in enumerate(ids.tolist()):
        for at, token in enumerate(line):
            earlier = line.index(token, min(first, at))
            if earlier + 1 < len(line):
                logits[row, at, line[earlier + 1]] = 30
    return logits


@dataclass(frozen=True)
class Uneven(Task):
    """`k v k v ...` and one to three of the keys again, each before a random value; NO_ANSWER where there is none."""

    vocabulary: int = 40
    length: int = 14

    def draw(self, source: Source, examples: int) -> Examples:
        keys, values = source.distinct(examples, 4, 19) + 1, source.distinct(examples, 4, 20) + 20
        pairs = torch.stack([keys, values], 2).flatten(1)
        asked = source.permutations(examples, 4, 3).long()
        tail = torch.stack([keys.gather(1, asked), source.integers(examples, 3, 20) + 20], 2).flatten(1)
        count = source.integers(examples, 1, 3) + 1
        answers = values.gather(1, asked).masked_fill(torch.arange(3) >= count, NO_ANSWER)
        positions = torch.tensor([8, 10, 12]).expand(examples, -1).masked_fill(answers == NO_ANSWER, 0)
        return Examples(torch.cat([pairs, tail], 1), positions, answers)


@pytest.mark.parametrize("shots", [0, 3])
@pytest.mark.parametrize("task", [MQAR(512, 64, 4, random_filler=False), MQAR(512, 64, 16), Uneven()], ids=str)
def test_a_model_that_recalls_exactly_is_right_everywhere(task, shots, bundled):
    def model(ids: torch.Tensor) -> torch.Tensor:  # the asked example starts after the last line break
        breaks = [max((at for at, token in enumerate(line) if token == 199), default=0) + 1 for line in ids.tolist()]
        return torch.cat([recall(line[None], first=at) for line, at in zip(ids, breaks, strict=True)])

    assert bundled.pieces([199]) == ["\n"]
    found = by_metric(zero_shot(model, task, examples=12, shots=shots, tokenizer=bundled))
    assert [found[name]["value"] for name in NAMES][:4] == [1, 1, 1, 1]
    assert found["whole"]["high"] == 1 and 0.7 < found["whole"]["low"] < 0.8  # Wilson: 12 of 12
    assert found["nats"]["value"] < 1e-6


@pytest.mark.parametrize("filler", [False, True])
@pytest.mark.parametrize("size", [512, 700])
def test_a_constant_model_gets_exactly_chance(filler, size):
    task = MQAR(512, 64, 4, random_filler=filler)
    found = by_metric(zero_shot(lambda ids: torch.zeros(*ids.shape, size), task, examples=50, map_to="ids"))
    for row in found.values():
        assert math.isclose(row["value"], row["chance"], rel_tol=1e-6)
    values = [found[name]["value"] for name in NAMES]
    np.testing.assert_allclose([values[k] for k in (0, 1, 3, 4)], [1 / size, 1 / 256, 1 / 4, math.log(size)], rtol=1e-6)
    assert values[2] == 0.25 if not filler else 1 / 40 < values[2] < 0.25


@dataclass(frozen=True)
class Echo(Task):
    """The answer is the token at which the model is asked, at every token."""

    vocabulary: int = 6
    length: int = 5

    def draw(self, source: Source, examples: int) -> Examples:
        inputs = source.integers(examples, self.length, self.vocabulary)
        return Examples(inputs, torch.arange(self.length).expand(examples, -1), inputs)


def test_the_token_at_the_question_belongs_to_the_context():
    drawn = Echo().sample(20).inputs.tolist()
    table = zero_shot(lambda ids: torch.zeros(*ids.shape, 6), Echo(), examples=20, map_to="ids", by_distance=True)
    wanted = np.mean([1 / len(set(line[: at + 1])) for line in drawn for at in range(5)])
    assert math.isclose(by_metric(table)["context"]["value"], wanted)
    assert by_metric(table, "0")["context"] == by_metric(table)["context"] | {"distance": "0"}
    same = [len(set(line)) == 1 for line in drawn]
    assert by_metric(table)["own"]["n"] == 20 - sum(same)


def models() -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    llama = LlamaConfig(
        vocab_size=4096, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2
    )
    gpt2 = GPT2Config(vocab_size=4096, n_positions=256, n_embd=16, n_layer=2, n_head=2)
    return {"llama": LlamaForCausalLM(llama).eval(), "gpt2": GPT2LMHeadModel(gpt2).eval()}


@pytest.mark.parametrize("name", ["llama", "gpt2"])
@pytest.mark.parametrize("shots", [0, 2])
@pytest.mark.parametrize(
    "task",
    [MQAR(64, 32, 4), MQAR(16, 32, 3, passes=2, random_filler=False), Uneven()],
    ids=["random", "twice", "uneven"],
)
def test_numbers_are_those_of_a_plain_loop_over_full_logits(name, task, shots, bundled):
    model, seen, count = models()[name], [], 40

    def recorded(ids: torch.Tensor) -> torch.Tensor:
        seen.append(ids.clone())
        return model(ids).logits

    options = {"examples": count, "seed": 5, "shots": shots, "tokenizer": bundled, "by_distance": True}
    table = zero_shot(recorded, task, batch_tokens=100, **options)
    lines = [row for batch in seen for row in batch]
    assert len(lines) == count and max(batch.numel() for batch in seen) <= max(100, seen[0].shape[1])

    examples, word = task.sample(count, 5), {}
    credits: dict[str, list] = {short: [] for short in NAMES}
    near: dict[int, list] = {}
    possible = range(task.vocabulary // 2, task.vocabulary)
    starts = []
    for example, line in zip(examples.inputs.tolist(), lines, strict=True):
        body = [at for at in range(len(line)) if len(set(line[at:].tolist()) - {0}) > 0]
        start = next(at for at in reversed(body) if fits(line[at : at + task.length].tolist(), example, word))
        assert shots or start == 1  # after the beginning-of-text token
        starts.append(start)
        word |= dict(zip(example, line[start : start + task.length].tolist(), strict=True))
    assert set(possible) <= set(word)
    for at, line in enumerate(lines):
        with torch.inference_mode():
            full = model(line[None]).logits[0].double()
        example = examples.inputs[at].tolist()
        own = [one for one in examples.answers[at].tolist() if one != NO_ANSWER]
        for position, answer in zip(examples.positions[at].tolist(), examples.answers[at].tolist(), strict=True):
            if answer == NO_ANSWER:
                continue
            logits = full[starts[at] + position].tolist()
            right = logits[word[answer]]
            before = example[: position + 1]
            credits["whole"].append(right == max(logits))
            credits["possible"].append(right == max(logits[word[one]] for one in possible))
            credits["context"].append(right == max(logits[word[one]] for one in before if one in possible))
            if len(set(own)) > 1:
                credits["own"].append(right == max(logits[word[one]] for one in own))
            loss = math.log(sum(math.exp(one) for one in logits)) - right
            credits["nats"].append(loss)
            distance = position - max(place for place, one in enumerate(before) if one == answer)
            near.setdefault(distance.bit_length(), []).append(loss)
    found = by_metric(table)
    for short, each in credits.items():
        assert math.isclose(found[short]["value"], np.mean(each), rel_tol=1e-5) and found[short]["questions"] == len(
            each
        )
    for bits, losses in near.items():
        label = "1" if bits == 1 else f"{2 ** (bits - 1)}-{2**bits - 1}"
        row = by_metric(table, label)["nats"]
        assert math.isclose(row["value"], np.mean(losses), rel_tol=1e-5) and row["questions"] == len(losses)
    assert len(table) == 5 * (1 + len(near))

    direct = by_metric(zero_shot(model, task, **options))  # hidden states and head, another batch size
    for short in NAMES:
        assert math.isclose(direct[short]["value"], found[short]["value"], rel_tol=1e-5)


def fits(tokens: list[int], example: list[int], word: dict) -> bool:
    """Whether these tokens can be this example: one token for each id, and one id for each token."""
    if len(tokens) < len(example):
        return False
    pairs = set(zip(example, tokens, strict=True)) | set(word.items())
    return len(pairs) == len({one for one, _ in pairs}) == len({token for _, token in pairs})


def test_the_bundled_attention_recalls_without_training_and_hyena_does_not():
    task = MQAR(512, 64, 4, random_filler=False)
    for name, floor, ceiling in (("attention", 0.35, 0.6), ("hyena", 0.15, 0.35)):
        table = zero_shot(name, task, examples=60)
        found = by_metric(table)
        assert floor < found["own"]["low"] < found["own"]["high"] < ceiling
        assert found["own"] == found["context"] | {"metric": NAMES["own"]}  # without random filler they are the same
    assert found["whole"] | {"value": 0, "low": 0, "high": 0} == {
        "subject": "hyena", "metric": "accuracy", "value": 0, "unit": "1", "low": 0, "high": 0, "n": 60,
        "kind": "measured", "source": None, "trust": None, "flag": None, "chance": 1 / 4096, "questions": 240,
        "task": "MQAR", "vocabulary": 512, "length": 64, "pairs": 4, "power": 0.01, "passes": 1,
        "random_filler": False, "shots": 0, "map_to": "words", "seed": 0, "device": "cpu", "dtype": None,
    }  # fmt: skip


def test_a_seed_decides_everything_and_batches_nothing(tmp_path):
    task = MQAR(128, 32, 4)
    one, same = (zero_shot("hyena", task, examples=9, seed=4, batch_tokens=size) for size in (33, 10_000))
    other = zero_shot("hyena", task, examples=9, seed=5)
    np.testing.assert_allclose(one["value"].to_numpy(), same["value"].to_numpy(), rtol=1e-5)
    assert one["value"].to_pylist()[-1] != other["value"].to_pylist()[-1]
    write_evidence(one, tmp_path / "rows.jsonl")
    assert read_evidence(tmp_path / "rows.jsonl")["value"].to_pylist() == one["value"].to_pylist()


def test_bad_input(bundled, tmp_path):
    task, model = MQAR(64, 32, 4), models()["gpt2"]
    cases = [
        ({"examples": 0}, "^examples: at least 1, got 0"),
        ({"shots": -1}, "^shots: at least 0, got -1"),
        ({"batch_tokens": 0}, "^batch_tokens: at least 1, got 0"),
        ({"map_to": "letters"}, "^map_to: one of words, ids, got 'letters'"),
        ({"tokenizer": None}, "^tokenizer: model GPT2LMHeadModel brings none; name one, or use map_to='ids'"),
        ({"shots": 9}, r"^model: GPT2LMHeadModel takes 256 tokens, the longest prompt has \d+"),
    ]
    for options, message in cases:
        with pytest.raises(ValueError, match=message):
            zero_shot(model, task, **({"tokenizer": bundled, "examples": 2} | options))
    with pytest.raises(ValueError, match=r"^task: vocabulary 4096 needs 4095 words, the tokenizer has 1116"):
        zero_shot(model, MQAR(4096, 32, 4), tokenizer=bundled)
    with pytest.raises(ValueError, match=r"^task: uses 8192 ids, the model knows 4096"):
        zero_shot(model, MQAR(8192, 32, 4), map_to="ids")
    with pytest.raises(ValueError, match=r"^model: returns 60 logits, but ids up to 63 are asked for"):
        zero_shot(lambda ids: torch.zeros(*ids.shape, 60), task, map_to="ids")
    with pytest.raises(ValueError, match=r"^model: loss nan of an answer; its weights or its dtype are broken"):
        zero_shot(lambda ids: torch.full((*ids.shape, 64), torch.nan), task, map_to="ids")

    class Vectors(Task):
        def draw(self, source: Source, examples: int) -> Examples:
            return Examples(torch.zeros(examples, 8, 2), torch.zeros(examples, 1), torch.zeros(examples, 1))

    with pytest.raises(ValueError, match=r"^task: Vectors has vectors as inputs, and a language model takes ids"):
        zero_shot(model, Vectors(0, 8), map_to="ids")
