"""The grid of the AR-aware law: branches, resuming after a kill, equal parameters, and sums against brute force."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.folder import load_model, save_model
from recallscope.architectures.model import LanguageModel
from recallscope.bundled import bundled_tokenizer
from recallscope.scaling.recall.grid import Design, cells, run_grid
from recallscope.scaling.recall.losses import grid_of
from recallscope.scaling.recall.sums import NEAR, SLICES, cut, loss_sums
from recallscope.scaling.recall.trunks import Recipe, shape, train_to
from recallscope.text import Document

TINY = shape(8, 2, 16, 1, 32)
RECIPE = Recipe(batch=2, context=16, warmup=3)


def text(length=4000):
    return np.random.default_rng(0).integers(0, 32, length).astype(np.uint16)


def weights(folder):
    return load_model(folder).state_dict()


def test_a_branch_is_the_run_that_was_planned_for_its_budget_alone(tmp_path):
    for budget in (320, 960):
        train_to(TINY, RECIPE, text(), budget, tmp_path / "both")
    train_to(TINY, RECIPE, text(), 960, tmp_path / "alone")
    both, alone = weights(tmp_path / "both" / "960"), weights(tmp_path / "alone" / "960")
    assert all(torch.equal(both[name], alone[name]) for name in both)
    assert not torch.equal(both["embedding.weight"], weights(tmp_path / "both" / "320")["embedding.weight"])


def test_the_rate_warms_up_holds_and_falls_to_zero_over_the_last_fifth(tmp_path):
    from recallscope.scaling.recall.trunks import _rate

    rates = [_rate(RECIPE, step, 50 * 32) / RECIPE.learning_rate for step in range(50)]
    np.testing.assert_allclose(rates, [1 / 3, 2 / 3, *[1.0] * 39, *np.arange(9, 0, -1) / 10], rtol=1e-12)


PROGRAM = """
import sys, time, numpy as np
sys.path.insert(0, sys.argv[2])
from test_recall_law_grid import RECIPE, TINY, text
from recallscope.scaling.recall import trunks
trunks.CHECKPOINT_EVERY = 7
slow = lambda row: (print(row["step"], flush=True), time.sleep(0.05))
trunks.train_to(TINY, RECIPE, text(), 1600, sys.argv[1], log=slow)
"""


def test_a_killed_run_ends_in_the_same_bits(tmp_path):
    call = [sys.executable, "-c", PROGRAM, str(tmp_path / "killed"), os.path.dirname(__file__)]
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        while int(process.stdout.readline()) < 20:
            pass
        process.send_signal(signal.SIGKILL)
    assert (tmp_path / "killed" / "trunk.pt").exists() and not (tmp_path / "killed" / "1600").exists()
    steps = []
    for name in ("killed", "whole"):
        train_to(TINY, RECIPE, text(), 1600, tmp_path / name, log=lambda row: steps.append(row["step"]))
    assert steps[0] == 14 and steps.count(0) == 1  # from the last checkpoint on; the other run from its start
    killed, whole = weights(tmp_path / "killed" / "1600"), weights(tmp_path / "whole" / "1600")
    assert all(torch.equal(killed[name], whole[name]) for name in whole)


def test_a_finished_branch_is_not_trained_again(tmp_path):
    train_to(TINY, RECIPE, text(), 320, tmp_path)
    train_to(TINY, RECIPE, text(), 320, tmp_path, log=lambda row: pytest.fail("trained again"))


@pytest.mark.parametrize(
    ("config", "recipe", "budget", "says"),
    [
        (TINY, RECIPE, 31, "budget: 32 to"),
        (TINY, RECIPE, 10**6, "budget: 32 to"),
        (TINY, RECIPE, 320, "past the branch of 320 tokens"),
        (shape(8, 1, 16, 1, 32), RECIPE, 1600, "another configuration"),
    ],
)
def test_bad_calls_are_refused(tmp_path, config, recipe, budget, says):
    train_to(TINY, RECIPE, text(), 960, tmp_path)
    with pytest.raises(ValueError, match=says):
        train_to(config, recipe, text(), budget, tmp_path)


def test_cells_differ_in_state_at_equal_parameters():
    rows = cells(Design())
    assert len(rows) == 27 and len({row["cell"] for row in rows}) == 27
    for row in rows:
        config = shape(row["width"], row["heads"])
        with torch.device("meta"):
            model = LanguageModel(config)
        matrices = sum(state[0][0].numel() for state in model.init_state(1))
        assert row["state_elements"] == matrices == 2 * row["width"] ** 2 // row["heads"]
        assert row["state_elements"] + row["convolution_elements"] == Architecture("", config).state_elements(512)
        assert row["parameters"] == sum(p.numel() for p in model.parameters())
        one = next(r for r in rows if r["width"] == row["width"] and r["heads"] == 1)
        assert abs(row["parameters"] / one["parameters"] - 1) < 1e-3


def brute_force(model, documents, training, context):
    """Sums by document and slice, window by window, in plain Python."""
    trained = {}
    for a, b in pairwise(training):
        if a != 0:  # documents end after each 0
            trained[a, b] = trained.get((a, b), 0) + 1
    sums = {}
    for name, ids in documents.items():
        at = 0
        while at < len(ids):
            first = at == 0
            window = [0, *ids[:context]] if first else ids[at - 1 : at + context]
            logits = model(torch.tensor([window[:-1]])).log_softmax(-1)[0].detach()
            seen = window[1:] if first else window
            for j in range(len(window) - 1):
                here = j if first else j + 1  # place among the document's tokens that the window shows
                pair = tuple(seen[here - 1 : here + 1]) if here else None
                earlier = [k for k in range(1, here) if tuple(seen[k - 1 : k + 1]) == pair]
                rare = pair is None or at + j == 0 or trained.get(pair, 0) == 0
                if earlier:
                    far = here - earlier[-1] >= NEAR
                    key = ("AR hit" if rare else "repeat, frequent") + (", far" if far else ", near")
                else:
                    key = "new, rare" if rare else "new, frequent"
                cell = sums.setdefault((name, key), [0, 0.0])
                cell[0] += 1
                cell[1] -= float(logits[j, window[j + 1]])
            at += len(window) - 1
    return sums


def test_sums_are_those_of_brute_force(tmp_path):
    tokenizer = bundled_tokenizer()
    torch.manual_seed(0)
    model = LanguageModel(shape(16, 4, 96, 1))
    torch.nn.init.normal_(model.head.weight)
    save_model(model, tmp_path / "model", torch.float32)
    names = [f"name_{k}" for k in np.random.default_rng(1).integers(0, 40, 260)]
    texts = {"a": " ".join(names), "b": "def zq(x):\n    return zq(x) + zq(x)\n", "c": "x"}
    texts["d"] = " ".join(["qzv wkx", *names[:20], "qzv wkx"])
    training = np.concatenate([np.r_[0, ids] for ids in tokenizer.encode([" ".join(names[::-1]), "return zq"])])
    training.astype(np.uint16).tofile(tmp_path / "tokens.bin")
    documents = [Document(name, value) for name, value in texts.items()]
    table = loss_sums({"m": tmp_path / "model"}, documents, tokenizer, tmp_path / "tokens.bin", tmp_path / "work", 96)
    found = {(row["document"], row["slice"]): (row["tokens"], row["loss_m"]) for row in table.to_pylist()}
    encoded = {name: tokenizer.encode([value])[0].tolist() for name, value in texts.items()}
    expected = brute_force(model.eval(), encoded, training.tolist(), 96)
    assert {name for _, name in expected} == set(SLICES)
    assert found.keys() == expected.keys()
    for key, (tokens, loss) in expected.items():
        assert found[key] == (tokens, pytest.approx(loss, rel=1e-5)), key


def test_a_small_grid_from_text_to_sums(tmp_path):
    small = Design((16,), (1, 4), (1024, 2048), text=8000, documents=2, characters=600, recipe=Recipe(1, 64))
    other = replace(small, heads=(1,), budgets=(1024,), seeds=(1,))
    lines: list[str] = []
    first = run_grid((small, other), tmp_path, lines.append)
    names = [row["cell"] for design in (small, other) for row in cells(design)]
    assert lines == [f"trained {name}" for name in names] and names[0] == "16-1-0-1024" and len(names) == 5
    assert first.column_names == ["document", "slice", "tokens", *(f"loss_{name}" for name in names)]
    assert len(set(first.column("document").to_pylist())) == 2
    loss = [sum(first.column(f"loss_{name}").to_pylist()) / sum(first.column("tokens").to_pylist()) for name in names]
    assert len(set(loss)) == 5 and all(7 < value < 8.4 for value in loss)  # ln 4,096 = 8.3 at the start
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert run_grid((small, other), tmp_path).equals(first)
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}


def test_documents_are_cut():
    documents = [Document(str(k), "abc" * k) for k in range(4)]
    assert [one.text for one in cut(documents, 3, 4)] == ["", "abc", "abca"]


def test_a_cell_without_losses_is_refused():
    import pyarrow as pa

    sums = pa.table({"document": ["d"], "slice": ["new, rare"], "tokens": [1], "loss_a": [1.0]})
    sizes = {"run": "r", "parameters": 1, "training_tokens": 1, "state_elements": 1}
    with pytest.raises(ValueError, match=r"without losses \['b'\]"):
        grid_of([sizes | {"cell": "a"}, sizes | {"cell": "b"}], sums)
