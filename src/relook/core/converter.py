"""Values to JSON and back: one converter for every dataclass of the package. Layer: core.

`to_json` writes, `from_json` reads; `core.json_form` says how a class describes its JSON.
Reading is strict: a wrong type, an unknown key or a missing one is an `InputError` that names
the place in the document, and so is what `__post_init__` refuses.
"""

from __future__ import annotations

import base64
import enum
import math
import os
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NoReturn, Self, TypeVar, cast

import numpy as np

from relook.core.errors import InputError
from relook.core.json_form import (
    JsonEntry,
    JsonShape,
    json_entries,
    json_keys,
    shape_of,
    split_marks,
)
from relook.core.picture_paths import as_path

__all__ = ["JsonValue", "from_json", "to_json"]

T = TypeVar("T")

_LONGEST = 80  # characters of a value that a message repeats


class JsonValue:
    """A dataclass with a JSON form."""

    __slots__ = ()
    json_shape: ClassVar[JsonShape] = JsonShape()

    def as_dict(self, *, pictures: bool = False) -> dict[str, Any]:
        """The JSON object; see `to_json`."""
        return cast("dict[str, Any]", to_json(self, pictures=pictures))

    @classmethod
    def from_dict(cls, values: object) -> Self:
        """The inverse of `as_dict`; see `from_json`."""
        return from_json(cls, values)


def to_json(
    value: object, *, pictures: bool = False, without: AbstractSet[str] = frozenset()
) -> Any:
    """What `json.dumps` takes: dataclasses as objects, paths as text, enums as their value.

    Args:
        value: A dataclass, a collection of them, or anything a field of one may hold.
        pictures: Whether bytes are given, as base64; they are null otherwise.
        without: Keys that the outermost objects leave out.

    Raises:
        TypeError: the value has no JSON form.
    """
    if isinstance(value, enum.Enum):
        return value.value
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return _object(value, pictures, without)
    if isinstance(value, Mapping):
        return {str(key): to_json(item, pictures=pictures) for key, item in value.items()}
    if isinstance(value, Sequence | AbstractSet) and not isinstance(value, bytes):
        return [to_json(item, pictures=pictures, without=without) for item in value]
    return _leaf(value, pictures)


def _leaf(value: object, pictures: bool) -> Any:
    """A path, numbers of numpy, or bytes."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode() if pictures else None
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form: {value!r}")


def _object(value: Any, pictures: bool, without: AbstractSet[str]) -> Any:
    """A dataclass as an object, or as a list where its shape says so."""
    cls: Any = type(value)
    shape = shape_of(cls)
    if shape.as_list:
        return [to_json(getattr(value, field.name)) for field in fields(value)]
    result: dict[str, Any] = {}
    for entry in json_entries(cls):
        if entry.key in without:
            continue
        item = getattr(value, entry.name)
        if item is None and shape.leave_out_none:
            continue
        shown = to_json(item, pictures=pictures, without=entry.without)
        if entry.digits is not None:
            shown = _rounded(shown, entry.digits)
        result |= shown if entry.inline else {entry.key: shown}
    return result


def _rounded(value: Any, digits: int) -> Any:
    """The numbers of a value rounded, however deep they are."""
    if isinstance(value, dict):
        return {key: _rounded(item, digits) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item, digits) for item in value]
    return round(value, digits) if isinstance(value, float) else value


def from_json(kind: type[T], data: object, at: str = "") -> T:
    """A value of a type from what `json.loads` gives.

    Args:
        kind: A dataclass, or any type that a field of one may have.
        data: The document.
        at: Where in a larger document `data` is, for messages.

    Raises:
        InputError: the document does not fit; the message names the place in it, and the code
            is that of the innermost class (`json_shape`), or of what `__post_init__` refused.
    """
    shape = shape_of(kind) if isinstance(kind, type) else JsonShape()
    return cast(T, _read(kind, data, _Place(at, shape)))


@dataclass(frozen=True, slots=True)
class _Place:
    """A place in a document: `parts[2].weight`, and the shape of the class it belongs to."""

    path: str
    shape: JsonShape

    def inside(self, step: str) -> _Place:
        joined = self.path + step if self.path else step.removeprefix(".")
        return _Place(joined, self.shape)

    def refuse(self, wanted: str, value: object) -> NoReturn:
        raise self.error(f"{wanted} is wanted, not {_short(value)}")

    def error(self, message: str) -> InputError:
        return self.shape.error(
            self.shape.code, f"{self.path}: {message}" if self.path else message
        )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " ..."


def _read(kind: Any, data: Any, place: _Place) -> Any:
    """A value of any type that a field may have."""
    kind, _ = split_marks(kind)
    return _reader(typing.get_origin(kind) or kind)(kind, data, place)


def _reader(origin: Any) -> _Reader:
    """What reads values of a type."""
    if origin in _READERS:
        return _READERS[origin]
    if is_dataclass(origin):
        return _read_object
    if issubclass(origin, enum.Enum):
        return _read_enum
    return _read_mapping if issubclass(origin, Mapping) else _read_collection


def _read_literal(kind: Any, data: Any, place: _Place) -> Any:
    if data not in (values := typing.get_args(kind)):
        place.refuse("one of " + ", ".join(map(repr, values)), data)
    return data


def _read_union(kind: Any, data: Any, place: _Place) -> Any:
    """The first type of several that the value fits; the error is that of the last."""
    kinds = typing.get_args(kind)
    if data is None and types.NoneType in kinds:
        return None
    *others, last = [member for member in kinds if member is not types.NoneType]
    for other in others:
        try:
            return _read(other, data, place)
        except InputError:
            continue
    return _read(last, data, place)


def _read_enum(kind: type[enum.Enum], data: Any, place: _Place) -> enum.Enum:
    by_value = {repr(member.value): member for member in kind}  # 1 is not true
    if repr(data) not in by_value:
        place.refuse("one of " + ", ".join(by_value), data)
    return by_value[repr(data)]


def _read_mapping(kind: Any, data: Any, place: _Place) -> dict[Any, Any]:
    """A mapping; keys that are numbers are text in JSON."""
    if not isinstance(data, Mapping):
        place.refuse("an object", data)
    key_kind, item_kind = typing.get_args(kind) or (str, Any)
    result = {}
    for key, item in data.items():
        inner = place.inside(f"[{key!r}]")
        numbered = key_kind is int and isinstance(key, str) and key.lstrip("-").isdecimal()
        result[_read(key_kind, int(key) if numbered else key, inner)] = _read(
            item_kind, item, inner
        )
    return result


def _read_collection(kind: Any, data: Any, place: _Place) -> Any:
    """A list, a tuple, a set."""
    origin = typing.get_origin(kind) or kind
    if not isinstance(data, list | tuple):
        place.refuse("a list", data)
    kinds = typing.get_args(kind) or (Any, ...)
    if origin is tuple and kinds[-1] is not ...:
        if len(kinds) != len(data):
            place.refuse(f"a list of {len(kinds)}", data)
    else:
        kinds = (kinds[0],) * len(data)
    items = [
        _read(inner, item, place.inside(f"[{n}]"))
        for n, (inner, item) in enumerate(zip(kinds, data, strict=True))
    ]
    return origin(items) if origin in (tuple, set, frozenset) else items


def _read_object(cls: Any, data: Any, outer: _Place) -> Any:
    """A dataclass from its object, or from its list where its shape says so."""
    place = _Place(outer.path, shape_of(cls))
    entries = json_entries(cls)
    if place.shape.as_list:
        if not isinstance(data, list | tuple) or len(data) != len(entries):
            place.refuse(f"a list of {len(entries)}", data)
        data = {entry.key: item for entry, item in zip(entries, data, strict=True)}
    if not isinstance(data, Mapping):
        place.refuse("an object", data)
    if not place.shape.ignore_unknown:
        for key in data:
            if key not in json_keys(cls):
                raise place.error(f"the key {key!r} is not known")
    arguments = {entry.name: value for entry, value in _arguments(entries, data, place)}
    try:
        return cls(**arguments)
    except InputError as error:
        if not place.path or error.message.startswith(place.path):
            raise
        raise type(error)(error.code, f"{place.path}: {error.message}", error.hint) from error


def _arguments(
    entries: Sequence[JsonEntry], data: Mapping[Any, Any], place: _Place
) -> Iterator[tuple[JsonEntry, Any]]:
    """The fields that a document gives, read; fields with a default may be left out."""
    for entry in entries:
        if entry.computed:
            continue
        if entry.inline:
            own = {key: item for key, item in data.items() if key in json_keys(entry.kind)}
            yield entry, _read_object(entry.kind, own, place)
        elif entry.key in data:
            step = f"[{entry.name}]" if place.shape.as_list else f".{entry.key}"
            yield entry, _read(entry.kind, data[entry.key], place.inside(step))
        elif entry.required:
            raise place.error(f"the key {entry.key!r} is missing")


# ---- one reader for each plain type


def _read_text(_: Any, data: Any, place: _Place) -> str:
    return data if isinstance(data, str) else place.refuse("text", data)


def _read_bool(_: Any, data: Any, place: _Place) -> bool:
    return data if isinstance(data, bool) else place.refuse("true or false", data)


def _read_int(_: Any, data: Any, place: _Place) -> int:
    if isinstance(data, bool) or not isinstance(data, int):
        place.refuse("a whole number", data)
    return data


def _read_float(_: Any, data: Any, place: _Place) -> float:
    if isinstance(data, bool) or not isinstance(data, int | float):
        place.refuse("a number", data)
    try:
        number = float(data)
    except OverflowError:
        place.refuse("a smaller number", data)
    return number if math.isfinite(number) else place.refuse("a finite number", data)


def _read_path(_: Any, data: Any, place: _Place) -> Path:
    if not isinstance(data, str) or "\0" in data:
        place.refuse("a path", data)
    try:
        return as_path(os.fsencode(data))
    except UnicodeEncodeError:
        place.refuse("a path", data)


def _read_bytes(_: Any, data: Any, place: _Place) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (TypeError, ValueError):
        place.refuse("base64", data)


def _read_none(_: Any, data: Any, place: _Place) -> None:
    return None if data is None else place.refuse("null", data)


def _read_anything(_: Any, data: Any, __: _Place) -> Any:
    return data


_Reader = Callable[[Any, Any, _Place], Any]

_READERS: Mapping[Any, _Reader] = {
    Any: _read_anything,
    object: _read_anything,
    types.UnionType: _read_union,
    typing.Union: _read_union,
    Literal: _read_literal,
    str: _read_text,
    bool: _read_bool,
    int: _read_int,
    float: _read_float,
    Path: _read_path,
    bytes: _read_bytes,
    types.NoneType: _read_none,
}
