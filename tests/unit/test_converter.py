"""The one converter: what goes in comes back, and what does not fit is named with its place."""

import enum
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relook.core.converter import JsonValue, from_json
from relook.core.errors import InputError, QueryError
from relook.core.json_form import HIDDEN, INLINE, SHOWN, Digits, JsonShape, Key, Without
from relook.core.json_writer import to_json
from relook.core.picture_paths import Address
from relook.core.types import Box, Query


class Kind(enum.StrEnum):
    SAME = "same"
    ALIKE = "alike"


@dataclass(frozen=True, slots=True)
class Origin:
    host: str
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Thing(JsonValue):
    """One field of every sort."""

    json_shape: ClassVar[JsonShape] = JsonShape(code="bad_thing")

    number: int
    kind: Kind
    origin: Annotated[Origin, INLINE]
    score: Annotated[float, Digits(3)] = 0.0
    text: Annotated[str, Key("page_text")] = ""
    flag: bool = False
    place: Path | None = None
    box: Box | None = None
    names: tuple[str, ...] = ()
    pairs: tuple[tuple[int, float], ...] = ()
    more: Mapping[int, float] = field(default_factory=dict)
    raw: bytes | None = None
    mode: Literal["a", "b"] = "a"
    value: int | str = 0
    extra: dict[str, Any] = field(default_factory=dict)
    inner: Annotated[tuple[Origin, ...], Without("rank")] = ()
    secret: Annotated[int, HIDDEN] = 0

    @property
    def n_names(self) -> Annotated[int, SHOWN]:
        return len(self.names)

    @property
    def unseen(self) -> int:
        return 1


THING = Thing(
    7, Kind.ALIKE, Origin("h", 2), 1.23456, "words", True, Path("/a b/ü"), Box(0, 0, 0.5, 1),
    ("x", "y"), ((1, 0.5),), {3: 0.25}, b"\x00\xff", "b", "many", {"k": [1, None]},
    (Origin("i", 9),), 4,
)  # fmt: skip
DOCUMENT = {
    "number": 7, "kind": "alike", "host": "h", "rank": 2, "score": 1.235, "page_text": "words",
    "flag": True, "place": "/a b/ü", "box": [0, 0, 0.5, 1], "names": ["x", "y"],
    "pairs": [[1, 0.5]], "more": {"3": 0.25}, "raw": "AP8=", "mode": "b", "value": "many",
    "extra": {"k": [1, None]}, "inner": [{"host": "i"}], "n_names": 2,
}  # fmt: skip
LEAST = {"number": 1, "kind": "same", "host": "h"}


def test_a_value_is_written_as_its_class_says() -> None:
    assert THING.as_dict(pictures=True) == DOCUMENT
    assert json.loads(json.dumps(DOCUMENT)) == DOCUMENT


def test_bytes_stay_behind_unless_asked_for() -> None:
    assert THING.as_dict()["raw"] is None


def test_a_document_is_read_back() -> None:
    thing = Thing.from_dict(json.loads(json.dumps(DOCUMENT)))
    assert thing.as_dict(pictures=True) == DOCUMENT
    assert (thing.origin, thing.more, thing.raw) == (Origin("h", 2), {3: 0.25}, b"\x00\xff")
    assert (thing.box, thing.kind, thing.names) == (Box(0, 0, 0.5, 1), Kind.ALIKE, ("x", "y"))


def test_fields_with_a_default_may_be_left_out() -> None:
    assert Thing.from_dict(LEAST) == Thing(1, Kind.SAME, Origin("h"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"number": "7"}, "number: '7' is no whole number"),
        ({"number": True}, "number: True is no whole number"),
        ({"number": 1.0}, "number: 1.0 is no whole number"),
        ({"score": False}, "score: False is no finite number"),
        ({"score": math.nan}, "score: nan is no finite number"),
        ({"score": 10**400}, "score: 1000"),
        ({"kind": "other"}, "kind: 'other' is none of: 'same', 'alike'"),
        ({"kind": ["same"]}, "kind: ['same'] is none of: 'same', 'alike'"),
        ({"mode": "c"}, "mode: 'c' is none of: 'a', 'b'"),
        ({"page_text": None}, "page_text: None is no text"),
        ({"flag": 1}, "flag: 1 is neither true nor false"),
        ({"place": "a\0b"}, "place: 'a\\x00b' is no path"),
        ({"place": 3}, "place: 3 is no path"),
        ({"names": "xy"}, "names: 'xy' is no list"),
        ({"names": ["x", 2]}, "names[1]: 2 is no text"),
        ({"pairs": [[1, 2], [1]]}, "pairs[1]: [1] has 1 values, not 2"),
        ({"pairs": [[1, "x"]]}, "pairs[0][1]: 'x' is no finite number"),
        ({"more": {"3": "x"}}, "more[3]: 'x' is no finite number"),
        ({"more": {"x": 1}}, "more[x]: 'x' is no whole number"),
        ({"more": []}, "more: [] is no object"),
        ({"raw": "?"}, "raw: '?' is no base64"),
        ({"value": 1.5}, "value: 1.5 is no text"),
        ({"host": 1}, "host: 1 is no text"),
        ({"inner": [{"host": "i"}, {}]}, "inner[1].host: it is missing"),
        ({"inner": [{"host": "i", "port": 1}]}, "inner[0]: the key 'port' is not known"),
        ({"nmber_": 1}, "the key 'nmber_' is not known"),
        ({"secret": 1}, "the key 'secret' is not known"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as raised:
        Thing.from_dict({**LEAST, **change})
    assert raised.value.message.startswith(message)


@pytest.mark.parametrize("document", [None, [], "thing", 3, {}])
def test_a_document_of_another_kind_has_the_code_of_its_class(document: object) -> None:
    with pytest.raises(InputError) as raised:
        Thing.from_dict(document)
    assert raised.value.code == "bad_thing"


def test_what_a_class_refuses_itself_is_named_with_its_place() -> None:
    part = {"image_id": 1, "box": [0.5, 0, 0.5, 1]}
    with pytest.raises(InputError) as raised:
        from_json(Query, {"parts": [{"text": "a"}, part]})
    assert raised.value.code == "bad_box"
    assert raised.value.message == "parts[1].box: x0 0.5 is not below x1 0.5: the box has no area"
    with pytest.raises(QueryError) as refused:
        from_json(Query, {"parts": [{"text": " "}]}, "query")
    assert refused.value.message == "query.parts[0]: the query has no words"
    assert refused.value.hint


def test_a_shape_may_leave_out_nulls_and_skip_unknown_keys() -> None:
    @dataclass(frozen=True, slots=True)
    class Lenient(JsonValue):
        json_shape: ClassVar[JsonShape] = JsonShape(leave_out_none=True, ignore_unknown=True)
        name: str
        hint: str | None = None

    assert Lenient("a").as_dict() == {"name": "a"}
    assert Lenient.from_dict({"name": "a", "new": 1}) == Lenient("a")


def test_other_types_are_read_and_written_too() -> None:
    assert from_json(dict[str, tuple[Box, ...]], {"a": [[0, 0, 1, 1]]}) == {"a": (Box(0, 0, 1, 1),)}
    assert to_json({3: (np.int64(1), np.float32(0.5), np.eye(2))}) == {
        "3": [1, 0.5, [[1, 0], [0, 1]]]
    }
    place = from_json(Path, to_json(Address("s3://bucket/a.jpg")))
    assert str(place) == "s3://bucket/a.jpg"
    with pytest.raises(TypeError, match="object has no JSON form"):
        to_json([object()])


@given(
    st.builds(
        Thing,
        number=st.integers(),
        kind=st.sampled_from(Kind),
        origin=st.builds(Origin, host=st.text(), rank=st.integers()),
        names=st.lists(st.text()).map(tuple),
        pairs=st.lists(
            st.tuples(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
        ).map(tuple),
        raw=st.none() | st.binary(),
        value=st.integers() | st.text(),
        inner=st.just(()),
        secret=st.just(0),
    )
)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_written_is_read_back(thing: Thing) -> None:
    document = json.loads(json.dumps(thing.as_dict(pictures=True)))
    assert Thing.from_dict(document) == thing
