"""In-context language learning (RegBench): strings of a random automaton, what may come next?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from recallscope.tasks._source import Source, narrow
from recallscope.tasks.automata import Range, automaton_bits, draw_automata
from recallscope.tasks.task import NO_ANSWER, Examples, Task, check


@dataclass(frozen=True)
class InContextLanguage(Task):
    """Next letter in strings of an automaton that the prompt alone shows (Akyürek et al. 2024, arXiv 2401.12973).

    As the authors' code draws it with its default configuration, whose upper ends are exclusive: an out-degree of 4, 20
    strings and 50 letters never occur. Each example has its own random automaton (`draw_automata`). A string is a walk
    from the start state that takes every outgoing letter with equal probability. The prompt is the strings, joined by
    separators, then padding: 376 tokens on average, 949 at most. Letters are the ids 0 .. V - 3, the separator is
    V - 2, padding V - 1.

    The model is asked at every token of the prompt, that is after every prefix of every string: at a letter for the
    prefix that ends there, at a separator for the empty prefix of the next string (the empty prefix of the first string
    has no token before it). Slot q is position q; the slots of the padding are unused. There are two kinds of slot:

    - `answers` holds the next letter where the string goes on: a slot to train on. Where a string is complete it is
      `NO_ANSWER`, the label of the authors' code: the automaton does not say where strings end.
    - `reference` is the distribution of the next letter, uniform on the outgoing letters of the automaton's state. It
      stands at every token, complete strings included, and is zero in unused slots: evaluate where it sums to 1.

    The authors' code has the prompt's last letter as a label only; here it is in the input, one more slot to evaluate.

    Training and test examples are independent draws. The authors collect automata in a set, but the set compares them
    by identity and drops none. Two examples have the same language with probability 1.3e-6 (measured), nearly always
    because both walk between two states: E[1/(n-1)] / 9 = 1.9 % of the automata do, on 18^2 pairs of letters. So 1.8 %
    of test examples have a language that occurs among 40,000 training examples (0.3 %: among 2,500), all but 2 % of
    those an alternation of one or two letters.

    Attributes
    ----------
    vocabulary, length : int
        V, and T ≥ the longest prompt, strings (string_length + 1) - 1 with the largest of both.
    states : (int, int)
        Smallest and largest number of states n, as all ranges below.
    alphabet : (int, int)
        Size c of an automaton's alphabet; c ≤ V - 2.
    out_degree : (int, int)
        Outgoing letters m of a state, at least 1, at most the smallest c and the smallest n less 1 (no self-loops).
    strings, string_length : (int, int)
        Strings of a prompt, letters of a string.
    with_reference : bool
        False leaves `reference` out, which takes 4 T V bytes an example: for training sets.
    """

    vocabulary: int = 20
    length: int = 949
    states: Range = (4, 12)
    alphabet: Range = (4, 18)
    out_degree: Range = (1, 3)
    strings: Range = (10, 19)
    string_length: Range = (1, 49)
    with_reference: bool = True

    def __post_init__(self) -> None:
        check(self.vocabulary >= 3, "vocabulary", "at least 3 (letters, separator, padding)", self.vocabulary)
        _check_range("states", self.states, 2, None)
        _check_range("alphabet", self.alphabet, 1, self.vocabulary - 2)
        _check_range("out_degree", self.out_degree, 1, min(self.alphabet[0], self.states[0] - 1))
        _check_range("strings", self.strings, 1, None)
        _check_range("string_length", self.string_length, 1, None)
        longest = self.strings[1] * (self.string_length[1] + 1) - 1
        check(self.length >= longest, "length", f"at least {longest}, the longest prompt of these strings", self.length)

    def draw(self, source: Source, examples: int) -> Examples:
        separator, padding = self.vocabulary - 2, self.vocabulary - 1
        automata = draw_automata(source, examples, self.states, self.alphabet, self.out_degree, separator)
        (fewest, most), (shortest, longest) = self.strings, self.string_length
        count = (source.integers(examples, 1, most - fewest + 1) + fewest)[:, :, None]
        size = (source.integers(examples, most, longest - shortest + 1) + shortest)[:, :, None]
        letters, states = automata.walk(source, most, longest)
        string = torch.arange(most, device=source.device)[:, None]
        column = torch.arange(longest + 1, device=source.device)
        separated = string + 1 < count  # another string follows
        kept = (string < count) & (column < size + separated)
        index = torch.arange(self.length, device=source.device)
        used = index < kept.sum((1, 2))[:, None]
        taken = kept.flatten().nonzero()[:, 0]

        def joined(values: Tensor, at_separator: int, at_padding: int) -> Tensor:
            """`[examples, T]`: the strings' values one after another."""
            values = functional.pad(values, (0, 1)).masked_fill_(column == size, at_separator).flatten()
            whole = torch.full(used.shape, at_padding, dtype=values.dtype, device=used.device)
            return whole.masked_scatter_(used, values.index_select(0, taken))

        inputs = joined(letters, separator, padding)
        following = functional.pad(inputs[:, 1:], (0, 1), value=padding)
        answers = following.masked_fill_(following >= separator, NO_ANSWER)
        reference = None
        if self.with_reference:
            table = functional.pad(automata.distributions(), (0, 2, 0, 1))  # the last state is that of the padding
            row = torch.arange(examples, dtype=states.dtype, device=used.device)[:, None] * table.shape[1]
            reference = table.flatten(0, 1).index_select(0, (row + joined(states, 0, self.states[1])).flatten())
            reference = reference.view(*used.shape, self.vocabulary)
        dtype = narrow(max(self.vocabulary, self.length))
        return Examples(inputs.to(dtype), (index * used).to(dtype), answers.to(dtype), reference)

    def chance(self) -> float:
        """1 / (V - 2): all letters are alike, so any fixed guess is the next letter as often as another.

        As a possible letter (the accuracy of `score_distributions`) it counts at most max(out_degree) / (V - 2).
        """
        return 1 / (self.vocabulary - 2)

    def demand_bits(self) -> float:
        """`automaton_bits`: what specifies the automaton up to the names of its states. An upper bound.

        The strings before a separator tell about the letters after it only through the automaton, so no model needs to
        carry more across (inside a string, the current state comes on top). The demand is less: strings do not show the
        whole automaton, and unreachable states and unused letters of the alphabet are counted here.
        """
        return automaton_bits(self.states, self.alphabet, self.out_degree, self.vocabulary - 2)


def _check_range(name: str, span: Range, least: int, most: int | None) -> None:
    """`span` is (smallest, largest) with least ≤ smallest ≤ largest ≤ most."""
    limits = f"at least {least}" if most is None else f"{least} to {most}"
    good = len(span) == 2 and least <= span[0] <= span[1] and (most is None or span[1] <= most)
    check(good, name, f"(smallest, largest), {limits}", span)
