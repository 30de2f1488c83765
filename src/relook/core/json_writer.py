"""Values to JSON: the writing half of `core.converter`, which gives it to others. Layer: core."""

import base64
import enum
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from relook.core.json_form import JsonEntry, json_entries, shape_of
from relook.core.picture_paths import printable

Text = Callable[[bytes | str], str]


def to_json(
    value: object,
    *,
    pictures: bool = False,
    without: AbstractSet[str] = frozenset(),
    text: Text | None = None,
) -> Any:
    """What `json.dumps` takes: dataclasses as objects, paths as text, enums as their value.

    Args:
        value: A dataclass, a collection of them, or anything a field of one may hold.
        pictures: Whether bytes are given, as base64; they are null otherwise.
        without: Keys that the outermost objects leave out.
        text: Makes what any reader takes of each text and of each path's bytes; numbers without
            end are null then. All are written as they are when None.

    Raises:
        TypeError: the value has no JSON form.
    """
    return _json(value, _Form(pictures, text), frozenset(without))


@dataclass(frozen=True, slots=True)
class _Form:
    """How everything inside a value is written; see `to_json`."""

    pictures: bool
    text: Text | None

    def plain(self, value: Any) -> Any:
        """A text, a number, a truth value, nothing, or what an enum stands for."""
        if isinstance(value, enum.Enum):
            return value.value
        if self.text is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        return None if isinstance(value, float) and not math.isfinite(value) else value


_EVERY_KEY: frozenset[str] = frozenset()
# What most values are, known by their type alone: asking for kinds of it takes three times as long.
_AS_THEY_ARE = frozenset((bool, int, type(None)))


def _json(value: object, form: _Form, without: frozenset[str] = _EVERY_KEY) -> Any:
    if type(value) in _AS_THEY_ARE:
        return value
    if isinstance(value, str | float | bool | int | enum.Enum):
        return form.plain(value)
    if is_dataclass(value) and not isinstance(value, type):
        return _object(value, form, without)
    if isinstance(value, Mapping):
        return {form.plain(str(key)): _json(item, form) for key, item in value.items()}
    if isinstance(value, Sequence | AbstractSet) and not isinstance(value, bytes):
        return [_json(item, form, without) for item in value]
    return _leaf(value, form)


def _leaf(value: object, form: _Form) -> Any:
    """A path, numbers of numpy, or bytes."""
    if isinstance(value, Path):
        return str(value) if form.text is None else form.text(bytes(value))
    if isinstance(value, bytes):
        return base64.b64encode(value).decode() if form.pictures else None
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form: {value!r}")


@functools.cache
def _written(cls: Any, without: frozenset[str]) -> tuple[tuple[str, str, JsonEntry, bool], ...]:
    """Of each key of a class its field, the key, all of the entry, whether a value is only put."""
    return tuple(
        (
            entry.name, entry.key, entry,
            not (entry.inline or entry.hex or entry.path or entry.digits is not None),
        )
        for entry in json_entries(cls)
        if entry.key not in without
    )  # fmt: skip


def _object(value: Any, form: _Form, without: frozenset[str]) -> Any:
    """A dataclass as an object, or as a list where its shape says so."""
    cls: Any = type(value)
    shape = shape_of(cls)
    if shape.as_list:
        return [_json(getattr(value, field.name), form) for field in fields(value)]
    result: dict[str, Any] = {}
    for name, key, entry, is_put in _written(cls, without):
        item = getattr(value, name)
        if item is None:
            if not shape.leave_out_none:
                result[key] = None
        elif is_put:
            result[key] = _json(item, form, entry.without)
        else:
            shown = _marked(item, entry, form)
            result |= shown if entry.inline else {key: shown}
    return result


def _marked(item: Any, entry: JsonEntry, form: _Form) -> Any:
    """What is written of a field whose marks change it."""
    if entry.hex:
        item = item.hex()
    if entry.path:
        item = _paths(item)
    shown = _json(item, form, entry.without)
    return shown if entry.digits is None else _rounded(shown, entry.digits)


def _paths(value: Any) -> Any:
    """The paths of a value as text, however deep they are."""
    if isinstance(value, bytes):
        return printable(value)
    return [_paths(item) for item in value] if isinstance(value, list | tuple) else value


def _rounded(value: Any, digits: int) -> Any:
    """The numbers of a value rounded, however deep they are."""
    if isinstance(value, dict):
        return {key: _rounded(item, digits) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item, digits) for item in value]
    return round(value, digits) if isinstance(value, float) else value
