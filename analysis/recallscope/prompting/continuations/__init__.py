"""Questions whose answers continue a context: read from files, scored, tagged, and right or wrong among choices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recallscope.lazy import lazily

if TYPE_CHECKING:
    from recallscope.prompting.continuations.questions import Question as Question
    from recallscope.prompting.continuations.questions import read_questions as read_questions
    from recallscope.prompting.continuations.run import slice_continuations as slice_continuations

_WHERE = {
    "Question": "recallscope.prompting.continuations.questions",
    "read_questions": "recallscope.prompting.continuations.questions",
    "slice_continuations": "recallscope.prompting.continuations.run",
}

__getattr__, __dir__ = lazily(__name__, _WHERE)
