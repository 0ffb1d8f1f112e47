"""A task from its name and settings given as text, as the command line gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from recallscope.tasks.task import Task

_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_ATOMS: dict[Any, tuple[str, Callable[[str], Any]]] = {
    bool: ("true or false", lambda text: _BOOLEANS[text.lower()]),
    int: ("an integer", int),
    float: ("a number", float),
    str: ("text", str),
}


def task_by_name(name: str, options: Mapping[str, str] | None = None) -> Task:
    """The task `name`, its settings read from text by the type of the field; the others have their defaults.

    Numbers and text as they are, `true` and `false`, `none` where a setting may be None, commas between the numbers of
    a tuple. Raises `ValueError` for an unknown name or setting (and lists the known), or a value of another type.
    """
    from recallscope.tasks import TASKS  # type: ignore[attr-defined]

    if name not in TASKS:
        raise ValueError(f"task: one of {', '.join(TASKS)}, got {name!r}")
    chosen = TASKS[name]
    types, known = get_type_hints(chosen), [field.name for field in fields(chosen) if field.init]
    settings = {}
    for setting, text in (options or {}).items():
        if setting not in known:
            raise ValueError(f"set: {name} has no setting {setting!r}; it has {', '.join(known)}")
        rule, read = _reader(types[setting])
        try:
            settings[setting] = read(text.strip())
        except (KeyError, ValueError):
            raise ValueError(f"{setting}: {rule}, got {text!r}") from None
    return chosen(**settings)


def settings_of(given: Iterable[str]) -> dict[str, str]:
    """`["pairs=4", "length=64"]` as a dict; a setting stated twice is refused."""
    settings: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"set: NAME=VALUE, got {one!r}")
        if name.strip() in settings:
            raise ValueError(f"set: {name.strip()} is given twice")
        settings[name.strip()] = value
    return settings


def _reader(kind: Any) -> tuple[str, Callable[[str], Any]]:
    """What a field of this type accepts, in words, and the function that reads it."""
    if kind in _ATOMS:
        return _ATOMS[kind]
    parts = get_args(kind)
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, parts))}", {str(part): part for part in parts}.__getitem__
    if get_origin(kind) in (Union, UnionType) and NoneType in parts and len(parts) == 2:
        rule, read = _reader(next(part for part in parts if part is not NoneType))
        return f"{rule}, or none", lambda text: None if text.lower() == "none" else read(text)
    if (
        get_origin(kind) is tuple
        and parts
        and parts[0] in _ATOMS
        and (len(parts) == 1 or set(parts[1:]) <= {*parts, ...})
    ):
        return _tuple(parts)
    return "cannot be set from text", {}.__getitem__


def _tuple(parts: tuple[Any, ...]) -> tuple[str, Callable[[str], Any]]:
    rule, read = _ATOMS[parts[0]]
    count = None if parts[-1] is ... else len(parts)

    def split(text: str) -> tuple[Any, ...]:
        found = tuple(read(one.strip()) for one in text.split(","))
        if count is not None and len(found) != count:
            raise ValueError
        return found

    return f"{rule} each, separated by commas" + (f", {count} of them" if count else ""), split
