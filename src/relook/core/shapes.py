"""Values from JSON and back, by one strict converter over frozen dataclasses. Layer: core.

A dataclass describes what JSON may be: names, types, and bounds in `Annotated`. Nothing is
converted on the way: `"5"` and `true` are no numbers, a text is no list, and NaN is nothing.
Keys that the dataclass does not name are left alone, so that newer files can be read.

    structure(Entry, {"weight": 2.0})       the value, or a `ShapeError` that names the place
    salvage(Record, {"notes": 1.5})         what can be read, and what could not
    unstructure(entry)                      JSON again
"""

from __future__ import annotations

import collections.abc
import dataclasses
import math
import os
import reprlib
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import repeat
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, TypeVar, get_args, get_origin

from cattrs import (
    BaseValidationError,
    Converter,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn, override

from relook.core.errors import RelookError
from relook.core.types import Box, Query

__all__ = [
    "Between",
    "FewStars",
    "Longest",
    "OneOf",
    "ShapeError",
    "salvage",
    "structure",
    "unstructure",
]  # fmt: skip

T = TypeVar("T")
Hook = Callable[[Any, Any], Any]
_MAX_INT = 2**63 - 1  # what SQLite keeps
_SHOWN = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxother = 60


class ShapeError(ValueError):
    """JSON that is not what its dataclass says.

    Args:
        problems: One sentence each, with the place: `rounds[2].number: 'x' is no number`.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(f"{problems[0]}{more}")
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Between:
    """A number from `low` to `high`; `low` itself is outside when `above` is set."""

    low: float
    high: float
    above: bool = False

    def __call__(self, value: Any) -> None:
        """Raises ValueError for a number outside."""
        if not self.low <= value <= self.high or (self.above and value == self.low):
            low = f"above {self.low:g}" if self.above else f"{self.low:g} or more"
            raise ValueError(f"{_shown(value)} is not {low} and at most {self.high:g}")


@dataclass(frozen=True, slots=True)
class Longest:
    """A text, a list or an object of at most `n` characters, values or keys."""

    n: int

    def __call__(self, value: Any) -> None:
        """Raises ValueError for a longer one."""
        if isinstance(value, str | list | dict) and len(value) > self.n:
            kind = {str: "characters", list: "values", dict: "keys"}[type(value)]
            raise ValueError(f"{len(value):,} {kind} are more than {self.n:,}")


@dataclass(frozen=True, slots=True)
class FewStars:
    """A pattern of at most `n` stars: each further one multiplies what comparing may cost."""

    n: int

    def __call__(self, value: Any) -> None:
        """Raises ValueError for more."""
        if isinstance(value, str) and value.count("*") > self.n:
            raise ValueError(f"{_shown(value)} has more than {self.n} stars")


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of these texts."""

    values: tuple[str, ...]

    def __call__(self, value: Any) -> None:
        """Raises ValueError for another one."""
        if isinstance(value, str) and value not in self.values:
            raise ValueError(f"{_shown(value)} is none of: {', '.join(self.values)}")


_LENGTHS = (Longest, FewStars, OneOf)  # looked at before anything is built
_BOUNDS = (*_LENGTHS, Between)


def structure(kind: Any, values: object) -> Any:
    """A value of the given type.

    Args:
        kind: A dataclass, or any type that one may have as a field.
        values: What `json.loads` gave.

    Raises:
        ShapeError: naming every place that does not fit.
    """
    try:
        return _converter().structure(values, kind)
    except BaseValidationError as error:
        raise ShapeError(tuple(_problems(error, ""))) from error
    except (ValueError, TypeError) as error:
        raise ShapeError((_words(error),)) from error


def salvage(kind: type[T], values: object) -> tuple[T, tuple[str, ...]]:
    """A dataclass whose fields all have defaults, from JSON in any shape.

    Returns:
        The value, with the default in each field that cannot be read; and a problem for each.
    """
    try:
        return typing.cast(T, structure(kind, values)), ()
    except ShapeError as error:
        if not isinstance(values, Mapping):
            return kind(), error.problems
    fields: dict[str, Any] = {}
    problems: list[str] = []
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(typing.cast(Any, kind)):
        if field.name not in values:
            continue
        try:
            fields[field.name] = structure(hints[field.name], values[field.name])
        except ShapeError as error:
            problems.append(f"{field.name}: {error.problems[0]}")
    return kind(**fields), tuple(problems)


def unstructure(value: object) -> Any:
    """A value as JSON has it."""
    return _converter().unstructure(value)


def _problems(error: BaseException, path: str) -> list[str]:
    """One sentence for each leaf of a tree of errors."""
    if not isinstance(error, BaseValidationError):
        return [f"{path}: {_words(error)}" if path else _words(error)]
    noted, plain = error.group_exceptions()  # type: ignore[attr-defined]
    found = []
    for inner, note in noted:
        member = isinstance(note, IterableValidationNote)
        step = f"[{note.index!s:.40}]" if member else f".{note.name}"
        found += _problems(inner, f"{path}{step}".lstrip("."))
    for inner in plain:
        found += _problems(inner, path)
    return found


def _words(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return "it is missing"
    return error.message if isinstance(error, RelookError) else str(error)


def _shown(value: object) -> str:
    return _SHOWN.repr(value)


@cache
def _converter() -> Converter:
    made = Converter(detailed_validation=True)
    for kind, hook in _PRIMITIVES.items():
        made.register_structure_hook(kind, hook)
    made.register_structure_hook_factory(dataclasses.is_dataclass, lambda k: _of_object(k, made))
    made.register_structure_hook(Box, _box)
    made.register_structure_hook_factory(
        lambda kind: _origin(kind) is tuple, lambda kind: _of_list(kind, made)
    )
    made.register_structure_hook_factory(
        lambda kind: _origin(kind) is collections.abc.Mapping, lambda kind: _of_mapping(kind, made)
    )
    made.register_structure_hook_factory(_is_bounded, lambda kind: _bounded(kind, made))
    made.register_unstructure_hook(Box, Box.as_list)
    made.register_unstructure_hook(Query, Query.as_dict)
    made.register_unstructure_hook(bytes, bytes.hex)
    made.register_unstructure_hook(Path, str)
    return made


def _origin(kind: Any) -> Any:
    found: Any = get_origin(kind)
    return found


def _is_bounded(kind: Any) -> bool:
    return _origin(kind) is Annotated and any(isinstance(one, _BOUNDS) for one in get_args(kind))


def _bounded(kind: Any, converter: Converter) -> Hook:
    base, *notes = get_args(kind)
    hook = converter.get_structure_hook(base)
    before = [one for one in notes if isinstance(one, _LENGTHS)]
    after = [one for one in notes if isinstance(one, Between)]

    def made(value: Any, _: Any) -> Any:
        for bound in before:
            bound(value)
        built = hook(value, base)
        for range_of in after:
            range_of(built)
        return built

    return made


def _of_object(kind: Any, converter: Converter) -> Hook:
    # Without this, notes on types that are written as text would be lost.
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {
        field.name: override(struct_hook=_of_field(hints[field.name], converter))
        for field in dataclasses.fields(kind)
    }
    hook = make_dict_structure_fn(kind, converter, **fields)  # type: ignore[arg-type]

    def made(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError(f"{_shown(value)} is no object")
        return hook(typing.cast(Any, value), kind)

    return made


def _of_field(hint: Any, converter: Converter) -> Hook:
    hook = converter.get_structure_hook(hint)
    return lambda value, _: hook(value, hint)


def _of_list(kind: Any, converter: Converter) -> Hook:
    members = get_args(kind)
    same = members[-1] is Ellipsis
    hooks = [(converter.get_structure_hook(one), one) for one in members if one is not Ellipsis]

    def made(value: Any, _: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{_shown(value)} is no list")
        if not same and len(value) != len(hooks):
            raise ValueError(f"{_shown(value)} has {len(value)} values, not {len(hooks)}")
        chosen = repeat(hooks[0]) if same else hooks
        return tuple(_each(enumerate(zip(value, chosen)), kind))  # noqa: B905 -- may be endless

    return made


def _of_mapping(kind: Any, converter: Converter) -> Hook:
    of_key, of_value = ((converter.get_structure_hook(one), one) for one in get_args(kind))

    def made(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError(f"{_shown(value)} is no object")
        keys = _each(((key, (key, of_key)) for key in value), kind)
        built = _each(((key, (one, of_value)) for key, one in value.items()), kind)
        return dict(zip(keys, built, strict=True))

    return made


def _each(items: Iterable[tuple[Any, tuple[Any, tuple[Hook, Any]]]], kind: Any) -> list[Any]:
    """(place, (value, (hook, type))) of each member -> the members, or all that is wrong."""
    built, errors = [], []
    for place, (value, (hook, member)) in items:
        try:
            built.append(hook(value, member))
        except (ValueError, TypeError, BaseValidationError) as error:
            error.add_note(IterableValidationNote("", place, member))
            errors.append(error)
    if errors:
        raise IterableValidationError("", errors, kind)
    return built


def _box(value: Any, _: Any) -> Box:
    edges: tuple[float, ...] = structure(tuple[float, float, float, float], value)
    for low, high, name in ((0, 2, "x"), (1, 3, "y")):
        if 0 <= edges[high] <= edges[low] <= 1:
            raise ValueError(f"{name}0 {edges[low]:g} is not below {name}1 {edges[high]:g}")
    return Box(*value)  # as it was written: 0 stays 0


def _int(value: Any, _: Any) -> int:
    if type(value) is not int or abs(value) > _MAX_INT:
        raise ValueError(f"{_shown(value)} is no whole number that can be kept")
    return value


def _float(value: Any, _: Any) -> float:
    number = type(value) in (int, float) and (type(value) is float or abs(value) <= _MAX_INT)
    if not number or not math.isfinite(value):
        raise ValueError(f"{_shown(value)} is no finite number")
    return float(value)


def _bool(value: Any, _: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{_shown(value)} is neither true nor false")
    return value


def _text(value: Any, _: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{_shown(value)} is no text")
    if any("\ud800" <= letter <= "\udfff" for letter in value):  # half of a character
        raise ValueError(f"{_shown(value)} is no text that can be kept")
    return value


def _bytes(value: Any, _: Any) -> bytes:
    text = _text(value, str)
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"{_shown(text)} is no row of hexadecimal digits") from None


def _path(value: Any, _: Any) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"{_shown(value)} is no path")
    try:
        os.fsencode(value)  # a name that is no text has a spelling of its own
    except UnicodeEncodeError:
        raise ValueError(f"{_shown(value)} is no path") from None
    return Path(value)


_PRIMITIVES: Mapping[type, Hook] = MappingProxyType(
    {int: _int, float: _float, bool: _bool, str: _text, bytes: _bytes, Path: _path}
)
