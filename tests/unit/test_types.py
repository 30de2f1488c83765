"""Boxes, parts and queries: what they accept, and that JSON gives back what went in."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relook.core.errors import InputError, QueryError
from relook.core.types import WHOLE, Box, Hit, Page, Part, Query

share = st.floats(0.0, 1.0)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x0, x1 = sorted(draw(st.lists(share, min_size=2, max_size=2, unique=True)))
    y0, y1 = sorted(draw(st.lists(share, min_size=2, max_size=2, unique=True)))
    return Box(x0, y0, x1, y1)


weights = st.floats(allow_nan=False, allow_infinity=False).filter(bool)
words = st.text(min_size=1).filter(lambda text: bool(text.strip()))
text_parts = st.builds(Part, text=words, weight=weights)
picture_parts = st.builds(
    Part, image=st.sampled_from([Path("a.jpg"), Path("/b c/ü.png")]),
    box=st.none() | boxes(), weight=weights,
)  # fmt: skip
library_parts = st.builds(
    Part, image_id=st.integers(1, 2**62), box=st.none() | boxes(), weight=weights
)
parts = text_parts | picture_parts | library_parts


@given(boxes(), boxes())
def test_an_intersection_is_symmetric_and_no_larger_than_either(left: Box, right: Box) -> None:
    shared = left.intersection(right)
    assert shared == right.intersection(left)
    assert 0.0 <= shared <= min(left.area, right.area) + 1e-12


def test_intersections_of_known_boxes() -> None:
    left, right = Box(0, 0, 0.5, 1), Box(0.25, 0, 0.75, 1)
    assert (left.intersection(right), left.intersection(left)) == (0.25, 0.5)
    assert left.intersection(Box(0.5, 0, 1, 1)) == 0.0


@given(boxes(), st.floats(0.0, 10.0))
def test_padding_grows_a_box_and_stays_inside(box: Box, pad: float) -> None:
    grown = box.padded(pad)
    assert grown.x0 <= box.x0 < box.x1 <= grown.x1
    assert grown.y0 <= box.y0 < box.y1 <= grown.y1


def test_padding_by_a_quarter() -> None:
    assert Box(0.25, 0.5, 0.75, 1.0).padded(0.25) == Box(0.125, 0.375, 0.875, 1.0)


@given(boxes())
def test_a_box_is_read_back_from_its_numbers(box: Box) -> None:
    assert Box.parse(",".join(map(repr, box.as_list()))) == box


@pytest.mark.parametrize(
    "edges",
    [
        (0.5, 0, 0.5, 1), (0, 0.7, 1, 0.2), (1, 0, 0, 1),
        (-0.1, 0, 1, 1), (0, 0, 1.01, 1), (0, 0, math.nan, 1), (0, 0, 1, math.inf),
    ],
)  # fmt: skip
def test_a_box_without_area_or_outside_is_refused(edges: tuple[float, ...]) -> None:
    with pytest.raises(InputError) as raised:
        Box(*edges)
    assert raised.value.code == "bad_box"


@pytest.mark.parametrize("text", ["", "1", "0,0,1", "0,0,1,1,1", "a,b,c,d", "0;0;1;1", "nan,0,1,1"])
def test_text_that_is_no_box_is_refused(text: str) -> None:
    with pytest.raises(InputError) as raised:
        Box.parse(text)
    assert raised.value.code == "bad_box"


@given(st.lists(parts, min_size=1, max_size=5))
def test_a_query_survives_json(given_parts: list[Part]) -> None:
    some = (*given_parts, Part(text="dog"))
    query = Query(some)
    assert Query.from_dict(json.loads(json.dumps(query.as_dict()))) == query


def test_the_text_of_a_query_is_what_is_looked_for() -> None:
    query = Query((Part("dog"), Part("snow", weight=-1.0), Part(image=Path("a")), Part("sea")))
    assert query.text == "dog, sea"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "bad_part"),
        ({"text": "a", "image_id": 3}, "bad_part"),
        ({"text": "  "}, "empty_query"),
        ({"text": "a", "box": WHOLE}, "bad_part"),
        ({"text": "a", "weight": 0.0}, "bad_weight"),
        ({"text": "a", "weight": math.nan}, "bad_weight"),
        ({"text": "a", "weight": -math.inf}, "bad_weight"),
    ],
)
def test_a_part_that_means_nothing_is_refused(fields: dict[str, object], code: str) -> None:
    with pytest.raises(QueryError) as raised:
        Part(**fields)  # type: ignore[arg-type]
    assert raised.value.code == code


@pytest.mark.parametrize(
    "values",
    [
        {"text": 5}, {"image": 5}, {"image_id": "x"}, {"image_id": 1e400},
        {"text": "a", "weight": "x"}, {"image_id": 1, "box": [0, 0, 1]},
        {"image_id": 1, "box": "left"}, {"image_id": 1, "box": 3}, [], "dog", None,
    ],
)  # fmt: skip
def test_json_that_is_no_part_is_an_input_error(values: object) -> None:
    with pytest.raises(InputError):
        Part.from_dict(values)  # type: ignore[arg-type]


@pytest.mark.parametrize("values", [{}, {"parts": 3}, [], None, {"parts": [None]}, {"parts": []}])
def test_json_that_is_no_query_is_an_input_error(values: object) -> None:
    with pytest.raises(InputError):
        Query.from_dict(values)  # type: ignore[arg-type]


def test_a_query_must_look_for_something() -> None:
    with pytest.raises(QueryError) as raised:
        Query((Part("people", weight=-1.0),))
    assert raised.value.code == "only_negative"
    with pytest.raises(QueryError) as raised:
        Query(())
    assert raised.value.code == "empty_query"


def test_a_page_is_a_sequence_and_prints_the_documented_keys() -> None:
    hit = Hit(
        7, Path("a.jpg"), 0.12345678, Box(0, 0, 0.5, 1), folded=(8,), metadata={"camera": "X"}
    )
    page = Page(Query((Part("dog"),)), (hit,), took_ms=1.234)
    assert (len(page), page[0], list(page), page[:1]) == (1, hit, [hit], (hit,))
    assert page.as_dict() == {
        "query": {"parts": [{"weight": 1.0, "text": "dog"}]},
        "session_id": None,
        "hits": [
            {
                "image_id": 7, "path": "a.jpg", "score": 0.123457, "tile": [0, 0, 0.5, 1],
                "title": "", "caption": "", "width_px": 0, "height_px": 0, "folded": [8],
                "metadata": {"camera": "X"},
            }
        ],
        "notes": [],
        "took_ms": 1.23,
        "n_fitting": None,
        "suggestions": [],
    }  # fmt: skip
