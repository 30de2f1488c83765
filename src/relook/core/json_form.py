"""What a dataclass says of its JSON: marks on fields, and what follows from them. Layer: core.

Without a word each field is a key of its name. A mark in the field's type changes that:

    score: Annotated[float, Digits(6)]             rounded to six digits
    text: Annotated[str, Key("page_text")]         under another key
    crop: Annotated[Floats | None, HIDDEN]         not in the JSON
    match: Annotated[Match, INLINE]                its keys stand beside the others
    results: Annotated[tuple[ProviderResult, ...], Without("matches")]
    def n_skipped(self) -> Annotated[int, SHOWN]   a key as well (on a property)

A class variable `json_shape` says what concerns the whole class. `core.converter` reads both.
"""

from __future__ import annotations

import enum
import functools
import typing
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Annotated, Any

from relook.core.errors import InputError

__all__ = [
    "HIDDEN", "INLINE", "SHOWN", "Digits", "JsonEntry", "JsonShape", "Key", "Without",
    "json_entries", "json_keys", "shape_of", "split_marks",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Digits:
    """A number is rounded to so many digits after the point."""

    n: int


@dataclass(frozen=True, slots=True)
class Key:
    """The key in the JSON object, where it is not the field's name."""

    name: str


@dataclass(frozen=True, slots=True)
class Without:
    """The values inside this field are written without these keys."""

    keys: tuple[str, ...]

    def __init__(self, *keys: str) -> None:
        object.__setattr__(self, "keys", keys)


class _Mark(enum.Enum):
    HIDDEN = "hidden"
    INLINE = "inline"
    SHOWN = "shown"


HIDDEN = _Mark.HIDDEN
INLINE = _Mark.INLINE
SHOWN = _Mark.SHOWN


@dataclass(frozen=True, slots=True)
class JsonShape:
    """How a whole class looks as JSON.

    Args:
        as_list: A list of the fields' values instead of an object.
        leave_out_none: A field that is None has no key.
        ignore_unknown: Keys that no field has are skipped when reading (a newer version's).
        code, error: Of the error when a document does not fit.
    """

    as_list: bool = False
    leave_out_none: bool = False
    ignore_unknown: bool = False
    code: str = "bad_document"
    error: type[InputError] = InputError


@dataclass(frozen=True, slots=True)
class JsonEntry:
    """One key of a class, or the keys of an inline field."""

    name: str
    key: str
    kind: Any
    required: bool = False
    computed: bool = False
    digits: int | None = None
    inline: bool = False
    without: frozenset[str] = frozenset()


@functools.cache
def json_entries(cls: Any) -> tuple[JsonEntry, ...]:
    """The keys of a class: its fields in their order, then the properties that are shown."""
    hints = typing.get_type_hints(cls, include_extras=True)
    entries = []
    for field in fields(cls):
        kind, marks = split_marks(hints[field.name])
        if HIDDEN not in marks:
            required = field.default is MISSING and field.default_factory is MISSING
            entries.append(_entry(field.name, kind, marks, required=required))
    for name, value in ((n, v) for base in cls.__mro__ for n, v in vars(base).items()):
        if isinstance(value, property):
            returned = typing.get_type_hints(value.fget, include_extras=True).get("return")
            kind, marks = split_marks(returned)
            if SHOWN in marks:
                entries.append(_entry(name, kind, marks, computed=True))
    return tuple(entries)


@functools.cache
def json_keys(cls: Any) -> frozenset[str]:
    """Every key of a class, those of its inline fields among them."""
    keys: set[str] = set()
    for entry in json_entries(cls):
        has_fields = entry.inline and is_dataclass(entry.kind)
        keys |= json_keys(entry.kind) if has_fields else {entry.key}
    return frozenset(keys)


def _entry(
    name: str, kind: Any, marks: Sequence[object], *, required: bool = False, computed: bool = False
) -> JsonEntry:
    keys = [mark.name for mark in marks if isinstance(mark, Key)]
    digits = [mark.n for mark in marks if isinstance(mark, Digits)]
    without = [key for mark in marks if isinstance(mark, Without) for key in mark.keys]
    return JsonEntry(
        name,
        keys[0] if keys else name,
        kind,
        required=required,
        computed=computed,
        digits=digits[0] if digits else None,
        inline=INLINE in marks,
        without=frozenset(without),
    )


def split_marks(kind: Any) -> tuple[Any, tuple[object, ...]]:
    """A type without its marks, and the marks."""
    if typing.get_origin(kind) is Annotated:
        return kind.__origin__, kind.__metadata__
    return kind, ()


def shape_of(cls: Any) -> JsonShape:
    """How a class as a whole looks."""
    shape: JsonShape = getattr(cls, "json_shape", JsonShape())
    return shape
