"""Which of several continuations has the least loss, and how often it is a right one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from recallscope.evidence import evidence
from recallscope.prompting.continuations.questions import Question
from recallscope.prompting.scores import accuracy
from recallscope.slicing.records import Records

METRICS = ("accuracy", "accuracy per character")
PLACES = ("in context", "not in context")


def losses_by_document(records: Records, documents: int) -> dict[str, np.ndarray]:
    """For each model the sum of the losses of each document, float64[documents], nats."""
    table = records.table(["document", *(f"loss_{model}" for model in records.models)])
    document = table["document"].to_numpy()
    return {
        model: np.bincount(document, table[f"loss_{model}"].to_numpy().astype(np.float64), documents)
        for model in records.models
    }


def accuracies(
    questions: Sequence[Question], right: Mapping[str, np.ndarray], wrong: Mapping[str, np.ndarray]
) -> pa.Table:
    """How often each model gives a right answer the least loss: a table of evidence.

    Parameters
    ----------
    right, wrong : dict of float64
        For each model the loss of each question's first right choice, and of all others, question after question.

    Returns
    -------
    pyarrow.Table
        A row per model, metric and `answer`: null for all questions with choices, else whether the right answer stands
        in the context (`Question.stated`). Metrics: `accuracy`, of the sum of the losses, and
        `accuracy per character`, of that sum over the characters of the choice (`acc` and `acc_norm` of
        lm-evaluation-harness). Choices that tie for the least share the credit. 95 % Wilson intervals; `chance` is
        what a guess gets.
    """
    asked = [question for question in questions if len(question.choices) > 1]
    stated = np.array([question.stated for question in asked])
    chance = np.array([len(question.right) / len(question.choices) for question in asked])
    parts: list[tuple[str | None, np.ndarray]] = [(None, np.ones(len(asked), dtype=bool))]
    parts += [(name, stated == flag) for name, flag in zip(PLACES, (True, False), strict=True)]
    rows = []
    for model in right:
        credit = np.array(list(_credits(questions, right[model], wrong[model])))
        for place, chosen in parts:
            for at, metric in enumerate(METRICS):
                if chosen.any():
                    rows.append(_row(model, metric, place, credit[chosen, at], chance[chosen]))
    return evidence(rows)


def _row(model: str, metric: str, place: str | None, credit: np.ndarray, chance: np.ndarray) -> dict[str, Any]:
    found = accuracy(credit, np.arange(len(credit)))
    numbers = {"value": found.value, "unit": "1", "low": found.low, "high": found.high, "n": found.examples}
    setting = {"answer": place, "chance": float(chance.mean()), "questions": found.questions}
    return {"subject": model, "metric": metric, "kind": "measured"} | numbers | setting


def _credits(questions: Sequence[Question], right: np.ndarray, wrong: np.ndarray) -> Iterator[tuple[float, float]]:
    """Credit by both metrics of each question with choices."""
    begin = 0
    for question, loss in zip(questions, right.tolist(), strict=True):
        end = begin + len(question.choices) - 1
        losses = np.insert(wrong[begin:end], question.right[0], loss)
        begin = end
        if len(losses) > 1:
            lengths = np.array([len(choice) for choice in question.choices])
            yield _credit(losses, question.right), _credit(losses / lengths, question.right)


def _credit(losses: np.ndarray, right: Sequence[int]) -> float:
    best = losses == losses.min()
    return float(best[list(right)].sum() / best.sum())
