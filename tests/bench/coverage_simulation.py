"""How often do the intervals of the share cover the true share? A simulation, not a test.

Corpora of K documents with log-normal lengths (heavy tail), a rate of AR tokens that varies by document, and effects of
each document on both slices' mean differences. The true share is 10/13 = 0.769. Prints a table (coverage at a nominal
95 %; an unbounded interval covers, so "fieller" is conservative where the gap is weak; "covered if bounded"
is the coverage among the corpora that report a share) and as the last line one JSON object.

    python tests/bench/coverage_simulation.py --corpora 1500
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "analysis"))

from recallscope.slicing.attribution.statistics import Interval, bootstrap, delta_method, fieller, jackknife

TRUE_SHARE = 10 / 13
AR_RATE = 0.07  # share of tokens in the AR slice
CASES = tuple((gap, documents) for gap in (0.05, 0.02) for documents in (20, 60, 200))
METHODS = ("fieller", "jackknife", "delta", "bootstrap", "gap fieller", "gap delta")

Floats = NDArray[np.float64]


def corpus(rng: np.random.Generator, documents: int, gap: float, tail: float = 0.8) -> tuple[Floats, Floats, Floats]:
    """Per-document sums (U over AR tokens, D over all, n tokens) of one corpus with the given gap per token.

    Token differences have standard deviations 1.5 (AR) and 0.6 nats; a document shifts the mean of its AR tokens by 0.4
    and of the others by 0.05 nats (standard deviations), independently of its length and its AR rate. `tail` is the
    standard deviation of the log length (median 545 tokens; at 0.8 one document in a hundred is 6.4 times longer).
    """
    n = np.ceil(np.exp(rng.normal(6.3, tail, documents)))
    hits = rng.binomial(n.astype(np.int64), rng.beta(3.5, 3.5 * (1 / AR_RATE - 1), documents)).astype(np.float64)
    mean_ar, mean_other = TRUE_SHARE * gap / AR_RATE, (1 - TRUE_SHARE) * gap / (1 - AR_RATE)
    u = _document_sums(rng, hits, mean_ar, effect=0.4, noise=1.5)
    return u, u + _document_sums(rng, n - hits, mean_other, effect=0.05, noise=0.6), n


def _document_sums(rng: np.random.Generator, tokens: Floats, mean: float, effect: float, noise: float) -> Floats:
    """Sums of `tokens` normal differences around a document's own mean."""
    own = mean + effect * rng.standard_normal(tokens.size)
    return tokens * own + noise * np.sqrt(tokens) * rng.standard_normal(tokens.size)


def covers(interval: Interval, truth: float) -> bool:
    """Whether the truth lies in the interval; an unbounded one counts as covering."""
    return interval.low is None or interval.high is None or interval.low <= truth <= interval.high


def simulate(
    gap: float, documents: int, corpora: int, seed: int, draws: int = 400, tail: float = 0.8
) -> dict[str, float]:
    """Coverage of each method, share of corpora where Fieller is unbounded, and coverage among the bounded ones."""
    rng = np.random.default_rng([seed, documents, round(gap * 1000)])
    hits = {name: 0 for name in METHODS}
    bounded = bounded_hits = gap_unbounded = 0
    for index in range(corpora):
        u, d, n = corpus(rng, documents, gap, tail)
        found = {
            "fieller": fieller(u, d),
            "jackknife": jackknife(u, d),
            "delta": delta_method(u, d),
            "gap fieller": fieller(d, n),
            "gap delta": delta_method(d, n),
        }
        if draws:
            found["bootstrap"] = bootstrap(u, d, draws=draws, seed=index)
        for name, interval in found.items():
            hits[name] += covers(interval, gap if name.startswith("gap") else TRUE_SHARE)
        share = found["fieller"]
        bounded += share.bounded
        bounded_hits += share.bounded and covers(share, TRUE_SHARE)
        gap_unbounded += not found["gap fieller"].bounded
    return {
        "gap": gap,
        "documents": documents,
        "corpora": corpora,
        **{name: hits[name] / corpora for name in METHODS if name != "bootstrap" or draws},
        "unbounded": 1 - bounded / corpora,
        "covered if bounded": bounded_hits / max(bounded, 1),
        "gap unbounded": gap_unbounded / corpora,
    }


def main() -> None:
    """Run all cases, print the table, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=int, default=1500)
    parser.add_argument("--draws", type=int, default=400, help="bootstrap draws per corpus; 0 leaves the bootstrap out")
    parser.add_argument("--tail", type=float, default=0.8, help="standard deviation of the documents' log lengths")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rows = [simulate(gap, k, arguments.corpora, arguments.seed, arguments.draws, arguments.tail) for gap, k in CASES]
    names = list(rows[0])
    print("  ".join(names))
    for row in rows:
        print("  ".join(f"{row[name]:>{len(name)}.4g}" for name in names))
    print(
        json.dumps(
            {"true_share": TRUE_SHARE, "level": 0.95, "seed": arguments.seed, "tail": arguments.tail, "cases": rows}
        )
    )


if __name__ == "__main__":
    main()
