"""In-context language learning: n-grams that see the prompt alone, measured for `evidence/in_context_language.jsonl`.

    python paper_figures/in_context_language_rows.py

Its published rows stay: they were read from the authors' plots.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recallscope.evidence import evidence, read_evidence, write_evidence
from recallscope.tasks import InContextLanguage
from recallscope.tasks.distribution_metrics import score_distributions
from recallscope.tasks.in_context_ngrams import ngram_probabilities
from recallscope.training.sweeps.rows import task_columns

FILE = Path(__file__).parent / "evidence" / "in_context_language.jsonl"


def measured(prompts: int = 1600, seed: int = 0) -> list[dict[str, Any]]:
    """2- to 4-grams, on all positions and on the first 100; the intervals are 1.96 standard errors over prompts."""
    task, rows = InContextLanguage(), []
    examples = task.sample(prompts, seed)
    assert examples.reference is not None
    source = {"n": prompts, "kind": "measured", "source": "python paper_figures/in_context_language_rows.py"}
    for order in (2, 3, 4):
        predicted = ngram_probabilities(examples.inputs, order, task.vocabulary - 2)
        for first in (None, 100):
            scores = score_distributions(predicted, examples.reference, first)
            for metric, (value, error) in (("accuracy", scores.accuracy), ("total variation", scores.total_variation)):
                span = {"value": value, "low": value - 1.96 * error, "high": value + 1.96 * error}
                row = {"subject": f"{order}-gram", "metric": metric, "unit": "1", "first": first, "seed": seed}
                rows.append(row | {name: round(x, 6) for name, x in span.items()} | source | task_columns(task))
    return rows


if __name__ == "__main__":
    published = [row for row in read_evidence(FILE).to_pylist() if row["kind"] == "published"]
    write_evidence(evidence(measured() + published), FILE)
