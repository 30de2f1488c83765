"""The strict converter: exact types, bounds, places in its errors."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relook.core.shapes import Between, Longest, OneOf, ShapeError, salvage, structure, unstructure
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
    content: bytes = b""


def problem(values: object) -> str:
    with pytest.raises(ShapeError) as caught:
        structure(Tree, values)
    return caught.value.problems[0]


@pytest.mark.parametrize(
    ("values", "told"),
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
        ({"pair": [2**63, 1]}, f"pair[0]: {2**63} is no whole number"),
        ({"pair": [1, math.inf]}, "pair[1]: inf is no finite number"),
        ({"pair": [1, "1"]}, "pair[1]: '1' is no finite number"),
        ({"named": {"x": "abc"}}, "named[x]: 3 characters are more than 2"),
        ({"named": []}, "named: [] is no object"),
        ({"flag": 0}, "flag: 0 is neither true nor false"),
        ({"name": "\ud800"}, "name: '\\ud800' is no text that can be kept"),
        ({"content": "0"}, "content: '0' is no row of hexadecimal digits"),
    ],
)
def test_the_first_problem_has_its_place(values: object, told: str) -> None:
    assert problem(values).startswith(told)


def test_what_fits_comes_back_as_it_was() -> None:
    values = {
        "name": "x", "kind": "b", "leaves": [{"box": [0, 0.25, 1, 1], "weight": 2.0}],
        "pair": [3, 0.5], "named": {"k": "v"}, "flag": True, "content": "00ff",
    }  # fmt: skip
    made = structure(Tree, {**values, "later": 1})
    assert made.leaves == (Leaf(Box(0, 0.25, 1, 1), 2.0),)
    assert json.loads(json.dumps(unstructure(made))) == values


def test_queries_have_their_own_rules() -> None:
    query = Query((Part(text="a"), Part(image=Path("b.png"), box=Box(0, 0, 1, 1), weight=-0.5)))
    assert structure(Query, json.loads(json.dumps(query.as_dict()))) == query
    with pytest.raises(ShapeError, match="only says what not to show"):
        structure(Query, {"parts": [{"text": "a", "weight": -1}]})


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
def test_any_json_fits_or_is_told(values: dict[str, object]) -> None:
    made, problems = salvage(Tree, values)
    json.dumps(unstructure(made), allow_nan=False)
    if problems:
        assert problem(values)
    else:
        assert structure(Tree, values) == made
