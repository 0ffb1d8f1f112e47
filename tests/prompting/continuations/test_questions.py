"""Questions out of files, and every way in which a file can be wrong."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from recallscope.prompting.continuations import Question, read_questions


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return path


def test_lines_of_context_and_continuation(tmp_path):
    path = lines(
        tmp_path / "q.jsonl",
        {"context": "The capital of France is", "continuation": " Paris"},
        {"id": "second", "context": "Paris or Rome? ", "continuation": "Rome", "choices": ["Paris", "Rome", "Oslo"]},
    )
    one, two = read_questions(path)
    assert one == Question("0", "The capital of France is", (" Paris",), (0,), "The capital of France is")
    assert two == Question("second", "Paris or Rome? ", ("Paris", "Rome", "Oslo"), (1,), "Paris or Rome? ")
    assert (one.stated, two.stated) == (False, True)
    assert [read_questions(path, limit=1), read_questions(str(path), 9)] == [[one], [one, two]]
    packed = tmp_path / "q.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_questions(packed) == [one, two]


def test_white_space_at_the_end_of_a_context_belongs_to_what_follows():
    made = Question("q", "A: x \n", ("y", "z"), (0,), "").document(1)
    assert (made.text, made.given) == ("A: x \nz", 4)
    assert Question("q", "", ("y",), (0,), "").document(0).given == 0


@pytest.mark.parametrize(
    "source, answer, stated",
    [("a cat sat", "cat", True), ("concatenate", "cat", False), ("the cat.", " cat\n", True),
     ("x = (a+b)", "(a+b)", True), ("Cat", "cat", False), ("cats", "cat", False), ("", "cat", False)],
)  # fmt: skip
def test_an_answer_stands_in_the_context_as_a_word(source, answer, stated):
    assert Question("q", source, (answer, "never"), (0,), source).stated == stated


def task(path: Path, **fields: Any) -> Path:
    path.write_text(json.dumps(fields))
    return path


def test_tasks_of_big_bench(tmp_path):
    scores = {"blue": 1, "red": 0, "azure": 1}
    path = task(
        tmp_path / "task.json",
        name="colours",
        examples=[{"input": "Sky?", "target_scores": scores}, {"input": "2+2=", "target": ["4", "four"]}],
    )
    one, two = read_questions(path)
    assert one.id == "colours/0" and one.choices == ("blue", "red", "azure") and one.right == (0, 2)
    assert one.context == "\nQ: Sky?\n  choice: azure\n  choice: blue\n  choice: red\nA: "
    assert one.source == "\nQ: Sky?" and not one.stated  # the list of the choices is no place to find the answer
    assert two == Question("colours/1", "\nQ: 2+2=\nA: ", ("4",), (0,), "\nQ: 2+2=")
    own = task(
        tmp_path / "own.json", task_prefix="T. ", example_input_prefix="In: ", example_output_prefix=" Out:",
        append_choices_to_input=False, examples=[{"input": "x", "target_scores": {" a": 0.1, " b": 0.7}}],
    )  # fmt: skip
    (only,) = read_questions(own)
    assert (only.id, only.context, only.choices, only.right) == ("own/0", "T. In: x Out:", (" a", " b"), (1,))


@pytest.mark.parametrize(
    "row, message",
    [
        ([], r"line 2 must be an object with `context` and `continuation`, got \[\]"),
        ({"continuation": "x"}, "line 2 needs a field `context` with a string, got None"),
        ({"context": "x", "continuation": 5}, "line 2 needs a field `continuation` with a string, got 5"),
        ({"context": "x", "continuation": ""}, "line 2: field `choices` must be a list of strings that are not empty"),
        ({"context": "x", "continuation": "a", "choices": "ab"}, "line 2: field `choices` must be a list of strings"),
        ({"context": "x", "continuation": "a", "choices": ["b"]}, "line 2: field `continuation` must hold text, one"),
        ({"context": "x", "continuation": "a", "choices": ["a", "a"]}, "line 2: field `choices` holds 'a' more than"),
    ],
)
def test_bad_lines(tmp_path, row, message):
    path = lines(tmp_path / "q.jsonl", {"context": "", "continuation": "x"}, row)
    with pytest.raises(ValueError, match=rf"^continuations: .*q\.jsonl {message}"):
        read_questions(path)


@pytest.mark.parametrize(
    "content, message",
    [
        ([], "needs a field `examples` with a list"),
        ({"examples": {}}, "needs a field `examples` with a list"),
        ({"examples": []}, "holds no questions"),
        ({"examples": [{"target": "x"}]}, "example 0 needs a field `input` with a string"),
        ({"examples": [3]}, "example 0 must be an object with `input` and `target`"),
        ({"examples": [{"input": "x"}]}, "example 0 needs a field `target` with text, or `target_scores`, got None"),
        ({"examples": [{"input": "x", "target": []}]}, "example 0 needs a field `target` with text"),
        ({"examples": [{"input": "x", "target_scores": {}}]}, "example 0: field `target_scores` must be an object"),
        ({"examples": [{"input": "x", "target_scores": {"": 1}}]}, "example 0: field `target_scores` must be an obj"),
        ({"examples": [{"input": "x", "target_scores": {"a": "1"}}]}, "example 0: field `target_scores`, choice 'a'"),
        ({"examples": [], "choice_prefix": 3}, "needs a field `choice_prefix` with a string, got 3"),
        ({"examples": [], "append_choices_to_input": 1}, "field `append_choices_to_input` must be true or false"),
    ],
)
def test_bad_tasks(tmp_path, content, message):
    (tmp_path / "t.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"^continuations: .*t\.json:? {message}"):
        read_questions(tmp_path / "t.json")


@pytest.mark.parametrize(
    "name, data, message",
    [
        ("q.jsonl", b"\n\n", r"q\.jsonl holds no questions"),
        ("q.jsonl", b'{"context": "a"', r"q\.jsonl line 1 is not JSON"),
        ("q.jsonl", b"\xff", r"q\.jsonl line 1 is not UTF-8"),
        ("q.jsonl.gz", b"no gzip", r"q\.jsonl\.gz is broken or cut off"),
        ("t.json", b"{", r"t\.json is not JSON"),
        ("q.csv", b"a,b", r"q\.csv must be \.json \(BIG-bench\) or one of \.jsonl"),
    ],
)
def test_bad_files(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=f"^continuations: .*{message}"):
        read_questions(tmp_path / name)
    with pytest.raises(ValueError, match=r"^continuations: .*none\.jsonl does not exist"):
        read_questions(tmp_path / "none.jsonl")
