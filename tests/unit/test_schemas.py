"""Schemas and checks made from dataclasses say what the converter writes and reads."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import TypeAdapter, ValidationError

from relook.core.errors import InputError, RequestError
from relook.core.json_form import (
    HEX,
    HIDDEN,
    INLINE,
    SHOWN,
    Between,
    Digits,
    FewStars,
    JsonShape,
    Key,
    Longest,
    OneOf,
    Shortest,
    Without,
)
from relook.core.json_writer import to_json
from relook.core.picture_paths import printable
from relook.core.types import Box
from relook.serving.requests import AskRequest, PartRequest, SearchRequest
from relook.serving.schemas import Checked, answer_model


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Inner:
    """Something inside.

    Args:
        a, b: Two of
            a kind.
        left_out: Never seen.
    """

    json_shape: ClassVar = JsonShape(leave_out_none=True)

    a: int
    b: str | None = None
    left_out: int = 0


@dataclass(frozen=True)
class Outer:
    """A thing.

    Args:
        box: Where.
        inner: Its keys are beside the others.
    """

    json_shape: ClassVar = JsonShape(name="Thing")

    box: Box | None
    inner: Annotated[Inner, INLINE, Without("left_out")]
    colour: Colour
    path: Path
    digest: Annotated[bytes, HEX]
    pairs: Mapping[int, tuple[Inner, ...]]
    score: Annotated[float, Digits(2), Key("points")]
    secret: Annotated[object, HIDDEN] = None

    @property
    def n(self) -> Annotated[int, SHOWN]:
        """How many."""
        return len(self.pairs)


THING = Outer(
    Box(0, 0, 0.5, 1), Inner(1), Colour.RED, Path("a.png"), b"\x01", {3: (Inner(2, "x"),)}, 0.123
)


def test_an_answer_is_described_as_the_converter_writes_it() -> None:
    model = answer_model(Outer)
    written = to_json(THING)
    assert model.model_validate(written).model_dump(exclude_unset=True) == written
    assert set(model.model_fields) == set(written) | {"b"}
    schema = model.model_json_schema()
    assert schema["title"] == "Thing"
    assert schema["description"] == "A thing."
    assert set(schema["required"]) == set(written)
    properties = schema["properties"]
    assert properties["a"]["description"] == properties["b"]["description"] == "Two of a kind."
    assert properties["n"] == {"description": "How many.", "title": "N", "type": "integer"}
    assert properties["colour"]["enum"] == ["red", "blue"]
    assert properties["box"]["anyOf"][0]["maxItems"] == 4


def test_every_dataclass_has_one_model() -> None:
    assert answer_model(Outer) is answer_model(Outer)


def read(cls: Any, data: Any, **how: Any) -> Any:
    return TypeAdapter(Annotated[cls, Checked(**how)]).validate_python(data)


@dataclass(frozen=True)
class Wish:
    n: Annotated[int, Between(1, 3)]
    share: Annotated[float, Between(0, 1, above=True)] = 1.0
    name: Annotated[str, Shortest(1), Longest(3)] = "abc"
    kind: Annotated[str, OneOf(("x", "y"))] = "x"
    pattern: Annotated[str, FewStars(1)] = "*"
    texts: Annotated[tuple[Annotated[str, Longest(1)], ...], Longest(2)] = ()
    box: Box | None = None


def test_a_request_becomes_its_value() -> None:
    wish = read(Wish, {"n": 2, "texts": ["a"], "box": [0, 0, 1, 1]})
    assert wish == Wish(2, texts=("a",), box=Box(0.0, 0.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ({}, "n"),
        ({"n": 0}, "n"),
        ({"n": 4}, "n"),
        ({"n": "2"}, "n"),
        ({"n": True}, "n"),
        ({"n": 1, "share": 0}, "share"),
        ({"n": 1, "share": float("nan")}, "share"),
        ({"n": 1, "name": ""}, "name"),
        ({"n": 1, "name": "abcd"}, "name"),
        ({"n": 1, "kind": "z"}, "kind"),
        ({"n": 1, "pattern": "a*b*"}, "pattern"),
        ({"n": 1, "texts": ["a", "b", "c"]}, "texts"),
        ({"n": 1, "texts": ["ab"]}, "texts"),
        ({"n": 1, "box": [0, 0, 1]}, "box"),
        ({"n": 1, "box": [0, 0, 1, 2]}, "box"),
        ({"n": 1, "other": 1}, "other"),
    ],
)
def test_what_is_out_of_bounds_is_refused_with_its_place(data: object, place: str) -> None:
    with pytest.raises(ValidationError) as raised:
        read(Wish, data)
    assert raised.value.errors()[0]["loc"][0] == place


def test_requests_may_require_more_and_take_less() -> None:
    how = {"without": frozenset({"share"}), "required": frozenset({"name"}), "strict": False}
    assert read(Wish, {"n": "2", "name": "a"}, **how) == Wish(2, name="a")
    for data in ({"n": 2}, {"n": 2, "name": "a", "share": 1.0}, {"n": 2, "name": None}):
        with pytest.raises(ValidationError):
            read(Wish, data, **how)
    with pytest.raises(ValidationError, match="null"):
        read(Wish, {"n": 2, "box": None}, required=frozenset({"box"}))
    assert read(Wish, {}, defaults=(("n", 3),)) == Wish(3)


@pytest.mark.parametrize(
    ("cls", "data", "error", "code"),
    [
        (Wish, {"n": 1, "box": [0.5, 0, 0.5, 1]}, InputError, "bad_box"),
        (PartRequest, {}, RequestError, "bad_request"),
        (PartRequest, {"text": "a", "image_id": 1}, RequestError, "bad_request"),
        (AskRequest, {"question": "what?"}, RequestError, "bad_request"),
    ],
)
def test_what_a_class_refuses_is_its_own_error(
    cls: type, data: object, error: type[InputError], code: str
) -> None:
    with pytest.raises(ValidationError) as raised:
        read(cls, data)
    cause = raised.value.errors()[0]["ctx"]["error"]
    assert (type(cause), cause.code) == (error, code)


def test_words_and_parts_are_both_a_query() -> None:
    assert read(SearchRequest, {"query": "dog", "where": {"city": "R*"}}).only.where == {
        "city": "R*"
    }
    parts = read(SearchRequest, {"query": {"parts": [{"image_id": 3, "weight": 0.5}]}}).query.parts
    assert parts == (PartRequest(image_id=3, weight=0.5),)


def test_json_for_any_reader_has_no_odd_bytes_and_no_endless_numbers() -> None:
    values = {"\udcff": [Path("a\udcff"), "b\udcff", float("inf"), Colour.RED, 1, True, None]}
    assert to_json(values, text=printable) == {
        "\ufffd": ["a\ufffd", "b\ufffd", None, "red", 1, True, None]
    }
    assert to_json(values)["\udcff"][2] == float("inf")
