"""Schemas of the dataclasses: what tools and the HTTP API answer, and what requests may hold.

`answer_model` describes a dataclass as `core.converter` writes it; `Checked` checks what a request
sends before the converter reads it. Both are pydantic's, so only the rooms that serve import this.
Layer: serving.
"""

import enum
import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    create_model,
)

from relook.core.converter import from_json
from relook.core.json_form import (
    HEX,
    PATH,
    Between,
    Bound,
    JsonEntry,
    Longest,
    Shortest,
    json_entries,
    shape_of,
    split_marks,
)
from relook.core.types import Box

_NOTHING: frozenset[str] = frozenset()
_Edges = Annotated[list[Annotated[float, Between(0, 1)]], Shortest(4), Longest(4)]


class AnswerModel(BaseModel):
    """Answers may gain keys; none is ever taken away."""

    model_config = ConfigDict(extra="allow")


class _Lax(BaseModel):
    """A key that nobody knows is a mistake of the caller's."""

    model_config = ConfigDict(extra="forbid")


class _Strict(_Lax):
    """`0` is not `false` either."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


@functools.cache
def answer_model(cls: Any, without: AbstractSet[str] = _NOTHING) -> Any:
    """The model of a dataclass as its JSON is: every key is there, but those left out for None.

    Args:
        cls: The dataclass. Its docstring becomes the descriptions.
        without: Keys that are left out.
    """
    keys: dict[str, Any] = {}
    for owner, entry, note in _entries(cls, without):
        model_of = functools.partial(answer_model, without=entry.without)
        may_miss = shape_of(owner).leave_out_none and NoneType in get_args(entry.kind)
        keys[entry.key] = (_noted(entry, note, model_of), None if may_miss else ...)
    return _model(cls, AnswerModel, keys)


@dataclass(frozen=True, slots=True)
class Checked:
    """A mark by which pydantic reads a dataclass: `Annotated[SearchRequest, Checked()]`.

    Types and bounds of its fields are checked first, then the converter makes the value. What the
    class itself refuses is its own `InputError` inside pydantic's error.

    Args:
        name: Of the schema; that of the class when empty.
        strict: Whether `"3"` is no number.
        without: Keys that these requests do not have.
        required: Keys that must be there, whatever the class says.
        defaults: Values for keys that the class requires.
    """

    name: str = ""
    strict: bool = True
    without: frozenset[str] = _NOTHING
    required: frozenset[str] = _NOTHING
    defaults: tuple[tuple[str, Any], ...] = ()

    def __get_pydantic_core_schema__(self, kind: Any, handler: GetCoreSchemaHandler) -> Any:
        """How pydantic reads it."""

        def read(checked: Any) -> Any:
            data = checked.model_dump() if isinstance(checked, BaseModel) else checked
            return from_json(kind, data)

        inner = _Edges if kind is Box else self._model(kind)
        return AfterValidator(read).__get_pydantic_core_schema__(inner, handler)

    def _model(self, cls: Any) -> Any:
        keys: dict[str, Any] = {}
        for owner, entry, note in _entries(cls, self.without):
            kind = _noted(entry, note, Checked(strict=self.strict)._model)
            default = dict(self.defaults).get(entry.key, _default(owner, entry))
            if entry.key in self.required:
                kind, default = Annotated[kind, BeforeValidator(_not_null)], ...
            keys[entry.key] = (kind, default)
        return _model(cls, _Strict if self.strict else _Lax, keys, self.name)


def _entries(
    cls: Any, without: AbstractSet[str], note: str | None = None
) -> Iterator[tuple[Any, JsonEntry, str | None]]:
    """Each key with the class that has it and with its note.

    A key inside an inline field that has no note of its own has that field's.
    """
    notes = _notes(cls)
    for entry in json_entries(cls):
        if entry.inline:
            yield from _entries(entry.kind, entry.without | without, notes.get(entry.name))
        elif entry.key not in without:
            yield cls, entry, notes.get(entry.name, note)


def _model(cls: Any, base: type[BaseModel], keys: dict[str, Any], name: str = "") -> Any:
    summary = inspect.cleandoc(cls.__doc__ or "").partition("\nArgs:")[0]
    return create_model(
        name or shape_of(cls).name or cls.__name__,
        __base__=base,
        __doc__=summary.partition("\nRaises:")[0].strip(),
        **keys,
    )


def _not_null(value: Any) -> Any:
    if value is None:
        raise ValueError("it must not be null")
    return value


def _default(cls: Any, entry: JsonEntry) -> Any:
    """The default of a field as pydantic takes it."""
    [field] = [field for field in fields(cls) if field.name == entry.name]
    if field.default_factory is not MISSING:
        return Field(default_factory=field.default_factory)
    if isinstance(field.default, tuple):  # JSON has lists
        return list(field.default)
    return ... if field.default is MISSING else field.default


def _noted(entry: JsonEntry, note: str | None, model_of: Callable[[Any], Any]) -> Any:
    """The type of a key, with what people read of it."""
    return Annotated[_described(entry.marked, model_of), Field(description=note)]


@functools.cache
def _notes(cls: Any) -> Mapping[str, str]:
    """Field or property -> what the docstrings say of it."""
    notes: dict[str, str] = {}
    text = inspect.cleandoc(cls.__doc__ or "").partition("\nArgs:\n")[2]
    for names, note in re.findall(r"^ {4}(\w[\w, ]*): ((?:.|\n {8})+)", text, re.MULTILINE):
        notes |= dict.fromkeys(names.split(", "), " ".join(note.split()))
    for name, value in vars(cls).items():
        if isinstance(value, property):
            notes[name] = inspect.cleandoc(value.__doc__ or "")
    return notes


def _described(kind: Any, model_of: Callable[[Any], Any]) -> Any:
    """A type with its bounds, as the JSON of its values is described."""
    plain, marks = split_marks(kind)
    if HEX in marks or PATH in marks:
        plain = str if plain is bytes else list[str]
    bounds = [mark for mark in marks if isinstance(mark, Bound)]
    described = _described_plain(plain, model_of)
    return Annotated[described, *bounds] if bounds else described


def _described_plain(kind: Any, model_of: Callable[[Any], Any]) -> Any:
    origin, members = get_origin(kind), get_args(kind)
    if origin is Literal:
        return kind
    if origin is None:
        return _described_class(kind, model_of)
    inner = [member if member is ... else _described(member, model_of) for member in members]
    if origin in (UnionType, Union):
        return Union[tuple(inner)]  # noqa: UP007
    if issubclass(origin, Mapping):
        key = str if members[0] is int else inner[0]  # JSON has no other keys
        return dict[key, inner[1]]  # type: ignore[valid-type]
    if origin is tuple and inner[-1] is not ...:
        return tuple[tuple(inner)]  # type: ignore[misc]
    return list[inner[0]]  # type: ignore[valid-type]


def _described_class(kind: Any, model_of: Callable[[Any], Any]) -> Any:
    if kind is Box:
        return _Edges
    if is_dataclass(kind):
        return model_of(kind)
    if kind is bytes:  # null where pictures were not asked for
        return str | None
    if isinstance(kind, type) and issubclass(kind, Path):
        return str
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return Literal[tuple(member.value for member in kind)]
    return kind
