"""Words for ids, and solved examples before the asked one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recallscope.prompting.prompts import as_ids, as_words, build_prompts, prompt_text, word_tokens
from recallscope.tasks.mqar import MQAR
from recallscope.tasks.task import NO_ANSWER, Examples
from recallscope.text import Tokenizer
from tokenizers import AddedToken, decoders
from tokenizers import Tokenizer as Backend
from tokenizers.models import WordLevel


def made(words: list[str], special: list[str] | None = None, bos: int | None = None) -> Tokenizer:
    backend = Backend(WordLevel({word: at for at, word in enumerate(words)}, unk_token=words[0]))
    backend.decoder = decoders.Metaspace()  # type: ignore[assignment]
    backend.add_special_tokens([AddedToken(word) for word in special or []])
    return Tokenizer(backend, bos, "made")


def test_words_are_spaces_and_letters_of_the_bundled_tokenizer(bundled):
    words = word_tokens(bundled)
    texts = bundled.pieces(words)
    assert all(text[0] == " " and text[1:].isalpha() for text in texts)
    others = set(range(bundled.vocabulary)) - set(words)
    left = [text for text in bundled.pieces(sorted(others)) if text.startswith(" ") and text[1:].isalpha()]
    assert left == [] and len(set(texts)) == len(texts) > 1000


def test_words_of_sentencepiece_and_of_tokenizers_without_spaces():
    assert word_tokens(made(["<unk>", "▁the", "cat", "▁été", "▁12", "▁", "▁a.", "▁stop"], ["▁stop"])) == [1, 3]
    assert word_tokens(made(["<unk>", "the", "cat", "4", "x1", "été"])) == [1, 2, 5]


def test_ids_become_different_words_and_zero_a_full_stop(bundled):
    task = MQAR(vocabulary=512)
    mapping = as_words(task, bundled, 4096, seed=3)
    tokens = mapping.tokens.tolist()
    assert len(set(tokens)) == 512 and bundled.pieces(tokens[:1]) == ["."]
    assert set(tokens[1:]) <= set(word_tokens(bundled))
    assert mapping.before == (bundled.bos,) and bundled.pieces(mapping.separator) == ["\n"]
    assert torch.equal(as_words(task, bundled, 4096, seed=3).tokens, mapping.tokens)
    assert not torch.equal(as_words(task, bundled, 4096, seed=4).tokens, mapping.tokens)
    assert as_words(MQAR(vocabulary=8, pairs=2), bundled, 800, seed=0).tokens.max() < 800


def test_every_word_is_as_likely_as_another():
    tokenizer = made(["<unk>", ".", *(f"▁{chr(97 + k)}" for k in range(6))])
    drawn = [as_words(MQAR(vocabulary=4, pairs=1), tokenizer, None, seed).tokens[1:].tolist() for seed in range(600)]
    counts = np.bincount(np.ravel(drawn), minlength=8)
    assert counts[:2].sum() == 0 and np.abs(counts[2:] - 300).max() < 60  # deviation 12.2


def test_prompts_without_solved_examples_are_the_task_itself():
    examples = Examples(torch.tensor([[1, 2, 0, 1], [3, 1, 3, 0]]), torch.tensor([[3], [2]]), torch.tensor([[2], [1]]))
    tokenizer = made(["<unk>", ".", "▁a", "▁b", "▁c", "<s>"], bos=5)
    mapping = as_words(MQAR(vocabulary=4, pairs=1), tokenizer, None, seed=1)
    of = mapping.tokens.tolist()
    prompts = build_prompts(examples, mapping)
    assert prompts.ids.tolist() == [[5, of[1], of[2], of[0], of[1]], [5, of[3], of[1], of[3], of[0]]]
    assert prompts.positions.tolist() == [[4], [3]] and prompts.lengths.tolist() == [5, 5]
    assert build_prompts(examples, as_ids(MQAR(vocabulary=4, pairs=1), 4)).ids.tolist() == examples.inputs.tolist()


def test_solved_examples_have_their_answers_behind_the_questions():
    asked = Examples(torch.tensor([[7, 8], [8, 7]]), torch.tensor([[1], [0]]), torch.tensor([[9], [9]]))
    solved = Examples(
        torch.tensor(
            [[1, 5, 2, 6, 2, 1], [1, 5, 2, 6, 1, 5], [1, 6, 2, 5, 2, 2], [1, 5, 2, 6, 0, 0]], dtype=torch.int16
        ),
        torch.tensor([[5, 4], [4, 0], [5, 4], [0, 0]], dtype=torch.int16),
        torch.tensor([[5, 6], [5, NO_ANSWER], [5, 5], [NO_ANSWER, NO_ANSWER]], dtype=torch.int16),
    )
    mapping = as_ids(MQAR(vocabulary=10, pairs=1), None)
    mapping = type(mapping)(mapping.tokens, before=(77,), separator=(66,))
    prompts = build_prompts(asked, mapping, solved)
    first = [77, 1, 5, 2, 6, 2, 6, 1, 5, 66, 1, 5, 2, 6, 1, 5, 66, 7, 8]  # the second holds its answer already
    second = [77, 1, 6, 2, 5, 2, 5, 2, 5, 66, 1, 5, 2, 6, 0, 0, 66, 8, 7]
    assert prompts.ids.tolist() == [first, second]
    assert prompts.positions.tolist() == [[18], [17]] and prompts.lengths.tolist() == [19, 19]
    solved = solved.rows(torch.tensor([0, 3]))
    prompts = build_prompts(asked, mapping, solved)
    assert prompts.lengths.tolist() == [12, 10] and prompts.positions.tolist() == [[11], [8]]
    assert prompts.ids[1].tolist() == [77, 1, 5, 2, 6, 0, 0, 66, 8, 7, 0, 0]


def test_a_prompt_as_text(bundled):
    examples = MQAR(vocabulary=64, length=16, pairs=2, random_filler=False).sample(1)
    prompts = build_prompts(examples, as_words(MQAR(vocabulary=64), bundled, None, 0))
    text = prompt_text(bundled, prompts)
    assert text.startswith("<|endoftext|> ") and text.count(".") == 10  # 16 less 2 pairs and 2 questions
    words = text.removeprefix("<|endoftext|>").replace(".", " ").split()
    assert len(words) == 6 and set(words[4:]) == {words[0], words[2]}


def test_too_few_ids_or_words():
    task = MQAR(vocabulary=8, pairs=1)
    with pytest.raises(ValueError, match=r"^task: uses 8 ids, the model knows 7; choose a smaller vocabulary"):
        as_ids(task, 7)
    tokenizer = made(["<unk>", ".", *(f"▁{chr(97 + k)}" for k in range(7))])
    assert len(as_words(task, tokenizer, None, 0).tokens) == 8
    rule = "^task: vocabulary 8 needs 7 words, the tokenizer has 6; a vocabulary of at most 7 fits"
    with pytest.raises(ValueError, match=rule):
        as_words(task, tokenizer, 8, 0)
    with pytest.raises(ValueError, match=r"^tokenizer: has no token for a full stop or a comma; use map_to='ids'"):
        as_words(task, made(["<unk>", "▁a"]), None, 0)
