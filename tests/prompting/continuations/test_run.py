"""Answers scored, tagged, attributed and chosen, against the same one at a time from first principles."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
import typer
from recallscope.bounds.demand import demand
from recallscope.prompting.continuations import Question, read_questions, slice_continuations
from recallscope.prompting.continuations.command import continuations_command
from recallscope.slicing.attribution import attribute
from recallscope.slicing.scoring import Windowing
from recallscope.slicing.settings import SliceSettings
from recallscope.text import Document
from typer.testing import CliRunner

NAMES = "red blue green small house river stone bird cloud night".split()


def keyed(ids: np.ndarray) -> np.ndarray:
    """A made-up causal model: the loss of a token depends on the exact sequence of all tokens before it."""
    losses = np.zeros((ids.shape[0], ids.shape[1] - 1), dtype=np.float32)
    for row in range(ids.shape[0]):
        state = 0
        for t in range(ids.shape[1] - 1):
            state = (state * 31 + int(ids[row, t]) + 7) % 10_007
            losses[row, t] = (state * 13 + int(ids[row, t + 1])) % 1_000 / 100
    return losses


def flat(ids: np.ndarray) -> np.ndarray:
    return np.full((ids.shape[0], ids.shape[1] - 1), 2.0, dtype=np.float32)


def questions(count: int = 12) -> list[Question]:
    """Some state the answer, some do not; some have four choices, some three, some none; one context is empty."""
    rng, made = np.random.default_rng(3), []
    for at in range(count):
        words = rng.permutation(NAMES).tolist()
        choices = [f" {word}" + " again" * (k % 2) for k, word in enumerate(words[: (1, 3, 4)[at % 3]])]
        right = int(rng.integers(len(choices)))
        filler = " ".join(rng.choice(words, 5 + 3 * at))
        context = "" if at == 0 else f"{filler} and then" + " \n"[: at % 3]
        made.append(Question(f"q{at}", context, tuple(choices), (right,), context))
    return made


def tokens_of(bundled, question: Question, choice: int) -> tuple[list[int], int]:
    """The rule of lm-evaluation-harness, for one pair: its `_encode_pair` without special tokens."""
    context, continuation = question.context, question.choices[choice]
    spaces = len(context) - len(context.rstrip())
    if spaces:
        continuation, context = context[-spaces:] + continuation, context[:-spaces]
    (whole,), (start,) = bundled.encode([context + continuation]), bundled.encode([context])
    return [*start.tolist(), *whole.tolist()[len(start) :]], len(start)


def losses_alone(bundled, question: Question, choice: int, window: int) -> np.ndarray:
    """Losses of the answer's tokens: the last `window` tokens before them are read, a BOS if there is room for all."""
    tokens, given = tokens_of(bundled, question, choice)
    read = [bundled.bos, *tokens][-(window + 1) :] if len(tokens) <= window else tokens[-(window + 1) :]
    return keyed(np.array(read)[None])[0][-(len(tokens) - given) :]


RULE = SliceSettings(Windowing(16, 16), shard_tokens=60)


def run(bundled, out=None, given=None, settings=RULE, models=(flat, keyed), **more: Any):
    return slice_continuations(
        list(models), questions() if given is None else given, out, tokenizer=bundled, settings=settings,
        show_progress=False, **more,
    )  # fmt: skip


TRAINING = [Document(str(k), " ".join(NAMES[k:] + NAMES[:k])) for k in range(5)]


@pytest.fixture(scope="module")
def finished(bundled, tmp_path_factory):
    """A run's folder, its records and its accuracies."""
    out = tmp_path_factory.mktemp("run") / "out"
    return out, *run(bundled, out, training_text=TRAINING)


def test_records_from_first_principles(bundled, finished):
    _, records, _ = finished
    counted: dict[tuple[int, int], int] = {}
    for line in bundled.encode([one.text for one in TRAINING]):
        for pair in zip(line.tolist()[:-1], line.tolist()[1:], strict=True):
            counted[pair] = counted.get(pair, 0) + 1
    rows = iter(records.table().to_pylist())
    cut = 0
    for number, question in enumerate(questions()):
        tokens, given = tokens_of(bundled, question, question.right[0])
        losses = losses_alone(bundled, question, question.right[0], 16)
        for i in range(given, len(tokens)):
            row = next(rows)
            assert (row["document"], row["position"], row["token"]) == (number, i, tokens[i])
            begin = max(len(tokens) - 17, 0) if len(tokens) > 16 else 0
            assert row["context"] == i - begin
            earlier = [j for j in range(1, i) if tokens[j - 1 : j + 1] == tokens[i - 1 : i + 1]]
            assert row["distance_2"] == (i - earlier[-1] if earlier else 0)
            assert row["count"] == (counted.get((tokens[i - 1], tokens[i]), 0) if i else 0)
            assert row["loss_keyed"] == losses[i - given] and row["loss_flat"] == 2
            cut += begin > 0
    assert next(rows, None) is None and cut > 5


def test_the_gap_is_that_of_the_answers_alone(bundled, finished):
    found = attribute(finished[0] / "atoms.parquet")
    losses = np.concatenate([losses_alone(bundled, q, q.right[0], 16) for q in questions()])
    assert found.gap.value == pytest.approx(float(losses.astype(np.float64).mean()) - 2, rel=1e-9)
    assert sum(row["contribution"] for row in found.table.to_pylist()) == pytest.approx(found.gap.value, rel=1e-9)


def test_no_memory_is_asked_about_answers_alone(finished):
    with pytest.raises(ValueError, match="records: one row for each token is needed, got answers alone"):
        demand(finished[0])


def test_accuracy_from_first_principles(bundled, finished):
    _, _, table = finished
    credit: dict[tuple[str, str | None], list[float]] = {}
    for question in (q for q in questions() if len(q.choices) > 1):
        sums = [losses_alone(bundled, question, k, 16).astype(np.float64).sum() for k in range(len(question.choices))]
        each = [s / len(choice) for s, choice in zip(sums, question.choices, strict=True)]
        place = "in context" if f" {question.choices[question.right[0]].strip()} " in f" {question.context} " else "not"
        for metric, numbers in (("accuracy", sums), ("accuracy per character", each)):
            for key in (None, place):
                credit.setdefault((metric, key), []).append(float(np.argmin(numbers) == question.right[0]))
    rows = {(r["metric"], r["answer"]): r for r in table.to_pylist() if r["subject"] == "keyed"}
    assert len(rows) == 6
    for (metric, place), found in credit.items():
        row = rows[metric, "not in context" if place == "not" else place]
        assert row["value"] == pytest.approx(np.mean(found)) and row["n"] == row["questions"] == len(found)
    assert 0 < rows["accuracy", None]["value"] < 1
    assert rows["accuracy", None]["chance"] == pytest.approx(np.mean([1 / 3, 1 / 4] * 4))
    same = {(r["metric"], r["answer"]): r for r in table.to_pylist() if r["subject"] == "flat"}
    assert same["accuracy", None]["value"] < 1  # equal losses per token: shorter answers win, ties share the credit


def test_ties_share_the_credit_and_several_may_be_right(bundled):
    asked = [Question("q", "one two", (" red", " blue", " green", " bird"), (0, 2), "one two")]
    _, table = run(bundled, given=asked)
    assert table is not None
    (row,) = [r for r in table.to_pylist() if (r["subject"], r["metric"], r["answer"]) == ("flat", "accuracy", None)]
    lengths = [len(tokens_of(bundled, asked[0], k)[0]) for k in range(4)]
    least = [k for k in range(4) if lengths[k] == min(lengths)]
    assert row["value"] == pytest.approx(len({0, 2} & set(least)) / len(least)) and row["chance"] == 0.5


def test_an_interrupted_run_goes_on_and_a_finished_one_is_read(bundled, tmp_path, finished):
    whole, calls = finished[2], []

    def cut(ids: np.ndarray) -> np.ndarray:
        calls.append(len(ids))
        if len(calls) == 5:
            raise KeyboardInterrupt
        return keyed(ids)

    cut.__name__ = "keyed"
    with pytest.raises(KeyboardInterrupt):
        run(bundled, tmp_path / "cut", models=(flat, cut), training_text=TRAINING)
    _, again = run(bundled, tmp_path / "cut", models=(flat, cut), training_text=TRAINING)
    assert whole.equals(again)
    before = len(calls)
    _, read = run(bundled, tmp_path / "cut", models=(flat, cut), training_text=TRAINING)
    assert whole.equals(read) and len(calls) == before


def test_the_page_shows_the_context_without_losses(bundled, finished):
    page = (finished[0] / "report.html").read_text()
    found = re.search(r'<script[^>]*id="tokens-json"[^>]*>(.*?)</script>', page, re.S)
    assert found
    shown = {one["id"]: one for one in json.loads(found[1])["documents"]}
    question = questions()[5]
    tokens, given = tokens_of(bundled, question, question.right[0])
    view = shown["q5"]
    assert "".join(view["pieces"]) == question.document(question.right[0]).text and len(tokens) == len(view["pieces"])
    assert view["losses"][0][:given] == [None] * given and view["slice"][:given] == [-1] * given
    assert None not in view["losses"][0][given:] and min(view["slice"][given:]) >= 0


def test_questions_without_choices_and_a_limit(bundled, tmp_path):
    records, table = run(bundled, given=[q for q in questions() if len(q.choices) == 1])
    assert table is None and len(set(records.table()["document"].to_pylist())) == 4
    records, _ = run(bundled, settings=SliceSettings(Windowing(16, 16), limit=2))
    assert set(records.table()["document"].to_pylist()) == {0, 1}


def test_a_border_elsewhere_in_the_same_text_is_another_run(bundled, tmp_path):
    run(bundled, tmp_path / "out", given=[Question("q", "red blue", (" green",), (0,), "")])
    with pytest.raises(ValueError, match=r"holds a different run \(differs in text\)"):
        run(bundled, tmp_path / "out", given=[Question("q", "red", (" blue green",), (0,), "")])


def test_bad_input(bundled, tmp_path):
    with pytest.raises(ValueError, match=r"^bos: a question without context needs a beginning-of-text token, got"):
        run(bundled, settings=SliceSettings(Windowing(16, 16, "none")))
    with pytest.raises(ValueError, match=r"^models: at least two"):
        run(bundled, models=(flat,))
    with pytest.raises(ValueError, match=r"^text: at least one document"):
        run(bundled, given=[])
    with pytest.raises(ValueError, match=r"^text: what follows the context of document 'q' adds no token to it"):
        run(bundled, given=[Question("q", "red", ("",), (0,), "")])


def test_the_command(bundled, tmp_path):
    path = tmp_path / "q.jsonl"
    rows = [
        {"id": q.id, "context": q.context, "continuation": q.choices[q.right[0]], "choices": list(q.choices)}
        for q in questions()
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    assert [(q.choices, q.right) for q in read_questions(path)] == [(q.choices, q.right) for q in questions()]
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command("continuations")(continuations_command)
    arguments = ["attention", "hyena", "--file", str(path), "--out", str(tmp_path / "run"), "--json"]
    found = CliRunner().invoke(app, arguments)
    assert found.exit_code == 0, found.output
    *lines, last = found.stdout.splitlines()
    report = json.loads(last)
    assert lines[0].startswith("hyena against attention: gap ")
    assert "attention, answer not in context" in found.stdout
    assert report["totals"]["documents"] == 12 and len(report["accuracies"]) == 12
    assert (tmp_path / "run" / "report.html").is_file()
