"""When does a training count make an n-gram rare? Thresholds scaled to the training text; published conventions.

A threshold in counts means nothing without the size of the text it was counted in: 1,250 occurrences in ten billion
tokens is 0.125 per million, which in two million tokens is "never seen". So the rate is what is stated, and the
count follows from the tokens that the model consumed (repeated epochs count each time).

References
----------
.. [1] Arora et al., "Zoology: Measuring and Improving Recall in Efficient Language Models", ICLR 2024, Section 3.1.
.. [2] Arora et al., "Just Read Twice", 2024, Section 5.2 and Appendix B.4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Convention:
    """A published way to say which tokens are associative-recall hits.

    ``per_million`` is the highest training rate that is still rare, ``inclusive`` whether that rate itself is rare,
    ``scored`` which tokens of a window count ("all" or "last half"), ``training_tokens`` the size of the text the
    published counts came from, and ``ambiguous`` what the source leaves open and this toolkit had to choose.
    """

    name: str
    ngram: int
    per_million: float
    inclusive: bool
    scored: str
    training_tokens: int
    source: str
    ambiguous: tuple[str, ...] = ()


_SHARED_DOUBTS = (
    "whether an n-gram across a document border counts (here: never)",
    "whether an occurrence may overlap the earlier one, as in 'a a a' (here: yes)",
)

ZOOLOGY = Convention(
    name="zoology",
    ngram=2,
    per_million=0.125,  # at most 1,250 occurrences in 10 B training tokens
    inclusive=True,
    scored="all",
    training_tokens=10_000_000_000,
    source="Zoology (ICLR 2024), Section 3.1",
    ambiguous=(
        "'at most 1,250' or 'fewer than 1,250' (here: at most)",
        "whether the counts cover the text consumed in training or a sample of it (here: consumed)",
        "whether context means the packed window or the document (here: the part of the document in the window)",
        *_SHARED_DOUBTS,
    ),
)

JRT = Convention(
    name="jrt",
    ngram=2,
    per_million=1000 / 20_480,  # fewer than 1,000 in 10 M documents of 2,048 tokens
    inclusive=False,
    scored="last half",  # the last 1,024 of 2,048: the first half is read non-causally by one of the models
    training_tokens=20_480_000_000,
    source="Just Read Twice (2024), Section 5.2 and Appendix B.4",
    ambiguous=(
        "the threshold of the headline slice; 'fewer than 1,000' is stated for the distance panel (here: used for all)",
        "the frequency panel keeps only hits at least 1,024 tokens apart (here: a panel, not part of the convention)",
        *_SHARED_DOUBTS,
    ),
)

CONVENTIONS = {convention.name: convention for convention in (ZOOLOGY, JRT)}


def threshold_count(per_million: float, training_tokens: int, inclusive: bool = True) -> int:
    """Largest training count that is still rare.

    Parameters
    ----------
    per_million : float
        Occurrences per million training tokens, at least 0.
    training_tokens : int
        Tokens the model consumed, at least 1.
    inclusive : bool
        True: rare means ``count <= per_million * training_tokens / 1e6``; False: strictly less.

    Returns
    -------
    int
        ``c`` such that rare means ``count <= c``; -1 if nothing is rare (a strict threshold of zero).
    """
    if not (math.isfinite(per_million) and per_million >= 0):
        raise ValueError(f"per_million must be a finite number >= 0, got {per_million!r}")
    if training_tokens < 1:
        raise ValueError(f"training_tokens must be at least 1, got {training_tokens!r}")
    exact = Fraction(repr(float(per_million))) * int(training_tokens) / 10**6  # 0.1 means one tenth, not its double
    return math.floor(exact) if inclusive else math.ceil(exact) - 1
