"""A small sweep by hand, as rows of evidence and learning curves; and how its figures are looked into."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from recallscope.evidence import evidence

EVIDENCE = Path(__file__).parents[1] / "paper_figures" / "evidence"

# subject: mixer, width, layers, state elements after 32 and after 64 tokens
SUBJECTS = {
    "gla:heads=1,chunk=8": ("gla", 64, 2, 4096, 4096),
    "gla:heads=4,chunk=8": ("gla", 64, 2, 1024, 1024),
    "gla:width=32,heads=1,chunk=8": ("gla", 32, 2, 2048, 2048),
    "attention:heads=1": ("attention", 64, 2, 4096, 8192),
    "attention:layers=1,heads=1": ("attention", 64, 1, 4000, 8000),
}
# accuracy [seed 0, seed 1] at rates 0.001 and 0.01, on the test of 4 pairs; that of 8 pairs has half of it
SCORES = {
    "gla:heads=1,chunk=8": {0.001: (0.2, 0.4), 0.01: (0.5, 0.9)},
    "gla:heads=4,chunk=8": {0.001: (0.3, 0.2), 0.01: (0.1, 0.0)},
    "gla:width=32,heads=1,chunk=8": {0.001: (0.1, 0.1), 0.01: (0.6, 0.4)},
    "attention:heads=1": {0.001: (0.8, 1.0), 0.01: (0.9, 0.7)},
    "attention:layers=1,heads=1": {0.001: (0.02, 0.04), 0.01: (0.06, 0.04)},
}
# (32 · 31 · 30 · 29) and (32 · ... · 25) ordered choices of values
DEMAND = {4: math.log2(math.perm(32, 4)), 8: math.log2(math.perm(32, 8))}


def rows(subjects=SUBJECTS, scores=SCORES, **changes: Any) -> list[dict[str, Any]]:
    made = []
    for subject in subjects:
        mixer, width, layers, *states = SUBJECTS.get(subject, ("gla", 64, 2, 4096, 4096))
        for rate, by_seed in scores[subject].items():
            for seed, accuracy in enumerate(by_seed):
                for (length, pairs, share), state in zip(((32, 4, 1.0), (64, 8, 0.5)), states, strict=True):
                    made.append({
                        "subject": subject, "metric": "accuracy", "value": accuracy * share, "unit": "1", "n": 100,
                        "kind": "measured", "sweep": "hand", "mixer": mixer, "width": width, "layers": layers,
                        "parameters": 1000, "can_bind": layers > 1, "state_elements": state,
                        "state_elements_longest": states[1], "rate": rate, "seed": seed, "validation": accuracy * 0.75,
                        "task": "MQAR", "vocabulary": 64, "length": length, "pairs": pairs, "chance": 1 / pairs,
                        "demand_bits": DEMAND[pairs], **changes,
                    })  # fmt: skip
    return made


TABLE = evidence(rows())
CURVES = [
    {
        "subject": "attention:heads=1",
        "rate": 0.001,
        "seed": 0,
        "curve": [[10, 3.0, 0.2], [20, 2.0, 0.4], [30, 1.0, 0.6]],
    },
    {"subject": "attention:heads=1", "rate": 0.001, "seed": 1, "curve": [[10, 3.0, 0.4], [20, 2.0, 1.0]]},
    {"subject": "attention:heads=1", "rate": 0.01, "seed": 0, "curve": [[10, None, None]]},
    {"subject": "gla:heads=1,chunk=8", "rate": 0.01, "seed": 0, "curve": [[10, 3.0, 0.1]]},
]


def named(figure: Any, name: str) -> Any:
    (trace,) = (trace for trace in figure.data if trace.name == name and trace.showlegend is not False)
    return trace


def names(figure: Any) -> list[str]:
    return [trace.name for trace in figure.data]
