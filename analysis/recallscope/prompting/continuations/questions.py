"""Questions out of files: lines of (context, continuation), and JSON tasks of BIG-bench."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recallscope.checks import parsed
from recallscope.text import Document
from recallscope.text.documents import JSON_SUFFIXES, json_lines


@dataclass(frozen=True)
class Question:
    """A context and what may follow it.

    Attributes
    ----------
    id : str
    context : str
        As the models read it.
    choices : tuple of str
        Continuations; the only one, where there is nothing to choose.
    right : tuple of int
        Which of them are right, at least one; the first is the one whose tokens are attributed.
    source : str
        Where the answer is looked for: the context, without any list of the choices.
    """

    id: str
    context: str
    choices: tuple[str, ...]
    right: tuple[int, ...]
    source: str

    def document(self, choice: int) -> Document:
        """The text with one of the choices.

        White space at the end of the context belongs to what follows (the rule of lm-evaluation-harness: most
        tokenizers join it to the next word).
        """
        return Document(self.id, self.context + self.choices[choice], len(self.context.rstrip()))

    @property
    def stated(self) -> bool:
        """Whether a right answer, white space around it off, stands in the source, as written and not inside a word."""
        return any(_stands_in(self.source, self.choices[one].strip()) for one in self.right)


def _stands_in(text: str, answer: str) -> bool:
    return bool(answer) and re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", text) is not None


def read_questions(path: str | Path, limit: int | None = None) -> list[Question]:
    """The questions of a file.

    Parameters
    ----------
    path : str or Path
        `.jsonl` (also `.gz`, `.zst`): a line per question, with `context`, `continuation`, and, if there, `id` and
        `choices`, a list that holds the continuation. `.json`: a task of BIG-bench, with `examples` of an `input` and a
        `target` (of several the first) or `target_scores`, of which the highest are right. As BIG-bench does by
        default, the input stands between "\\nQ: " and "\\nA: ", and the choices are listed after it, here in
        alphabetical order; `example_input_prefix`, `example_output_prefix`, `choice_prefix`,
        `append_choices_to_input` and `task_prefix` of the file are heeded.
    limit : int, optional
        Only the first so many.

    Raises
    ------
    ValueError
        Naming the file, the line or example, and the field.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"continuations: {path} does not exist")
    if path.name.endswith(JSON_SUFFIXES):
        found = [_of_line(row, f"continuations: {path} line {number}", number) for number, row in json_lines(
            path, "continuations")]  # fmt: skip
    elif path.suffix == ".json":
        found = _of_task(path)
    else:
        raise ValueError(f"continuations: {path} must be .json (BIG-bench) or one of {', '.join(JSON_SUFFIXES)}")
    if not found:
        raise ValueError(f"continuations: {path} holds no questions")
    return found[:limit]


def _of_line(row: Any, place: str, number: int) -> Question:
    if not isinstance(row, dict):
        raise ValueError(f"{place} must be an object with `context` and `continuation`, got {row!r:.40}")
    context, continuation = _text(row, "context", place), _text(row, "continuation", place)
    choices = row.get("choices", [continuation])
    if not isinstance(choices, list) or not all(isinstance(one, str) and one for one in choices):
        raise ValueError(f"{place}: field `choices` must be a list of strings that are not empty, got {choices!r:.40}")
    if not continuation or continuation not in choices:
        raise ValueError(
            f"{place}: field `continuation` must hold text, one of the `choices`, got {continuation!r:.40}"
        )
    _check_distinct(choices, place)
    right = (choices.index(continuation),)
    return Question(str(row.get("id", number - 1)), context, tuple(choices), right, context)


def _text(row: dict[str, Any], field: str, place: str) -> str:
    if not isinstance(row.get(field), str):
        raise ValueError(f"{place} needs a field `{field}` with a string, got {row.get(field)!r:.40}")
    return row[field]


def _check_distinct(choices: Sequence[str], place: str) -> None:
    repeated = sorted({one for one in choices if choices.count(one) > 1})
    if repeated:
        raise ValueError(f"{place}: field `choices` holds {repeated[0]!r:.40} more than once")


def _of_task(path: Path) -> list[Question]:
    task = parsed(path.read_bytes(), f"continuations: {path}")
    if not isinstance(task, dict) or not isinstance(task.get("examples"), list):
        raise ValueError(f"continuations: {path} needs a field `examples` with a list, as tasks of BIG-bench have it")
    marks = {"task_prefix": "", "example_input_prefix": "\nQ: ", "example_output_prefix": "\nA: "}
    marks |= {"choice_prefix": "\n  choice: "}
    for name, default in marks.items():
        marks[name] = _text({name: default} | task, name, f"continuations: {path}")
    listed = task.get("append_choices_to_input", True)
    if not isinstance(listed, bool):
        raise ValueError(
            f"continuations: {path}: field `append_choices_to_input` must be true or false, got {listed!r}"
        )
    name = task["name"] if isinstance(task.get("name"), str) else path.stem
    places = [f"continuations: {path} example {at}" for at in range(len(task["examples"]))]
    return [
        _of_example(row, marks, listed, place, f"{name}/{at}")
        for at, (row, place) in enumerate(zip(task["examples"], places, strict=True))
    ]


def _of_example(row: Any, marks: dict[str, str], listed: bool, place: str, name: str) -> Question:
    if not isinstance(row, dict):
        raise ValueError(f"{place} must be an object with `input` and `target` or `target_scores`, got {row!r:.40}")
    asked = marks["task_prefix"] + marks["example_input_prefix"] + _text(row, "input", place)
    choices, right = _choices(row, place)
    offered = "".join(marks["choice_prefix"] + one for one in sorted(choices)) if listed and len(choices) > 1 else ""
    return Question(name, asked + offered + marks["example_output_prefix"], choices, right, asked)


def _choices(row: dict[str, Any], place: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    scores = row.get("target_scores")
    if scores is None:
        target = row.get("target")
        target = target[0] if isinstance(target, list) and target else target
        if not isinstance(target, str) or not target:
            raise ValueError(f"{place} needs a field `target` with text, or `target_scores`, got {target!r:.40}")
        return (target,), (0,)
    if not isinstance(scores, dict) or not scores or not all(scores):
        raise ValueError(f"{place}: field `target_scores` must be an object of choice: score, got {scores!r:.40}")
    for choice, score in scores.items():
        if isinstance(score, bool) or not isinstance(score, (int, float)) or score != score:
            raise ValueError(f"{place}: field `target_scores`, choice {choice!r:.40}: a number, got {score!r:.40}")
    best = max(scores.values())
    return tuple(scores), tuple(at for at, score in enumerate(scores.values()) if score == best)
