"""Values to JSON and back: one converter for every dataclass of the package. Layer: core.

`to_json` writes, `from_json` reads; `core.json_form` says how a class describes its JSON.
Reading is strict: a wrong type, a value out of its bounds, an unknown key or a missing one is an
`InputError` that names the place in the document, and so is what `__post_init__` refuses.
`salvage` reads what can be read of a damaged document.
"""

from __future__ import annotations

import base64
import enum
import math
import os
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, NoReturn, Self, TypeVar, cast

from relook.core.errors import InputError
from relook.core.json_form import (
    HEX,
    Between,
    Bound,
    JsonEntry,
    JsonShape,
    json_entries,
    json_keys,
    shape_of,
    short,
    split_marks,
)
from relook.core.json_writer import to_json
from relook.core.picture_paths import as_path

T = TypeVar("T")
V = TypeVar("V")


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


def from_json(kind: type[T], data: object, at: str = "", *, skip_unknown: bool = False) -> T:
    """A value of a type from what `json.loads` gives.

    Args:
        kind: A dataclass, or any type that a field of one may have.
        data: The document.
        at: Where in a larger document `data` is, for messages.
        skip_unknown: Whether keys that no class knows are skipped, however deep they are.

    Raises:
        InputError: the document does not fit; the message names the first place in it that does
            not and counts the others, and the code is that of the innermost class (`json_shape`),
            or of what `__post_init__` refused.
    """
    shape = shape_of(kind) if isinstance(kind, type) else JsonShape()
    try:
        return cast(T, _read(kind, data, _Place(at, shape, skip_unknown)))
    except _Misfits as misfits:
        first, *others = misfits.errors
        if not others:
            raise first from None
        message = f"{first.message} (and {len(others)} more)"
        raise type(first)(first.code, message, first.hint) from None


def salvage(kind: type[T], data: object) -> tuple[T, tuple[str, ...]]:
    """A dataclass whose fields all have defaults, from a document in any shape.

    Returns:
        The value, with the default in each field that cannot be read; and a problem for each.
    """
    if not isinstance(data, Mapping):
        return kind(), (f"{short(data)} is no object",)
    arguments: dict[str, Any] = {}
    problems: list[str] = []
    for entry in json_entries(cast(Any, kind)):
        if entry.key in data:
            try:
                arguments[entry.name] = from_json(
                    entry.marked, data[entry.key], entry.key, skip_unknown=True
                )
            except InputError as error:
                problems.append(error.message)
    return kind(**arguments), tuple(problems)


class _Misfits(Exception):  # noqa: N818 -- never leaves this module
    """The places of a document that do not fit, in their order."""

    def __init__(self, *errors: InputError) -> None:
        super().__init__()
        self.errors = errors


@dataclass(frozen=True, slots=True)
class _Place:
    """A place in a document: `parts[2].weight`, and the shape of the class it belongs to."""

    path: str
    shape: JsonShape
    skip_unknown: bool

    def inside(self, step: str) -> _Place:
        joined = self.path + step if self.path else step.removeprefix(".")
        return _Place(joined, self.shape, self.skip_unknown)

    def refuse(self, problem: str) -> NoReturn:
        message = f"{self.path}: {problem}" if self.path else problem
        raise _Misfits(self.shape.error(self.shape.code, message))


def _read(kind: Any, data: Any, place: _Place) -> Any:
    """A value of any type that a field may have, within the bounds that its marks give."""
    kind, marks = split_marks(kind)
    for mark in marks:  # lengths first: nothing large is built of what is refused
        if isinstance(mark, Between) or not isinstance(mark, Bound):
            continue
        if problem := mark.problem(data):
            place.refuse(problem)
    reader = _read_hex if HEX in marks else _reader(typing.get_origin(kind) or kind)
    value = reader(kind, data, place)
    for mark in marks:
        if isinstance(mark, Between) and (problem := mark.problem(value)):
            place.refuse(problem)
    return value


def _read_each(reads: Iterable[Callable[[], V]]) -> list[V]:
    """What each call gives; when some do not fit, the error has the places of all of them."""
    values: list[V] = []
    errors: list[InputError] = []
    for read in reads:
        try:
            values.append(read())
        except _Misfits as misfits:
            errors += misfits.errors
    if errors:
        raise _Misfits(*errors)
    return values


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
        place.refuse(f"{short(data)} is none of: {', '.join(map(repr, values))}")
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
        except _Misfits:
            continue
    return _read(last, data, place)


def _read_enum(kind: type[enum.Enum], data: Any, place: _Place) -> enum.Enum:
    by_value = {repr(member.value): member for member in kind}  # 1 is not true
    if repr(data) not in by_value:
        place.refuse(f"{short(data)} is none of: {', '.join(by_value)}")
    return by_value[repr(data)]


def _read_mapping(kind: Any, data: Any, place: _Place) -> dict[Any, Any]:
    """A mapping; keys that are numbers are text in JSON."""
    if not isinstance(data, Mapping):
        place.refuse(f"{short(data)} is no object")
    key_kind, item_kind = typing.get_args(kind) or (str, Any)

    def read(key: Any, item: Any) -> tuple[Any, Any]:
        inner = place.inside(f"[{key!s:.40}]")
        numbered = key_kind is int and isinstance(key, str) and key.lstrip("-").isdecimal()
        return (
            _read(key_kind, int(key) if numbered else key, inner),
            _read(item_kind, item, inner),
        )

    return dict(_read_each(partial(read, key, item) for key, item in data.items()))


def _read_collection(kind: Any, data: Any, place: _Place) -> Any:
    """A list, a tuple, a set."""
    origin = typing.get_origin(kind) or kind
    if not isinstance(data, list | tuple):
        place.refuse(f"{short(data)} is no list")
    kinds = typing.get_args(kind) or (Any, ...)
    if origin is tuple and kinds[-1] is not ...:
        _check_length(data, len(kinds), place)
    else:
        kinds = (kinds[0],) * len(data)
    items = _read_each(
        partial(_read, inner, item, place.inside(f"[{n}]"))
        for n, (inner, item) in enumerate(zip(kinds, data, strict=True))
    )
    return origin(items) if origin in (tuple, set, frozenset) else items


def _check_length(data: Sequence[Any], n: int, place: _Place) -> None:
    if len(data) != n:
        place.refuse(f"{short(data)} has {len(data)} values, not {n}")


def _read_object(cls: Any, data: Any, outer: _Place) -> Any:
    """A dataclass from its object, or from its list where its shape says so."""
    place = replace(outer, shape=shape_of(cls))
    entries = json_entries(cls)
    if place.shape.as_list:
        if not isinstance(data, list | tuple):
            place.refuse(f"{short(data)} is no list")
        _check_length(data, len(entries), place)
        data = {entry.key: item for entry, item in zip(entries, data, strict=True)}
    if not isinstance(data, Mapping):
        place.refuse(f"{short(data)} is no object")
    if not (place.shape.ignore_unknown or place.skip_unknown):
        for key in data:
            if key not in json_keys(cls):
                place.refuse(f"the key {short(key)} is not known")
    reads = _arguments(entries, data, place)
    arguments = dict(zip(reads, _read_each(reads.values()), strict=True))
    try:
        return cls(**arguments)
    except InputError as error:
        message = f"{place.path}: {error.message}" if place.path else error.message
        raise _Misfits(type(error)(error.code, message, error.hint)) from error


def _arguments(
    entries: Sequence[JsonEntry], data: Mapping[Any, Any], place: _Place
) -> dict[str, Callable[[], Any]]:
    """What reads each field that a document gives; fields with a default may be left out."""
    reads: dict[str, Callable[[], Any]] = {}
    for entry in entries:
        inner = place.inside(f"[{entry.name}]" if place.shape.as_list else f".{entry.key}")
        if entry.computed:
            continue
        if entry.inline:
            own = {key: item for key, item in data.items() if key in json_keys(entry.kind)}
            reads[entry.name] = partial(_read_object, entry.kind, own, place)
        elif entry.key in data:
            reads[entry.name] = partial(_read, entry.marked, data[entry.key], inner)
        elif entry.required or entry.key in place.shape.needs:
            reads[entry.name] = partial(inner.refuse, "it is missing")
    return reads


# ---- one reader for each plain type


def _read_text(_: Any, data: Any, place: _Place) -> str:
    if not isinstance(data, str):
        place.refuse(f"{short(data)} is no text")
    if any("\ud800" <= letter <= "\udfff" for letter in data):  # half of a character
        place.refuse(f"{short(data)} is no text that can be kept")
    return data


def _read_bool(_: Any, data: Any, place: _Place) -> bool:
    return (
        data if isinstance(data, bool) else place.refuse(f"{short(data)} is neither true nor false")
    )


def _read_int(_: Any, data: Any, place: _Place) -> int:
    if isinstance(data, bool) or not isinstance(data, int):
        place.refuse(f"{short(data)} is no whole number")
    return data


def _read_float(_: Any, data: Any, place: _Place) -> float:
    if isinstance(data, bool) or not isinstance(data, int | float):
        place.refuse(f"{short(data)} is no finite number")
    if abs(data) > sys.float_info.max or math.isnan(data):  # a whole number may be that long, too
        place.refuse(f"{short(data)} is no finite number")
    return float(data)


def _read_path(_: Any, data: Any, place: _Place) -> Path:
    if not isinstance(data, str) or "\0" in data:
        place.refuse(f"{short(data)} is no path")
    try:
        return as_path(os.fsencode(data))
    except UnicodeEncodeError:
        place.refuse(f"{short(data)} is no path")


def _read_bytes(_: Any, data: Any, place: _Place) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (TypeError, ValueError):
        place.refuse(f"{short(data)} is no base64")


def _read_hex(_: Any, data: Any, place: _Place) -> bytes:
    text = _read_text(str, data, place)
    try:
        return bytes.fromhex(text)
    except ValueError:
        place.refuse(f"{short(text)} is no row of hexadecimal digits")


def _read_none(_: Any, data: Any, place: _Place) -> None:
    return None if data is None else place.refuse(f"{short(data)} is not null")


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
