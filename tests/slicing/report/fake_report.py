"""Plausible report and token views made from a seed, for the tests of figures and page; no model is involved."""

from __future__ import annotations

from typing import Any

import numpy as np

# Text that tries to end the element, comment, attribute, string or template that holds it.
HOSTILE = (
    "</script><script>window.pwned=1</script><!--<img src=x onerror=window.pwned=1>\u2028\u2029&amp;${style}\\u003c'\""
)
RECALL = ("AR hit", "repeat, frequent", "new, rare", "new, frequent")
WORDS = (
    "the state of a recurrent model is finite so what it keeps must be chosen before the question is known "
    "attention keeps every key and value and recall is a lookup Kowalczyk Ostrava b'\\x00' naïve 漢字 →"
).split()


def _slice(name: str, share: float, difference: float, total: int, gap: float, significant: bool) -> dict[str, Any]:
    contribution = share * difference
    half = 0.15 * abs(contribution) + 0.0015
    ratio = contribution / gap if significant else None
    return {
        "slice": name,
        "tokens": round(share * total),
        "token_share": share,
        "loss_reference": 2.9 - difference,
        "loss_model": 2.9,
        "difference": difference,
        "contribution": contribution,
        "contribution_low": contribution - half,
        "contribution_high": contribution + half,
        "share": ratio,
        "share_low": None if ratio is None else ratio - 0.09,
        "share_high": None if ratio is None else ratio + 0.11,
    }


def _comparison(model: str, seed: int, total: int, strength: float, significant: bool = True) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    shares = np.array([0.071, 0.343, 0.286, 0.300])
    differences = np.array([0.72, 0.11, 0.09, -0.012]) * strength
    gap = float(shares @ differences)
    args = (total, gap, significant)
    bins = 2 ** np.arange(11)
    weights = rng.dirichlet(np.full(11, 8.0)) * 0.414
    lags = [
        _slice(str(b), w, strength * 0.06 * (1 + k) ** 0.9, *args)
        for k, (b, w) in enumerate(zip(bins, weights, strict=True))
    ]
    counts = [
        _slice(str(c), 1 / 18, strength * 0.4 / (1 + 0.4 * k), *args) for k, c in enumerate([0, *2 ** np.arange(17)])
    ]
    taus = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
    curve = []
    for k, tau in enumerate(taus):
        share = 0.36 + 0.045 * k
        curve.append(
            {
                "count": tau,
                "per_million": tau / 20,
                "token_share": 0.02 + 0.02 * k,
                "difference": 0.9 - 0.05 * k,
                "contribution": (0.02 + 0.02 * k) * (0.9 - 0.05 * k),
                "share": share if significant else None,
                "share_low": share - 0.08 if significant else None,
                "share_high": share + 0.1 if significant else None,
            }
        )
    return {
        "model": model,
        "reference": "attention",
        "gap": {"value": gap, "low": gap - 0.02, "high": gap + 0.02, "significant": significant},
        "partitions": {
            "recall": [
                _slice(n, float(f), float(d), *args) for n, f, d in zip(RECALL, shares, differences, strict=True)
            ],
            "distance": [_slice("new", 0.586, 0.03 * strength, *args), *lags],
            "count": counts,
            "position": [_slice(f"quarter {q + 1}", 0.25, gap * (0.6 + 0.27 * q), *args) for q in range(4)],
            "opportunity": [
                _slice("none", 0.31, 0.05 * strength, *args),
                _slice("hit, most recent", 0.25, 0.33 * strength, *args),
                _slice("hit, older", 0.12, 0.17 * strength, *args),
                _slice("miss", 0.32, -0.02 * strength, *args),
            ],
        },
        "curve": curve,
        "interaction": {"value": 0.51 * strength, "low": 0.38 * strength, "high": 0.64 * strength},
        "shapley": [
            {
                "slice": n,
                "contribution": gap * p,
                "share": p,
                "share_low": p - 0.1,
                "share_high": p + 0.1,
                "inclusive": gap * q,
            }
            for n, p, q in (("repeat", 0.42, 0.65), ("rare", 0.33, 0.58), ("distance ≥ 256", 0.2, 0.31))
        ],
        "notes": [] if significant else [f"No share is given for {model}: its gap is not significant at 95 %."],
    }


def fake_report(total: int = 1_204_331, models: tuple[str, ...] = ("attention", "based", "mamba")) -> dict[str, Any]:
    """A report of the three models; the last of more than two has a gap that is not significant."""
    strengths = [1.3, 0.12, 0.9, 0.7][: len(models) - 1]
    comparisons = [
        _comparison(model, k, total, s, significant=k != 1)
        for k, (model, s) in enumerate(zip(models[1:], strengths, strict=True))
    ]
    losses = {models[0]: 2.9134} | {c["model"]: 2.9134 + c["gap"]["value"] for c in comparisons}
    return {
        "format": "recallscope-report-1",
        "reference": models[0],
        "models": list(models),
        "settings": {
            "text": "Python enhancement proposals, odd documents",
            "tokenizer": "sha256:6f1c0e6e8a41b2f9",
            "window": 1024,
            "stride": 512,
            "bos": "each-window",
            "ngram": 2,
            "threshold": {"count": 2, "per_million": 0.125},
            "training_tokens": 20_000_000,
            "training_source": "Python enhancement proposals, even documents",
            "versions": {"recallscope": "0.1.0", "torch": "2.13.0"},
        },
        "totals": {"tokens": total, "documents": 321, "losses": losses},
        "comparisons": comparisons,
        "notes": ["Intervals are over documents, for these checkpoints; they do not cover the seed of training."],
    }


def fake_view(
    name: str, tokens: int, models: tuple[str, ...] = ("attention", "based", "mamba"), seed: int = 0
) -> dict[str, Any]:
    """A document of the token view with spaces, line ends, long words and true bigram distances."""
    rng = np.random.default_rng(seed)
    ids = rng.choice(len(WORDS), size=tokens, p=rng.dirichlet(np.full(len(WORDS), 0.5)))
    rare = rng.random(tokens) < 0.05
    pieces = [
        ("" if k == 0 else " ") + WORDS[w] + (f"-{rng.integers(99)}" if r else "")
        for k, (w, r) in enumerate(zip(ids, rare, strict=True))
    ]
    for k in np.flatnonzero(rng.random(tokens) < 0.04):
        pieces[k] = ("\n", "\n\n", ".\n", "\t")[int(rng.integers(4))]
    distance = _distances(pieces)
    count = [None if rng.random() < 0.02 else int(c) for c in rng.geometric(0.002, tokens) - 1]
    slices = [_slice_index(d, c) for d, c in zip(distance, count, strict=True)]
    base = rng.gamma(2.0, 1.2, tokens)
    losses: dict[str, list[float | None]] = {}
    for k, model in enumerate(models):
        shift = np.where(np.array(slices) == 0, 1.1 * k, 0.0) + rng.normal(0, 0.35, tokens) * (k > 0)
        losses[model] = [None, *np.maximum(base + shift, 0.001)[1:].tolist()]
    return {"id": name, "text_pieces": pieces, "losses": losses, "distance": distance, "slice": slices, "count": count}


def _distances(pieces: list[str]) -> list[int]:
    last: dict[tuple[str, str], int] = {}
    result = [0]
    for k in range(1, len(pieces)):
        key = (pieces[k - 1], pieces[k])
        result.append(k - last[key] if key in last else 0)
        last[key] = k
    return result


def _slice_index(distance: int, count: int | None) -> int:
    rare = count is not None and count <= 60
    return (0 if rare else 1) if distance else (2 if rare else 3)


def hostile() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A report and one view with hostile text wherever text may stand."""
    models = ("attention" + HOSTILE, "based" + HOSTILE)
    report = fake_report(models=models)
    report["comparisons"][0]["reference"] = models[0]
    report["comparisons"][0]["partitions"]["recall"][2]["slice"] += HOSTILE
    report["comparisons"][0]["notes"].append(HOSTILE)
    report["settings"] |= {"text": HOSTILE, "versions": {HOSTILE: HOSTILE}}
    view = fake_view(HOSTILE, 60, models)
    view["text_pieces"][5:9] = [HOSTILE, "\x00\x1b\u202e\ud800", "<b onclick=window.pwned=1>", "\r\n"]
    return report, [view]
