"""`slice_continuations`: the slicing of answers to questions, and which of several choices each model takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from recallscope.prompting.continuations.accuracy import accuracies, losses_by_document
from recallscope.prompting.continuations.questions import Question, read_questions
from recallscope.slicing.records import Records
from recallscope.slicing.run import slice_text
from recallscope.slicing.settings import SliceSettings
from recallscope.slicing.sources import ModelLike, TextLike
from recallscope.slicing.tagging import Counts
from recallscope.text import Tokenizer

CHOICES = "choices"


def slice_continuations(
    models: Sequence[ModelLike],
    continuations: str | Path | Sequence[Question],
    out: str | Path | None = None,
    *,
    tokenizer: str | Path | Tokenizer | None = None,
    counts: str | Path | Counts | None = None,
    training_text: TextLike | None = None,
    settings: SliceSettings | None = None,
    device: str = "cpu",
    batch_tokens: int = 8192,
    show_progress: bool | None = None,
    log: Callable[[str], None] | None = None,
) -> tuple[Records, pa.Table | None]:
    """Score the right answers of questions as `slice_text` scores text, and wrong ones to see which a model takes.

    An answer's tokens are those of context and answer tokenised together, after as many as the context has by itself;
    white space at the end of the context counts with the answer. These tokens alone are scored, tagged by what stands
    before them (repeat, distance, opportunity), counted in the training text, and attributed. A context that is too
    long for the window loses its beginning.

    Parameters
    ----------
    continuations : path or sequence of Question
        See `read_questions`.
    out : path, optional
        Folder of the run on the right answers, as of `slice_text`; the wrong ones are a run of their own in its folder
        `choices`. Either goes on where it was interrupted.
    models, tokenizer, counts, training_text, settings, device, batch_tokens, show_progress, log
        As of `slice_text`; `settings.limit` counts questions. The models need one tokenizer.

    Returns
    -------
    (Records, pyarrow.Table or None)
        The records of the right answers; a table of evidence (`accuracy.accuracies`), None if no question has choices.
    """
    settings = settings or SliceSettings()
    if isinstance(continuations, (str, Path)):
        continuations = read_questions(continuations)
    questions = list(continuations)[: settings.limit]
    if settings.windowing.bos == "none" and any(not question.context.strip() for question in questions):
        raise ValueError("bos: a question without context needs a beginning-of-text token, got bos='none'")
    settings = replace(settings, limit=None)
    right = [question.document(question.right[0]) for question in questions]
    wrong = [
        question.document(at)
        for question in questions
        for at in range(len(question.choices))
        if at != question.right[0]
    ]

    def sliced(documents: Sequence, folder: Path | None) -> Records:
        return slice_text(
            models, documents, folder, tokenizer=tokenizer, counts=counts, training_text=training_text,
            settings=settings, device=device, batch_tokens=batch_tokens, show_progress=show_progress, log=log,
        )  # fmt: skip

    records = sliced(right, Path(out) if out is not None else None)
    if not wrong:
        return records, None
    others = sliced(wrong, Path(out) / CHOICES if out is not None else None)
    return records, accuracies(
        questions, losses_by_document(records, len(right)), losses_by_document(others, len(wrong))
    )
