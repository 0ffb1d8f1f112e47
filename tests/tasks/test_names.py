"""Tasks by name, settings from text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
import recallscope.tasks
from recallscope.tasks.mqar import MQAR
from recallscope.tasks.names import settings_of, task_by_name
from recallscope.tasks.task import Task


@dataclass(frozen=True)
class Various(Task):
    vocabulary: int = 16
    length: int = field(init=False, default=8)
    rate: float = 0.5
    loud: bool = True
    label: str = "x"
    most: int | None = None
    order: Literal["up", "down"] = "up"
    sizes: tuple[int, ...] = (1, 2)
    ends: tuple[float, float] = (0.0, 1.0)
    other: Any = None


@pytest.fixture(autouse=True)
def two_tasks(monkeypatch):
    monkeypatch.setattr(recallscope.tasks, "TASKS", {"mqar": MQAR, "various": Various}, raising=False)


def test_settings_have_the_type_of_their_field_and_the_rest_their_defaults():
    assert task_by_name("mqar") == MQAR()
    given = {"vocabulary": "512", "pairs": " 8 ", "power": "1e-1", "random_filler": "False"}
    assert task_by_name("mqar", given) == MQAR(vocabulary=512, pairs=8, power=0.1, random_filler=False)
    given = {
        "loud": "no",
        "label": "a=b",
        "most": "3",
        "order": "down",
        "sizes": "4, 5,6",
        "ends": "1,2.5",
        "rate": "2",
    }
    wanted = Various(loud=False, label="a=b", most=3, order="down", sizes=(4, 5, 6), ends=(1.0, 2.5), rate=2.0)
    assert task_by_name("various", given) == wanted
    assert task_by_name("various", {"most": "none", "loud": "1"}) == Various()


def test_settings_are_split_at_the_first_equals_sign():
    assert settings_of(["pairs=4", " label = a=b"]) == {"pairs": "4", "label": " a=b"}
    assert settings_of([]) == {}


@pytest.mark.parametrize(
    "name, given, message",
    [
        ("mqr", {}, "task: one of mqar, various, got 'mqr'"),
        ("mqar", {"pair": "4"}, "set: mqar has no setting 'pair'; it has vocabulary, length, pairs, power, passes"),
        ("various", {"length": "4"}, "set: various has no setting 'length'"),
        ("mqar", {"pairs": "four"}, "pairs: an integer, got 'four'"),
        ("mqar", {"pairs": "4.0"}, "pairs: an integer, got '4.0'"),
        ("mqar", {"power": "low"}, "power: a number, got 'low'"),
        ("mqar", {"random_filler": "maybe"}, "random_filler: true or false, got 'maybe'"),
        ("mqar", {"pairs": "400"}, "pairs: 1 to 16 fit"),
        ("various", {"most": "all"}, "most: an integer, or none, got 'all'"),
        ("various", {"order": "left"}, "order: one of up, down, got 'left'"),
        ("various", {"sizes": "1;2"}, "sizes: an integer each, separated by commas, got '1;2'"),
        ("various", {"ends": "1,2,3"}, "ends: a number each, separated by commas, 2 of them, got '1,2,3'"),
        ("various", {"other": "1"}, "other: cannot be set from text, got '1'"),
    ],
)
def test_bad_names_and_values(name, given, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        task_by_name(name, given)


@pytest.mark.parametrize(
    "given, message", [(["pairs"], "set: NAME=VALUE, got 'pairs'"), (["a=1", "a=2"], "set: a is given twice")]
)
def test_bad_settings(given, message):
    with pytest.raises(ValueError, match=message):
        settings_of(given)
