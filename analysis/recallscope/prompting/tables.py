"""What the command line prints of a task put to models: the first prompt, and accuracies beside chance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from recallscope.prompting.models import find_model
from recallscope.prompting.prompts import prompt_text
from recallscope.prompting.zero_shot import task_prompts
from recallscope.tasks.task import NO_ANSWER, Task


def first_prompt(
    model: str, task: Task, examples: int, seed: int, shots: int, map_to: str, tokenizer: str | None
) -> str:
    """The first prompt of a run, and its questions with their answers; the model is not loaded."""
    found = find_model(model, tokenizer)
    drawn, mapping, prompts = task_prompts(task, found, examples, seed, shots, map_to)
    asked = drawn.answers[0] != NO_ANSWER
    ids, positions = prompts.ids[0, : int(prompts.lengths[0])], prompts.positions[0, asked]
    answers = mapping.tokens[drawn.answers[0, asked].long()]
    if found.tokenizer is None:
        text, spelled = " ".join(map(str, ids.tolist())), [str(answer) for answer in answers.tolist()]
    else:
        text, spelled = prompt_text(found.tokenizer, prompts), map(repr, found.tokenizer.pieces(answers.tolist()))
    wanted = [f"{answer} after token {at}" for answer, at in zip(spelled, positions.tolist(), strict=True)]
    return "\n".join([f"{found.name} reads:", text, f"and is asked for {', '.join(wanted)}"])


def format_zero_shot(rows: Sequence[dict[str, Any]]) -> str:
    """Aligned text: for each model (and distance, or place of the answer) its metrics with interval and chance."""
    blocks = []
    for title, group in groupby(rows, _title):
        lines = [(row["metric"], *_cells(row), f"{row['questions']:,}") for row in group]
        lines.insert(0, (title, "", "95 % interval", "chance", "questions"))
        widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
        blocks += [
            "  ".join(c.ljust(w) if k == 0 else c.rjust(w) for k, (c, w) in enumerate(zip(line, widths, strict=True)))
            for line in lines
        ]
        blocks.append("")
    return "\n".join(blocks).rstrip()


def _title(row: dict[str, Any]) -> str:
    if row.get("distance") is not None:
        return f"{row['subject']}, answer {row['distance']} tokens back"
    return row["subject"] if row.get("answer") is None else f"{row['subject']}, answer {row['answer']}"


def _cells(row: dict[str, Any]) -> tuple[str, str, str]:
    form = "{:.3f}".format if row["unit"] == "nats" else "{:.1%}".format
    value, low, high, chance = (None if row[k] is None else form(row[k]) for k in ("value", "low", "high", "chance"))
    return value or "-", "-" if low is None else f"{low} to {high}", chance or "-"
