"""The converter on documents from anywhere: exact types, bounds, every wrong place, salvage."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relook.core.converter import from_json, salvage
from relook.core.errors import InputError
from relook.core.json_form import HEX, Between, Longest, OneOf
from relook.core.json_writer import to_json
from relook.core.types import Box, Part, Query


@dataclass(frozen=True, slots=True)
class Leaf:
    box: Box | None
    weight: Annotated[float, Between(0, 10, above=True)] = 1.0


@dataclass(frozen=True, slots=True)
class Tree:
    name: Annotated[str, Longest(5)] = ""
    kind: Annotated[str, OneOf(("a", "b"))] = "a"
    leaves: Annotated[tuple[Leaf, ...], Longest(2)] = ()
    pair: tuple[int, float] = (0, 0.0)
    named: Mapping[str, Annotated[str, Longest(2)]] = field(default_factory=dict)
    flag: bool = False
    content: Annotated[bytes, HEX] = b""


def problem(values: object) -> str:
    with pytest.raises(InputError) as caught:
        from_json(Tree, values)
    return caught.value.message


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "[] is no object"),
        ({"name": "abcdef"}, "name: 6 characters are more than 5"),
        ({"kind": "c"}, "kind: 'c' is none of: a, b"),
        ({"leaves": {}}, "leaves: {} is no list"),
        ({"leaves": "ab"}, "leaves: 'ab' is no list"),
        ({"leaves": [{}]}, "leaves[0].box: it is missing"),
        ({"leaves": [1, 2, 3]}, "leaves: 3 values are more than 2"),
        ({"leaves": [{"box": None}, {"box": [0, 0, 0, 1]}]}, "leaves[1].box: x0 0 is not below x1"),
        ({"leaves": [{"box": None, "weight": 0}]}, "leaves[0].weight: 0.0 is not above 0"),
        ({"pair": [1, 2, 3]}, "pair: [1, 2, 3] has 3 values, not 2"),
        ({"pair": [True, 1]}, "pair[0]: True is no whole number"),
        ({"pair": [1.0, 1]}, "pair[0]: 1.0 is no whole number"),
        ({"pair": [1, math.inf]}, "pair[1]: inf is no finite number"),
        ({"pair": [1, "1"]}, "pair[1]: '1' is no finite number"),
        ({"named": {"x": "abc"}}, "named[x]: 3 characters are more than 2"),
        ({"named": []}, "named: [] is no object"),
        ({"flag": 0}, "flag: 0 is neither true nor false"),
        ({"name": "\ud800"}, "name: '\\ud800' is no text that can be kept"),
        ({"content": "0"}, "content: '0' is no row of hexadecimal digits"),
    ],
)
def test_the_first_problem_has_its_place(values: object, message: str) -> None:
    assert problem(values).startswith(message)


def test_what_fits_comes_back_as_it_was() -> None:
    values = {
        "name": "x", "kind": "b", "leaves": [{"box": [0, 0.25, 1, 1], "weight": 2.0}],
        "pair": [3, 0.5], "named": {"k": "v"}, "flag": True, "content": "00ff",
    }  # fmt: skip
    made = from_json(Tree, {**values, "later": 1}, skip_unknown=True)
    assert made.leaves == (Leaf(Box(0, 0.25, 1, 1), 2.0),)
    assert json.loads(json.dumps(to_json(made))) == values


def test_every_wrong_place_is_counted() -> None:
    values = {"name": "abcdef", "leaves": [{"box": [0, 0, 0, "x"]}, {"weight": 0, "box": None}]}
    assert problem(values) == "name: 6 characters are more than 5 (and 2 more)"


def test_queries_have_their_own_rules() -> None:
    query = Query((Part(text="a"), Part(image=Path("b.png"), box=Box(0, 0, 1, 1), weight=-0.5)))
    assert from_json(Query, json.loads(json.dumps(query.as_dict()))) == query
    with pytest.raises(InputError, match="only says what not to show"):
        from_json(Query, {"parts": [{"text": "a", "weight": -1}]})


def test_what_can_be_read_is_salvaged() -> None:
    made, problems = salvage(Tree, {"name": 5, "flag": True, "pair": [1, 2], "kind": "z"})
    assert (made.name, made.flag, made.pair, made.kind) == ("", True, (1, 2.0), "a")
    assert problems == ("name: 5 is no text", "kind: 'z' is none of: a, b")
    assert salvage(Tree, "x") == (Tree(), ("'x' is no object",))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*Tree.__slots__, "x"]), JSON))
def test_any_json_fits_or_its_problem_is_said(values: dict[str, object]) -> None:
    made, problems = salvage(Tree, values)
    json.dumps(to_json(made), allow_nan=False)
    if problems:
        assert problem({key: value for key, value in values.items() if key != "x"})
    else:
        assert from_json(Tree, values, skip_unknown=True) == made
