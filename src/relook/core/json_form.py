"""What a dataclass says of its JSON: marks on fields, and what follows from them. Layer: core.

Without a word each field is a key of its name. A mark in the field's type changes that:

    score: Annotated[float, Digits(6)]             rounded to six digits
    text: Annotated[str, Key("page_text")]         under another key
    crop: Annotated[Floats | None, HIDDEN]         not in the JSON
    match: Annotated[Match, INLINE]                its keys stand beside the others
    results: Annotated[tuple[ProviderResult, ...], Without("matches")]
    weight: Annotated[float, Between(0, 1000)]     checked when it is read; so are `Longest`,
                                                   `Shortest`, `OneOf` and `FewStars`
    content: Annotated[bytes, HEX]                 hexadecimal digits instead of base64
    place: Annotated[bytes, PATH]                  a path as text; odd bytes become U+FFFD
    def n_skipped(self) -> Annotated[int, SHOWN]   a key as well (on a property)

A class variable `json_shape` says what concerns the whole class. `core.converter` reads both.
The bounds are understood by pydantic as well, where a server checks requests with it.
"""

import enum
import functools
import typing
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Annotated, Any

from relook.core.errors import InputError


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


_LONGEST = 80  # characters of a value that a message repeats


def short(value: object) -> str:
    """A value as a message repeats it."""
    text = repr(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " ..."


class Bound:
    """A mark that bounds a value when it is read."""

    __slots__ = ()

    def problem(self, value: Any) -> str | None:
        """What is wrong with a value of a document, or None."""
        raise NotImplementedError

    def limits(self) -> dict[str, Any]:
        """The bound as pydantic's own limits; empty when `problem` has to be called."""
        return {}

    def __get_pydantic_core_schema__(self, kind: Any, handler: Any) -> Any:
        """How pydantic checks a value with this mark."""
        if limits := self.limits():
            return {**handler(kind), **limits}
        from pydantic import AfterValidator  # only where pydantic asks

        return AfterValidator(self._checked).__get_pydantic_core_schema__(kind, handler)

    def _checked(self, value: Any) -> Any:
        if problem := self.problem(value):
            raise ValueError(problem)
        return value


@dataclass(frozen=True, slots=True)
class Between(Bound):
    """A number from `low` to `high`; `low` itself is outside when `above` is set."""

    low: float
    high: float
    above: bool = False

    def problem(self, value: Any) -> str | None:
        """What is wrong with a number, or None."""
        if self.low <= value <= self.high and not (self.above and value == self.low):
            return None
        low = f"above {self.low:g}" if self.above else f"{self.low:g} or more"
        return f"{short(value)} is not {low} and at most {self.high:g}"

    def limits(self) -> dict[str, Any]:
        """The bound as pydantic's own limits."""
        return {"gt" if self.above else "ge": self.low, "le": self.high}


@dataclass(frozen=True, slots=True)
class Longest(Bound):
    """A text, a list or an object of at most `n` characters, values or keys."""

    n: int

    def problem(self, value: Any) -> str | None:
        """What is wrong with a value of a document, or None."""
        if not isinstance(value, str | list | dict) or len(value) <= self.n:
            return None
        kind = {str: "characters", list: "values", dict: "keys"}[type(value)]
        return f"{len(value):,} {kind} are more than {self.n:,}"

    def limits(self) -> dict[str, Any]:
        """The bound as pydantic's own limit."""
        return {"max_length": self.n}


@dataclass(frozen=True, slots=True)
class Shortest(Bound):
    """A text, a list or an object of at least `n` characters, values or keys."""

    n: int

    def problem(self, value: Any) -> str | None:
        """What is wrong with a value of a document, or None."""
        if not isinstance(value, str | list | dict) or len(value) >= self.n:
            return None
        return f"{short(value)} is shorter than {self.n:,}"

    def limits(self) -> dict[str, Any]:
        """The bound as pydantic's own limit."""
        return {"min_length": self.n}


@dataclass(frozen=True, slots=True)
class FewStars(Bound):
    """A pattern of at most `n` stars: each further one multiplies what comparing may cost."""

    n: int

    def problem(self, value: Any) -> str | None:
        """What is wrong with a value of a document, or None."""
        if not isinstance(value, str) or value.count("*") <= self.n:
            return None
        return f"{short(value)} has more than {self.n} stars"


@dataclass(frozen=True, slots=True)
class OneOf(Bound):
    """One of these texts."""

    values: tuple[str, ...]

    def problem(self, value: Any) -> str | None:
        """What is wrong with a value of a document, or None."""
        if not isinstance(value, str) or value in self.values:
            return None
        return f"{short(value)} is none of: {', '.join(self.values)}"


class _Mark(enum.Enum):
    HEX = "hex"
    HIDDEN = "hidden"
    INLINE = "inline"
    PATH = "path"
    SHOWN = "shown"


HEX = _Mark.HEX
HIDDEN = _Mark.HIDDEN
INLINE = _Mark.INLINE
PATH = _Mark.PATH
SHOWN = _Mark.SHOWN


@dataclass(frozen=True, slots=True)
class JsonShape:
    """How a whole class looks as JSON.

    Args:
        as_list: A list of the fields' values instead of an object.
        leave_out_none: A field that is None has no key.
        ignore_unknown: Keys that no field has are skipped when reading (a newer version's).
        needs: Keys that a document must have though their fields have defaults.
        code, error: Of the error when a document does not fit.
        name: Of the class in schemas, where it is not its own.
    """

    as_list: bool = False
    leave_out_none: bool = False
    ignore_unknown: bool = False
    needs: frozenset[str] = frozenset()
    code: str = "bad_document"
    error: type[InputError] = InputError
    name: str = ""


_PLAIN = JsonShape()


@dataclass(frozen=True, slots=True)
class JsonEntry:
    """One key of a class, or the keys of an inline field.

    `kind` is the field's type without its marks, `marked` is the type with them.
    """

    name: str
    key: str
    kind: Any
    marked: Any
    required: bool = False
    computed: bool = False
    digits: int | None = None
    inline: bool = False
    hex: bool = False
    path: bool = False
    without: frozenset[str] = frozenset()


@functools.cache
def json_entries(cls: Any) -> tuple[JsonEntry, ...]:
    """The keys of a class: its fields in their order, then the properties that are shown."""
    hints = typing.get_type_hints(cls, include_extras=True)
    entries = []
    for field in fields(cls):
        marked = hints[field.name]
        if HIDDEN not in split_marks(marked)[1]:
            required = field.default is MISSING and field.default_factory is MISSING
            entries.append(_entry(field.name, marked, required=required))
    for name, value in ((n, v) for base in cls.__mro__ for n, v in vars(base).items()):
        if isinstance(value, property):
            returned = typing.get_type_hints(value.fget, include_extras=True).get("return")
            if SHOWN in split_marks(returned)[1]:
                entries.append(_entry(name, returned, computed=True))
    return tuple(entries)


@functools.cache
def json_keys(cls: Any) -> frozenset[str]:
    """Every key of a class, those of its inline fields among them."""
    keys: set[str] = set()
    for entry in json_entries(cls):
        has_fields = entry.inline and is_dataclass(entry.kind)
        keys |= json_keys(entry.kind) if has_fields else {entry.key}
    return frozenset(keys)


def _entry(name: str, marked: Any, *, required: bool = False, computed: bool = False) -> JsonEntry:
    kind, marks = split_marks(marked)
    keys = [mark.name for mark in marks if isinstance(mark, Key)]
    digits = [mark.n for mark in marks if isinstance(mark, Digits)]
    without = [key for mark in marks if isinstance(mark, Without) for key in mark.keys]
    return JsonEntry(
        name,
        keys[0] if keys else name,
        kind,
        marked,
        required=required,
        computed=computed,
        digits=digits[0] if digits else None,
        inline=INLINE in marks,
        hex=HEX in marks,
        path=PATH in marks,
        without=frozenset(without),
    )


def split_marks(kind: Any) -> tuple[Any, tuple[object, ...]]:
    """A type without its marks, and the marks."""
    if typing.get_origin(kind) is Annotated:
        return kind.__origin__, kind.__metadata__
    return kind, ()


def shape_of(cls: Any) -> JsonShape:
    """How a class as a whole looks."""
    shape: JsonShape = getattr(cls, "json_shape", _PLAIN)
    return shape
