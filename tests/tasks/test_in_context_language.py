"""In-context language learning against plain automata walkers, and its n-gram rows against plain counts."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache
from itertools import combinations, permutations, product
from math import factorial, log, log2, sqrt

import pytest
import torch
from recallscope.tasks._source import Source
from recallscope.tasks.automata import automaton_bits, draw_automata
from recallscope.tasks.distribution_metrics import kl_divergence, legal, score_distributions, total_variation
from recallscope.tasks.in_context_language import InContextLanguage
from recallscope.tasks.in_context_ngrams import ngram_probabilities
from recallscope.tasks.task import NO_ANSWER
from scipy.stats import chisquare

DEFAULT = InContextLanguage()
SMALL = InContextLanguage(
    vocabulary=7, length=40, states=(3, 5), alphabet=(2, 5), out_degree=(1, 2), strings=(1, 4), string_length=(1, 6)
)
FIXED = InContextLanguage(
    vocabulary=10, length=17, states=(6, 6), alphabet=(8, 8), out_degree=(4, 5), strings=(3, 3), string_length=(5, 5)
)
TINY = InContextLanguage(
    vocabulary=3, length=1, states=(2, 2), alphabet=(1, 1), out_degree=(1, 1), strings=(1, 1), string_length=(1, 1)
)


def drawn(task, count, seed=0):
    """Prompts and their reference."""
    examples = task.sample(count, seed)
    assert examples.reference is not None
    return examples.inputs, examples.reference


def automata_of(task, count, seed):
    """The automata of `task.sample(count, seed)`, each a list of {letter: target}."""
    source = Source((seed, 0))
    edges = draw_automata(source, count, task.states, task.alphabet, task.out_degree, task.vocabulary - 2)
    for letters, targets, degrees in zip(
        *(part.tolist() for part in (edges.letters, edges.targets, edges.degrees)), strict=True
    ):
        rows = zip(letters, targets, degrees, strict=True)
        yield [dict(zip(letter[:m], target[:m], strict=True)) for letter, target, m in rows if m]


def automata(count, seed=0, states=(4, 12), alphabet=(4, 18), out_degree=(1, 3), vocabulary=20):
    return automata_of(InContextLanguage(vocabulary, 949, states, alphabet, out_degree), count, seed)


# --- the automata


def test_automata_follow_their_definition():
    for rows in automata(1500):
        assert 4 <= len(rows) <= 12
        for state, row in enumerate(rows):
            assert 1 <= len(row) <= 3 and state not in row.values() and len(set(row.values())) == len(row)
            assert all(0 <= target < len(rows) for target in row.values()) and all(0 <= a < 18 for a in row)
    used = Counter(len({a for row in rows for a in row}) for rows in automata(1500, alphabet=(5, 7)))
    assert max(used) == 7


def test_dense_tables_agree_with_the_edges():
    edges = draw_automata(Source((3, 0)), 300, (4, 12), (4, 18), (1, 3), 18)
    dense, probability = edges.transitions(), edges.distributions()
    for example, rows in enumerate(automata(300, seed=3)):
        for state in range(12):
            row = rows[state] if state < len(rows) else {}
            assert {a: t for a, t in enumerate(dense[example, state].tolist()) if t >= 0} == row
            expected = [1 / len(row) if a in row else 0 for a in range(18)]
            assert probability[example, state].tolist() == pytest.approx(expected)


def test_every_choice_is_uniform():
    counts, degrees, first = Counter(), Counter(), Counter()
    for rows in automata(8000, seed=1):
        counts[len(rows)] += 1
        degrees.update(map(len, rows))
        first[min(rows[0])] += len(rows[0]) == 1
    edges = Counter()
    for rows in automata(10_000, seed=2, states=(5, 5), alphabet=(4, 4), vocabulary=6):
        edges.update([tuple(sorted(rows[1].items()))] if len(rows[1]) == 2 else [])
    assert sorted(counts) == list(range(4, 13)) and chisquare(list(counts.values())).pvalue > 1e-3
    assert sorted(degrees) == [1, 2, 3] and chisquare(list(degrees.values())).pvalue > 1e-3
    assert sorted(first) == list(range(18)) and chisquare(list(first.values())).pvalue > 1e-3
    assert len(edges) == 6 * 12 and chisquare(list(edges.values())).pvalue > 1e-3  # C(4, 2) letters, 4 3 targets


def test_all_states_of_an_automaton_share_its_alphabet():
    """Two states with one edge each, c of 1 or 2 letters of 3: the same letter with probability (1 + 1/2) / 2."""
    pairs = [tuple(min(row) for row in rows) for rows in automata(20_000, 4, (2, 2), (1, 2), (1, 1), 5)]
    numbers = Counter(pairs)
    expected = {(a, b): 20_000 * ((0.75 / 3) if a == b else (0.25 / 6)) for a in range(3) for b in range(3)}
    assert chisquare([numbers[key] for key in expected], list(expected.values())).pvalue > 1e-3


def test_walks_take_every_edge_equally_often():
    for degree in (1, 2, 3, 5):
        rows = next(automata(1, 5, (6, 6), (9, 9), (degree, degree)))
        edges = draw_automata(Source((5, 0)), 1, (6, 6), (9, 9), (degree, degree), 18)
        letters, after = edges.walk(Source((6,)), 20_000, 5)
        before = torch.cat([torch.zeros_like(after[:, :, :1]), after[:, :, :-1]], 2)
        seen = Counter(zip(*(part.flatten().tolist() for part in (before, letters, after)), strict=True))
        assert all(rows[state].get(letter) == target for state, letter, target in seen)
        for state, row in enumerate(rows):
            numbers = [seen[state, letter, target] for letter, target in row.items()]
            assert sum(numbers) == 0 or degree == 1 or chisquare(numbers).pvalue > 1e-3


# --- the task


def walked(task, rows, tokens):
    """For one prompt: (answer, next letters) at each token, by a walk on the automaton's rows."""
    separator, padding, state = task.vocabulary - 2, task.vocabulary - 1, 0
    for here, following in zip(tokens, [*tokens[1:], padding], strict=True):
        if here == padding:
            return
        state = 0 if here == separator else rows[state][here]
        yield following if following < separator else NO_ANSWER, set(rows[state])


@pytest.mark.parametrize(("task", "count"), [(DEFAULT, 40), (SMALL, 2000), (FIXED, 500), (TINY, 3)])
def test_answers_and_references_are_those_of_a_walk(task, count):
    examples = task.sample(count, seed=7)
    assert examples.inputs.shape == examples.positions.shape == examples.answers.shape == (count, task.length)
    assert examples.inputs.dtype == torch.int16 and examples.reference.shape == (count, task.length, task.vocabulary)
    slots, labels, legal_letters, shares = [], [], [], []
    prompts = zip(automata_of(task, count, 7), examples.inputs.tolist(), strict=True)
    for example, (rows, tokens) in enumerate(prompts):
        steps = list(walked(task, rows, tokens))
        assert len(steps) == sum(token < task.vocabulary - 1 for token in tokens)  # and no token after padding
        for p, (answer, allowed) in enumerate(steps):
            assert answer == NO_ANSWER or answer in allowed
            slots.append((example, p))
            labels.append(answer)
            legal_letters += [(example, p, a) for a in allowed]
            shares += [1 / len(allowed)] * len(allowed)
    row, column = torch.tensor(slots).T
    answers, positions = torch.full((count, task.length), NO_ANSWER), torch.zeros(count, task.length, dtype=torch.long)
    answers[row, column], positions[row, column] = torch.tensor(labels), column
    reference = torch.zeros(count, task.length, task.vocabulary)
    reference[tuple(torch.tensor(legal_letters).T)] = torch.tensor(shares)
    assert torch.equal(examples.answers.long(), answers) and torch.equal(examples.positions.long(), positions)
    torch.testing.assert_close(examples.reference, reference)


def test_trained_slots_are_those_before_a_letter():
    """The labels of the authors' code: the input moved by one, separators and padding masked."""
    examples = DEFAULT.sample(200)
    moved = torch.full_like(examples.targets(), 19)
    moved[:, :-1] = examples.inputs[:, 1:]
    assert torch.equal(examples.targets(), torch.where(moved < 18, moved, NO_ANSWER))
    assert examples.reference is not None
    evaluated = examples.reference.sum(2) > 0
    assert torch.equal(evaluated, examples.inputs < 19)
    strings = (examples.inputs == 18).sum() + len(examples)
    assert (evaluated & (examples.answers == NO_ANSWER)).sum() == strings


def test_numbers_and_lengths_of_strings_are_uniform():
    numbers, lengths = Counter(), Counter()
    for row in InContextLanguage(with_reference=False).sample(3000, seed=3).inputs.tolist():
        strings = "".join("|" if token == 18 else "" if token == 19 else "a" for token in row).split("|")
        numbers[len(strings)] += 1
        lengths.update(map(len, strings))
    assert sorted(numbers) == list(range(10, 20)) and chisquare(list(numbers.values())).pvalue > 1e-3
    assert sorted(lengths) == list(range(1, 50)) and chisquare(list(lengths.values())).pvalue > 1e-3


def test_a_longer_table_only_adds_padding():
    short, short_reference = drawn(SMALL, 50)
    long, long_reference = drawn(replace(SMALL, length=60), 50)
    assert (long[:, 27:] == 6).all()
    assert torch.equal(short, long[:, :40]) and torch.equal(short_reference, long_reference[:, :40])


def test_the_seed_decides_and_the_reference_may_be_left_out():
    (one, reference), (same, same_reference), (other, _) = (drawn(DEFAULT, 20, seed) for seed in (1, 1, 2))
    bare = replace(DEFAULT, with_reference=False).sample(20, seed=1)
    assert torch.equal(one, same) and torch.equal(reference, same_reference) and not torch.equal(one, other)
    assert bare.reference is None and torch.equal(one, bare.inputs)


# --- minimal automata, and how often two are the same


def minimal(rows):
    """The smallest automaton of the same language, states numbered by their first visit in breadth."""
    reached = [0]
    for state in reached:
        reached += [target for target in dict.fromkeys(rows[state].values()) if target not in reached]
    part = {state: frozenset(rows[state]) for state in reached}
    while True:
        split = {state: (part[state], frozenset((a, part[t]) for a, t in rows[state].items())) for state in reached}
        if len(set(split.values())) == len(set(part.values())):
            break
        names = {key: number for number, key in enumerate(set(split.values()))}
        part = {state: names[split[state]] for state in reached}
    some = {part[state]: rows[state] for state in reached}
    order = [part[0]]
    for block in order:
        order += dict.fromkeys(part[t] for _, t in sorted(some[block].items()) if part[t] not in order)
    return [{a: order.index(part[t]) for a, t in some[block].items()} for block in order]


def breadth_first(rows):
    """`minimal` without merging: the reachable part, states numbered by their first visit."""
    order = [0]
    for state in order:
        order += [t for t in dict.fromkeys(t for _, t in sorted(rows[state].items())) if t not in order]
    return tuple(tuple((a, order.index(t)) for a, t in sorted(rows[state].items())) for state in order)


def test_minimal_automata_have_the_same_strings_and_references():
    examples, smaller = DEFAULT.sample(100, seed=7), 0
    for rows, tokens in zip(automata_of(DEFAULT, 100, 7), examples.inputs.tolist(), strict=True):
        least = minimal(rows)
        smaller += len(least) < len(rows)
        assert list(walked(DEFAULT, least, tokens)) == list(walked(DEFAULT, rows, tokens))
    assert smaller > 25


def test_languages_of_two_examples_are_the_same_as_often_as_stated():
    """1.9 % walk between two states; pairs with one language: 1.15e-6 for those alone, 1.3e-6 for all."""
    count = 8000
    kinds = Counter(breadth_first(minimal(rows)) for rows in automata(count, seed=9))
    alternating = sum(number for rows, number in kinds.items() if len(rows) <= 2)
    expected = sum(1 / (n - 1) for n in range(4, 13)) / 9 / 9
    assert expected == pytest.approx(0.019, abs=3e-4)
    assert abs(alternating / count - expected) < 4 * sqrt(expected / count)
    same = sum(1 / c for c in range(4, 19)) / 15  # both letters are one of 18
    together = expected**2 * (same**2 / 18 + (1 - same) ** 2 / 306)
    assert together == pytest.approx(1.15e-6, rel=0.01)
    pairs = sum(number * (number - 1) for number in kinds.values()) / (count * (count - 1))
    assert pairs == pytest.approx(1.25e-6, rel=0.8)  # about 40 pairs, known to 0.25


# --- what it asks for


def drawn_tables(states, sizes, degrees, letters):
    """Every outcome of drawing an automaton (table, alphabet) with its probability, one choice after another."""
    for n, c in product(states, sizes):
        for alphabet in combinations(range(letters), c):
            chosen = 1 / len(states) / len(sizes) / len(list(combinations(range(letters), c)))
            options = []
            for state in range(n):
                others, row = [t for t in range(n) if t != state], defaultdict(float)
                for m in degrees:
                    edges = [
                        tuple(sorted(zip(a, t, strict=True)))
                        for a, t in product(permutations(alphabet, m), permutations(others, m))
                    ]
                    for edge in edges:
                        row[edge] += 1 / len(degrees) / len(edges)
                options.append(row.items())
            for table in product(*options):
                probability = chosen
                for _, share in table:
                    probability *= share
                yield (alphabet, tuple(row for row, _ in table)), probability


def entropy(probabilities):
    return -sum(p * log2(p) for p in probabilities)


@pytest.mark.parametrize(
    ("states", "sizes", "degrees", "letters"),
    [((3,), (2, 3), (1, 2), 3), ((2, 3), (1, 2, 3), (1,), 4), ((4,), (1, 2), (1,), 2), ((2,), (1,), (1,), 1)],
)
def test_demand_is_the_entropy_of_all_automata_and_bounds_what_can_be_seen(states, sizes, degrees, letters):
    outcomes, seen = defaultdict(float), defaultdict(float)
    for (alphabet, table), probability in drawn_tables(states, sizes, degrees, letters):
        outcomes[alphabet, table] += probability
        seen[breadth_first([dict(row) for row in table])] += probability
    assert sum(outcomes.values()) == pytest.approx(1)
    renamings = sum(log2(factorial(n - 1)) for n in states) / len(states)
    n, c, m = ((span[0], span[-1]) for span in (states, sizes, degrees))
    bits = automaton_bits(n, c, m, letters)
    assert bits == pytest.approx(entropy(outcomes.values()) - renamings, abs=1e-9)
    assert entropy(seen.values()) <= bits + 1e-9
    assert InContextLanguage(letters + 2, 949, n, c, m).demand_bits() == pytest.approx(bits)


def test_demand_at_the_default_setting():
    assert DEFAULT.demand_bits() == pytest.approx(103.705, abs=1e-3)
    assert TINY.demand_bits() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("task", [DEFAULT, SMALL])
def test_chance_is_the_best_fixed_guess(task):
    examples, letters = task.sample(500, seed=5), task.vocabulary - 2
    found = torch.stack([(examples.answers == a).sum(1) for a in range(letters)], 1).double()
    shares = found.sum(0) / found.sum()
    spread = (found - found.sum(1, keepdim=True) * task.chance()).square().sum(0).sqrt() / found.sum()
    assert task.chance() == 1 / letters
    assert ((shares - task.chance()).abs() < 4 * spread).all()
    fixed = torch.zeros_like(examples.reference)
    fixed[:, :, 0] = 1
    assert score_distributions(fixed, examples.reference).accuracy.value < task.out_degree[1] / letters


# --- n-grams


def plain_ngram(strings, order, letters):
    """Distribution after the end of `strings`, the last of them unfinished: {letter: probability}."""
    grams = [Counter() for _ in range(order + 1)]
    for string in strings:
        padded = ["start"] * (order - 1) + string
        for n in range(1, order + 1):
            grams[n].update(tuple(padded[i : i + n]) for i in range(len(padded) - n + 1))
    known = sorted({letter for string in strings for letter in string})
    history = tuple((["start"] * (order - 1) + strings[-1])[-(order - 1) :]) if order > 1 else ()

    def estimate(history):
        if not history:
            total = sum(grams[1][(a,)] for a in known)
            return {a: grams[1][(a,)] / total for a in known}
        times, n = grams[len(history)][history], len(history) + 1
        seen = {a: grams[n][(*history, a)] / times for a in known if grams[n][(*history, a)]}
        lower = {a: p for a, p in estimate(history[1:]).items() if a not in seen}
        left, mass = 1 - sum(seen.values()), sum(lower.values())
        return seen | {a: left * p / mass for a, p in lower.items()}

    return [estimate(history).get(a, 0) for a in range(letters)]


@pytest.mark.parametrize("order", [1, 2, 3, 4, 6])
@pytest.mark.parametrize(("task", "count"), [(SMALL, 60), (FIXED, 20)])
def test_ngrams_are_those_of_plain_counts(task, count, order):
    letters = task.vocabulary - 2
    inputs = task.sample(count, seed=order).inputs
    rows = ngram_probabilities(inputs, order, letters)
    assert rows.shape == (count, task.length, task.vocabulary) and rows.dtype == torch.float32
    for tokens, found in zip(inputs.tolist(), rows.tolist(), strict=True):
        strings = [[]]
        for token, row in zip(tokens, found, strict=True):
            if token == letters + 1:
                assert row == [0] * (letters + 2)
                continue
            if token == letters:
                strings.append([])
            else:
                strings[-1].append(token)
            assert row == pytest.approx([*plain_ngram(strings, order, letters), 0, 0], abs=1e-6)


def test_ngrams_by_hand():
    """a b a | a c: after the last letter "a" came twice at a start, and once it was followed by b."""
    rows = ngram_probabilities(torch.tensor([[0, 1, 0, 3, 0, 2]]), 2, 3)[0]
    assert rows[0].tolist() == [1, 0, 0, 0, 0]  # nothing known after a: back to the only letter so far
    assert rows[2].tolist() == pytest.approx([1 / 2, 1 / 2, 0, 0, 0])  # a seen twice, b after it once; the rest is a's
    assert rows[3].tolist() == pytest.approx([1 / 2, 1 / 2, 0, 0, 0])  # two starts, one with a; the rest is b's
    assert rows[5].tolist() == pytest.approx([3 / 5, 1 / 5, 1 / 5, 0, 0])  # nothing known after c: all letters so far
    lost = ngram_probabilities(torch.tensor([[0, 0, 0]]), 2, 1)[0]
    assert lost[2].tolist() == pytest.approx([2 / 3, 0, 0])  # no other letter to give the last third to


def test_ngrams_do_not_look_ahead():
    inputs = SMALL.sample(30).inputs
    cut = inputs.clone()
    cut[:, 10:] = 6
    assert torch.equal(ngram_probabilities(inputs, 3, 5)[:, :10], ngram_probabilities(cut, 3, 5)[:, :10])


@cache
def many():
    return drawn(DEFAULT, 1600, seed=11)


ROWS = {
    # order: total variation, accuracy, total variation of the first 100 positions
    # the authors' generator run on 11,000 prompts (8,000 + 1,500 + 1,500; standard error of the first column 0.0011)
    "authors' generator": {2: (0.3294, 0.8252, 0.4159), 3: (0.2591, 0.9339, 0.3852), 4: (0.2726, 0.9502, 0.3944)},
    # a third program after the published description, 400 prompts
    "third program": {2: (0.329, 0.823, 0.416), 3: (0.262, 0.931, 0.386), 4: (0.275, 0.948, None)},
    # lines of the authors' plots (Akyürek et al. 2024), read to 0.005: the largest of six test sets of 500 prompts
    "published": {2: (0.337, 0.835, None), 3: (0.265, 0.937, None), 4: (None, None, None)},
}


@pytest.mark.parametrize("order", [2, 3, 4])
def test_ngram_rows_are_the_published_ones(order):
    inputs, reference = many()
    rows = ngram_probabilities(inputs, order, 18)
    scores, start = (score_distributions(rows, reference, first) for first in (None, 100))
    found = (scores.total_variation, scores.accuracy, start.total_variation)
    others = zip(ROWS["authors' generator"][order], ROWS["third program"][order], ROWS["published"][order], strict=True)
    for (value, error), (own, third, line) in zip(found, others, strict=True):
        assert abs(value - own) < 4 * error * sqrt(1 + 1600 / 11_000)
        assert third is None or abs(value - third) < 0.01
        if (
            line is not None
        ):  # the largest of six normal values is 1.27 standard errors above the mean, give or take 0.64
            largest, spread = 1.27 * error * sqrt(1600 / 500), 0.64 * error * sqrt(1600 / 500)
            assert abs(value + largest - line) < 0.005 + 3 * sqrt(error**2 + spread**2)


# --- the measures


def test_measures_agree_with_plain_sums():
    inputs, references = drawn(SMALL, 40, seed=2)
    rows = ngram_probabilities(inputs, 2, 5)
    for first in (None, 1, 7):
        right, distance, divergence, slots = 0, 0.0, 0.0, 0
        for predicted, reference in zip(rows.tolist(), references.tolist(), strict=True):
            for p, r in list(zip(predicted, reference, strict=True))[:first]:
                if sum(r):
                    right += r[p.index(max(p))] > 0
                    distance += sum(abs(a - b) for a, b in zip(p, r, strict=True)) / 2
                    divergence += sum(b * (log(b + 1e-7) - log(a + 1e-7)) for a, b in zip(p, r, strict=True) if b)
                    slots += 1
        scores = score_distributions(rows, references, first)
        assert scores.slots == slots
        assert scores.accuracy.value == pytest.approx(right / slots)
        assert scores.total_variation.value == pytest.approx(distance / slots, abs=1e-6)
        assert scores.kl.value == pytest.approx(divergence / slots, rel=1e-5)


def test_measures_at_their_ends():
    reference = torch.tensor([0.5, 0.5, 0.0, 0.0])
    other = torch.tensor([0.0, 0.0, 0.25, 0.75])
    assert total_variation(reference, reference) == kl_divergence(reference, reference) == 0
    assert total_variation(other, reference) == 1 and kl_divergence(other, reference) == float("inf")
    assert legal(reference, reference) == 1 and legal(other, reference) == 0
    assert kl_divergence(torch.full((4,), 0.25), reference) == pytest.approx(log(2))
    assert score_distributions(reference[None, None], reference[None, None]).kl == pytest.approx(
        (0, float("nan")), nan_ok=True
    )


def test_the_standard_error_is_that_of_repeated_samples():
    means, errors = [], []
    for seed in range(60):
        inputs, reference = drawn(SMALL, 80, seed)
        scores = score_distributions(ngram_probabilities(inputs, 2, 5), reference)
        means.append(scores.total_variation.value)
        errors.append(scores.total_variation.error)
    spread = torch.tensor(means).std().item()
    assert spread == pytest.approx(sum(errors) / 60, rel=0.3)  # the spread of 60 values is known to 9 %


# --- bad input


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vocabulary": 2}, r"vocabulary: at least 3 .*got 2"),
        ({"length": 948}, r"length: at least 949, the longest prompt of these strings, got 948"),
        ({"strings": (10, 20)}, r"length: at least 999"),
        ({"string_length": (1, 50)}, r"length: at least 968"),
        ({"states": (1, 4)}, r"states: \(smallest, largest\), at least 2, got \(1, 4\)"),
        ({"states": (5, 4)}, r"states: .*got \(5, 4\)"),
        ({"states": (3, 12)}, r"out_degree: \(smallest, largest\), 1 to 2, got \(1, 3\)"),
        ({"alphabet": (4, 19)}, r"alphabet: \(smallest, largest\), 1 to 18, got \(4, 19\)"),
        ({"alphabet": (0, 18)}, r"alphabet: "),
        ({"alphabet": (2, 18)}, r"out_degree: \(smallest, largest\), 1 to 2, got \(1, 3\)"),
        ({"out_degree": (0, 3)}, r"out_degree: .*1 to 3, got \(0, 3\)"),
        ({"out_degree": (1, 4)}, r"out_degree: .*1 to 3, got \(1, 4\)"),
        ({"strings": (0, 10)}, r"strings: .*at least 1, got \(0, 10\)"),
        ({"string_length": (0, 10)}, r"string_length: .*at least 1, got \(0, 10\)"),
        ({"strings": (10,)}, r"strings: \(smallest, largest\).*got \(10,\)"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        InContextLanguage(**settings)


def test_bad_tables_are_named():
    rows = torch.full((2, 3, 4), 0.25)
    with pytest.raises(ValueError, match="order: 1 to 8, got 0"):
        ngram_probabilities(torch.zeros(1, 3, dtype=torch.long), 0, 2)
    with pytest.raises(ValueError, match="order: 1 prompts, 1022 letters: contexts that fit 63 bits, got 8"):
        ngram_probabilities(torch.zeros(1, 3, dtype=torch.long), 8, 1022)
    with pytest.raises(ValueError, match="inputs: ids 0 to 3, got 0 to 4"):
        ngram_probabilities(torch.tensor([[0, 4]]), 2, 2)
    with pytest.raises(ValueError, match=r"predicted: .*examples, Q, vocabulary"):
        score_distributions(rows[0], rows[0])
    with pytest.raises(ValueError, match=r"reference: shape \(2, 3, 4\), got \(2, 2, 4\)"):
        score_distributions(rows, rows[:, :2])
    with pytest.raises(ValueError, match=r"predicted: probabilities of 0 to 1, got -0\.5 to -0\.5"):
        score_distributions(rows - 0.75, rows)
    with pytest.raises(ValueError, match=r"predicted: probabilities of 0 to 1, got 2\.25 to 2\.25"):
        score_distributions(rows + 2, rows)
    with pytest.raises(ValueError, match="first: at least 1 or None, got 0"):
        score_distributions(rows, rows, first=0)
    with pytest.raises(ValueError, match="floor: at least 0, got -1"):
        score_distributions(rows, rows, floor=-1)
    with pytest.raises(ValueError, match="reference: a distribution in at least one slot, got zeros"):
        score_distributions(rows, rows * 0)
