"""How well a language model solves a recall task that it was never trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from recallscope.evidence import COLUMNS, evidence
from recallscope.prompting.models import AskedModel, Found, find_model
from recallscope.prompting.prompts import Mapping, Prompts, as_ids, as_words, build_prompts
from recallscope.prompting.scores import ACCURACIES, Answers, Mean, accuracy, ask, mean, possible_answers
from recallscope.tasks.task import Examples, Task
from recallscope.text import Tokenizer

MAPS = ("words", "ids")
_SHOTS = 2**32  # added to the seed: a stream apart from that of the examples


def zero_shot(
    model: AskedModel,
    task: Task,
    *,
    examples: int = 200,
    seed: int = 0,
    shots: int = 0,
    map_to: str = "words",
    tokenizer: str | Path | Tokenizer | None = None,
    by_distance: bool = False,
    device: str = "cpu",
    dtype: str | None = None,
    batch_tokens: int = 8192,
) -> pa.Table:
    """Put a task to a model as it is, and score what it says at the questions: a table of evidence.

    Metrics, each with what a guess gets in the column `chance`:

    - `accuracy`: the right answer has the largest logit of the whole vocabulary;
    - `accuracy among possible answers`: of all ids that the task asks for (see `possible_answers`);
    - `accuracy among answers in context`: of those that occur in the example up to the question. Questions whose answer
      does not occur do not count;
    - `accuracy among answers of the example`: of the right answers to all of the example's questions (in MQAR the D
      values, chance 1/D whatever the filler). Examples with a single answer do not count;
    - `nats`: mean loss of the right answer over the whole vocabulary.

    Logits that tie for the largest share the credit: in bfloat16 many do, and a constant model gets chance. Intervals
    are 95 % over examples, because questions of one example are not independent (see `scores.accuracy`). `n` counts
    examples, `questions` questions.

    Parameters
    ----------
    model : str, Path or callable
        A bundled name, a folder, a hub name, or `ids [B, T] -> logits [B, T, V]` (see `find_model`).
    examples, seed : int
        Number of examples; the seed of these, of the words and of the shots.
    shots : int
        Solved examples before each asked one, other ones each time.
    map_to : {"words", "ids"}
        "words": each id of the task stands for a word of the tokenizer, the same in all examples, id 0 for a full stop;
        a beginning-of-text token goes first if there is one. "ids": the task's ids as they are, and nothing before.
    tokenizer : str, Path, Tokenizer or None
        For models that bring none.
    by_distance : bool
        Also rows by `distance`, from the last occurrence of the answer to the question, by powers of two.
    device, dtype : str
        Where models that are loaded here run; the dtype of Hugging Face models.
    batch_tokens : int
        Tokens per batch.
    """
    for name, number, least in (("examples", examples, 1), ("shots", shots, 0), ("batch_tokens", batch_tokens, 1)):
        if number < least:
            raise ValueError(f"{name}: at least {least}, got {number}")
    found = find_model(model, tokenizer, device, dtype)
    drawn, mapping, prompts = task_prompts(task, found, examples, seed, shots, map_to)
    asked = found.load()
    longest = int(prompts.lengths.max())
    if asked.context is not None and longest > asked.context:
        raise ValueError(f"model: {found.name} takes {asked.context} tokens, the longest prompt has {longest}")
    answers = ask(asked, prompts, drawn, mapping, possible_answers(task, drawn), batch_tokens)
    setting: dict[str, Any] = {"task": type(task).__name__}
    for field in fields(task):
        setting[f"task_{field.name}" if field.name in COLUMNS else field.name] = getattr(task, field.name)
    setting |= {"shots": shots, "map_to": map_to, "seed": seed, "device": str(asked.device), "dtype": dtype}
    return evidence(_rows(answers, {"subject": found.name, "kind": "measured"}, setting, by_distance))


def task_prompts(
    task: Task, model: Found, examples: int, seed: int, shots: int, map_to: str
) -> tuple[Examples, Mapping, Prompts]:
    """Examples of a task, which token of the model stands for which id, and the prompts."""
    if map_to not in MAPS:
        raise ValueError(f"map_to: one of {', '.join(MAPS)}, got {map_to!r}")
    drawn = task.sample(examples, seed)
    if drawn.inputs.is_floating_point():
        raise ValueError(f"task: {type(task).__name__} has vectors as inputs, and a language model takes ids")
    if map_to == "ids":
        mapping = as_ids(task, model.vocabulary)
    elif model.tokenizer is None:
        raise ValueError(f"tokenizer: model {model.name} brings none; name one, or use map_to='ids'")
    else:
        mapping = as_words(task, model.tokenizer, model.vocabulary, seed)
    solved = task.sample(examples * shots, seed + _SHOTS) if shots else None
    return drawn, mapping, build_prompts(drawn, mapping, solved)


def _rows(answers: Answers, who: dict, setting: dict, by_distance: bool) -> Iterator[dict[str, Any]]:
    yield from _metrics(answers, who, setting)
    if not by_distance:
        return
    band = np.frexp(answers.distance)[1]  # 0 for -1 would be 1: those questions are left out
    for exponent in np.unique(band[answers.distance >= 0]).tolist():
        first, last = 2**exponent // 2, max(2**exponent - 1, 0)
        chosen = (answers.distance >= first) & (answers.distance <= last)
        label = str(first) if first == last else f"{first}-{last}"
        yield from _metrics(answers.where(chosen), who, setting | {"distance": label})


def _metrics(answers: Answers, who: dict, setting: dict) -> Iterator[dict[str, Any]]:
    for at, metric in enumerate(ACCURACIES):
        guess = mean(answers.chance[:, at], answers.example).value
        yield _row(metric, "1", accuracy(answers.credit[:, at], answers.example), guess, who, setting)
    yield _row("nats", "nats", mean(answers.nats, answers.example), log(answers.vocabulary), who, setting)


def _row(metric: str, unit: str, found: Mean, guess: float | None, who: dict, setting: dict) -> dict[str, Any]:
    interval = {"value": found.value, "low": found.low, "high": found.high, "n": found.examples}
    return who | {"metric": metric, "unit": unit} | interval | {"chance": guess, "questions": found.questions} | setting
